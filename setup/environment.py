"""The `.venv` beside launch.py: made once, looked at on every start, rebuilt when it cannot work.

Its note `.venv/loratory.json` says who made the folder, with which Python, and the hash of each lock file whose
packages are all in. A start compares the note with what is there (about 20 ms) and installs only on a difference. A
`.venv` without our note belongs to somebody else: it is used if it holds the right packages, and is never deleted.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NoReturn

from jobs.files import read_json, replace
from jobs.lock import locked
from setup import packages

WINDOWS = os.name == "nt"
State = Literal["ready", "absent", "unfinished", "broken", "foreign"]


class SetupError(Exception):
    """Set-up cannot go on; the text is one sentence for the person, with what to do."""


class Environment:
    """One `.venv` folder. `root` is the folder of launch.py."""

    def __init__(self, root: str | Path):
        self.root = Path(root).resolve()
        self.folder = self.root / ".venv"
        self.python = self.folder / ("Scripts/python.exe" if WINDOWS else "bin/python")
        self.note_path = self.folder / "loratory.json"

    def note(self) -> dict:
        """What the last set-up wrote; empty when there is no readable note."""
        return read_json(self.note_path) or {}

    def state(self, locks: list[str]) -> State:
        """How the folder stands: `ready` means that nothing has to be done before a verb can run."""
        note = self.note()
        if not note and (not self.folder.is_dir() or all("loratory.json" in name for name in os.listdir(self.folder))):
            return "absent"
        alive = self.version()
        if note and note.get("folder") == str(self.folder) and alive and alive == note.get("python"):
            installed = note.get("installed", {})
            if all(installed.get(lock) == self.digest(lock) for lock in locks):
                return "ready"
            return "unfinished" if note.get("made_by_launch") else "foreign"
        return "broken" if note.get("made_by_launch") else "foreign"

    def version(self) -> str:
        """What compiled packages depend on, of the Python in the folder; "" when none of 3.11-3.13 starts there."""
        ask = (
            "import sys, platform; assert (3, 11) <= sys.version_info[:2] <= (3, 13);"
            "print('{}.{}'.format(*sys.version_info), sys.platform, platform.machine())"
        )
        try:
            answer = subprocess.run([self.python, "-I", "-S", "-c", ask], capture_output=True, text=True, timeout=60)
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return answer.stdout.strip() if answer.returncode == 0 else ""

    def digest(self, lock: str) -> str:
        return hashlib.sha256((self.root / lock).read_bytes()).hexdigest()

    def record(self, **values: object) -> None:
        """Writes values into the note; whole or not at all, so that a killed set-up leaves a readable one."""
        replace(self.note_path, json.dumps({**self.note(), **values}, indent=1))

    def make(self) -> None:
        """An empty environment of the running Python, without pip (packages.py adds pip when it needs it)."""
        say(f"Making .venv with Python {platform.python_version()} in {self.root}")
        self.folder.mkdir(exist_ok=True)
        self.record(made_by_launch=True, folder=str(self.folder), installed={})
        command = [packages.base_python(), "-m", "venv", "--without-pip", self.folder]
        made = subprocess.run(command, capture_output=True, text=True, env=packages.clean_environ())
        if made.returncode or not (version := self.version()):
            raise SetupError(f"Python could not make .venv ({last_line(made)}). On Debian: apt install python3-venv")
        self.record(python=version)

    def remove(self) -> None:
        """Deletes a `.venv` that set-up made. Renamed first, so that a half-deleted one is never taken for a whole."""
        if not self.note().get("made_by_launch"):
            raise SetupError(f"{self.folder} was not made by launch.py, so it is left alone.")
        doomed = self.root / f".venv-old-{os.getpid()}"
        self.folder.rename(doomed)
        shutil.rmtree(doomed)

    def run(self, module: str, arguments: list[str]) -> int | NoReturn:
        """Runs `python -m module` in the environment, in place of this process where the system can do that.

        The module is found in `root`, whatever the current folder is (`-P` keeps that off the path), and packages of
        other Pythons stay out: PYTHONPATH is replaced. Without a working environment the running Python does it: the
        doctor comes here unprepared.
        """
        python = self.python if self.version() else Path(packages.base_python())
        command = [str(python), "-P", "-m", module, *arguments]
        environment = {**packages.clean_environ(), "PYTHONPATH": str(self.root)}
        sys.stdout.flush()
        sys.stderr.flush()
        if not WINDOWS:
            os.execve(python, command, environment)
        child = subprocess.Popen(command, env=environment)  # Windows' exec returns to the prompt at once
        while True:
            try:
                return child.wait()
            except KeyboardInterrupt:
                continue  # the child got the same Ctrl-C and ends when it has saved


def ensure(environment: Environment, locks: list[str]) -> None:
    """Makes the environment ready: at once, or by building, rebuilding or completing it. Raises SetupError."""
    if environment.state(locks) == "ready":
        return
    with only_one(environment.root / ".venv.lock"):
        state = environment.state(locks)  # another start may just have finished it
        if state == "foreign":
            return adopt(environment, locks)
        if state == "broken":
            say("The .venv here no longer works (unfinished, moved, or its Python is gone): rebuilding it.")
            environment.remove()
        if state in ("absent", "broken"):
            environment.make()
        for lock in locks:
            digest = environment.digest(lock)
            if environment.note()["installed"].get(lock) != digest:
                packages.discard_torn(environment.folder)
                if not packages.install(environment.python, environment.root / lock):
                    free = f"{shutil.disk_usage(environment.root).free / 1e9:.0f} GB free"
                    why = f"the reason stands above, usually the network, a proxy or the disk ({free})"
                    raise SetupError(f"Set-up did not finish; {why}. The same command goes on from here.")
                environment.record(installed={**environment.note()["installed"], lock: digest})


def adopt(environment: Environment, locks: list[str]) -> None:
    """Accepts somebody's own `.venv` when it has every package of the locks; else says what is missing."""
    foreign = f"{environment.folder} was not made by launch.py"
    version = environment.version()
    if not version:
        raise SetupError(f"{foreign} and has no Python 3.11-3.13 that starts. Rename it and start again.")
    missing = [pin for lock in locks for pin in packages.differences_in(environment.python, environment.root / lock)]
    if missing:
        lack = missing[0] + (f" and {len(missing) - 1} more" if missing[1:] else "")
        fill = " ".join([str(environment.python), "-m pip install", *(f"-r {lock}" for lock in locks)])
        raise SetupError(f"{foreign} and lacks {lack}. Rename it and start again, or fill it yourself: {fill}")
    installed = {lock: environment.digest(lock) for lock in locks}
    environment.record(made_by_launch=False, folder=str(environment.folder), python=version, installed=installed)


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Lets one start at a time set up; a second waits for the first."""
    told = False
    while True:
        with locked(path) as mine:
            if mine:
                yield
                return
        if not told:
            say("Another start is setting up .venv; waiting for it.")
            told = True
        time.sleep(0.3)


def last_line(result: subprocess.CompletedProcess) -> str:
    lines = (result.stderr or result.stdout or "").strip().splitlines()
    return lines[-1].strip() if lines else f"exit code {result.returncode}"


def say(line: str) -> None:
    """Set-up talks on stderr: stdout belongs to the verb (`demo` ends it with JSON)."""
    print(line, file=sys.stderr, flush=True)
