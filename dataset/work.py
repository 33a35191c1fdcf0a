"""`python -m dataset.work JOB`: work on a data set that takes longer than a click: a check, a resize, an export.

Each kind is one module with its `Settings` and `work(settings, teller)`; what that returns is told in the last event.
A kind from elsewhere, which needs more than this package may load, has a command of its own that calls `done`.
The window starts it in a process of its own, beside whatever trains: it needs no graphics card and waits for nobody.
"""

from __future__ import annotations

import importlib
import os
import secrets
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from dataset.files import FileError
from dataset.journal import JournalError
from dataset.problem import Problem
from jobs import failures, folder, requests
from jobs.events import EventWriter
from jobs.failures import Failure, Judgement, worked
from jobs.folder import Job, home
from settings import toml
from settings.errors import SettingsError
from settings.section import Section

KINDS: dict[str, str] = {  # kind -> its module
    "check": "dataset.doctor.job",
    "looks": "dataset.doctor.looking",
    "resize": "dataset.resize.job",
    "export": "dataset.exchange.exporting",
    "import": "dataset.exchange.importing",
    "upload": "dataset.exchange.arriving",
}
ARGV = ("python", "-m", "dataset.work", "{job}")
OFTEN = 0.25  # seconds between two words about how far it is
KEPT = 20  # jobs of this sort; their folders hold nothing of a person's


class Stopped(Exception):
    """The person asked for an end."""


class Teller:
    """How a work says how far it is and what it met, and hears that it should stop. `folder` is the job's own."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._events = EventWriter(folder / "events.jsonl")
        self._began = self._told = time.monotonic()
        self._name = ""

    def progress(self, name: str, done: int, total: int) -> None:
        """Call it after every file. Raises Stopped if a person wants an end."""
        now = time.monotonic()
        if name != self._name:
            self._name, self._began, self._told = name, now, 0.0
        if now - self._told < OFTEN and done < total:
            return
        self._told = now
        if "stop" in requests.take(self.folder):
            raise Stopped
        spent = now - self._began
        eta = spent / done * (total - done) if done else None
        self._events.write("progress", name=name, done=done, total=total, eta=eta and round(eta, 1))

    def problem(self, problem: Problem) -> None:
        self._events.write("problem", path=str(problem.path), name=problem.path.name, reason=problem.reason,
                           fix=problem.fix, used=problem.used)

    def warn(self, message: str) -> None:
        self._events.write("warning", message=message)

    def tell(self, kind: str, **values: Any) -> None:
        self._events.write(kind, **values)


def module(kind: str) -> ModuleType:
    return importlib.import_module(KINDS[kind])


def section(kind: str) -> type[Section]:
    return module(kind).Settings


def place() -> Path:
    """Where the jobs of this sort lie, away from the runs that a person keeps."""
    return home() / "work"


def works() -> list[Job]:
    """All that there still are, the oldest first."""
    found = [Job(path) for path in place().glob("*") if (path / "job.json").is_file()]
    return sorted(found, key=lambda job: job.created)


def create(kind: str, settings: Section, argv: Sequence[str] = ARGV) -> Job:
    """A new job, ready to be started with `jobs.process.start`. The oldest ones that have ended are cleared away."""
    place().mkdir(exist_ok=True)
    ended = [job for job in works() if job.state() not in ("running", "queued")]
    for job in ended[:-KEPT]:
        shutil.rmtree(job.folder, ignore_errors=True)
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{kind}-{secrets.token_hex(3)}"
    return folder.create(kind, kind, toml.dumps(settings), list(argv), place() / name)


def work(path: Path) -> None:
    """Do a job's work and say how it ended."""
    done(path, module(Job(path).kind))


def done(path: Path, kind: ModuleType) -> None:
    """The same, by the module that is its kind."""
    job, teller = Job(path), Teller(path)
    settings = toml.read(kind.Settings, job.config_path)
    began = time.monotonic()
    teller.tell("started", pid=os.getpid())
    try:
        result = kind.work(settings, teller)
    except Stopped:
        teller.tell("stopped")
        return
    teller.tell("finished", seconds=round(time.monotonic() - began, 1), **(result or {}))


def explain(error: BaseException) -> Failure:
    return failures.explain(error, _judge)


def _judge(error: BaseException) -> Judgement | None:
    said = str(error)
    if isinstance(error, SettingsError):
        return "Some settings are wrong: " + said, "Change them and start again."
    if isinstance(error, (FileError, JournalError)):
        return said[:1].upper() + said[1:] + ".", "Put that right, then start again."
    return None


def main(argv: list[str]) -> int:
    if len(argv) != 1:
        print("usage: python -m dataset.work JOB", file=sys.stderr)
        return 2
    return worked(Path(argv[0]).absolute(), work, explain)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
