"""Installs a lock file into `.venv`: with uv where it is on the PATH, else (or when uv fails) with pip.

A lock names every package, so nothing is resolved (`--no-deps`): no backtracking, the same versions everywhere. Where
torch comes from is decided here and nowhere else (torch_index).
"""

from __future__ import annotations

import ast
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

# What a torch wheel brings along; these lines of the lock are left out when torch comes from an index of its own.
OF_TORCH = re.compile(r"(torch|torchvision|triton|nvidia-.*|cuda-.*)==")
SIZE = "about 6 GB on disk, CUDA included" if sys.platform == "linux" else "some GB on disk"


def torch_index() -> str:
    """Package index that torch and torchvision come from; "" for the same as everything else.

    Linux (CUDA) and macOS (MPS) wheels are in the default index. For Windows that one has CPU wheels only, so with an
    NVIDIA driver there PyTorch's own index is used. LORATORY_TORCH_INDEX names another one: CPU only, ROCm, older CUDA.
    """
    if index := os.environ.get("LORATORY_TORCH_INDEX"):
        return index
    cuda_on_windows = sys.platform == "win32" and shutil.which("nvidia-smi")
    return "https://download.pytorch.org/whl/cu132" if cuda_on_windows else ""


def install(python: Path, lock: Path) -> bool:
    """Installs every package of the lock; True when all are in. What went wrong has been shown."""
    pins = pinned(lock)
    size = f" ({SIZE})" if "torch" in pins else ""
    uv = shutil.which("uv")
    name = os.path.relpath(lock, python.parents[2])
    say(f"Installing {len(pins)} packages of {name} with {'uv' if uv else 'pip'}{size}")
    if uv:
        if all(run_uv(uv, python, step) for step in steps(python, lock)):
            return True
        say("uv could not install them; trying pip.")
    return has_pip(python) and all(run_pip(python, step, len(pins)) for step in steps(python, lock))


def steps(python: Path, lock: Path) -> list[list[str]]:
    """What to ask the installer for, call by call: the lock; or torch from its own index first, then the others."""
    index = torch_index()
    lines = lock.read_text(encoding="utf-8").splitlines()
    torch = [line.split(" ")[0] for line in lines if re.match("torch(vision)?==", line)]
    if not index or not torch:
        return [["--no-deps", "-r", str(lock)]]
    rest = python.parent.parent / "without-torch.txt"
    rest.write_text("\n".join(line for line in lines if not OF_TORCH.match(line)), encoding="utf-8")
    return [["--index-url", index, *torch], ["--no-deps", "-r", str(rest)]]


def pinned(lock: Path) -> dict[str, str]:
    """Package -> version for what this machine installs, as far as it can be told without a marker parser."""
    pins = {}
    for line in lock.read_text(encoding="utf-8").splitlines():
        if pin := re.match(r"([A-Za-z0-9._-]+)==([^ ;]+)(.*)", line):
            name, version, marker = pin.groups()
            system = re.search(r"sys_platform == '(\w+)'", marker)
            oldest = re.search(r"python_full_version >= '(\d+)\.(\d+)'", marker)
            newer = oldest and (int(oldest[1]), int(oldest[2])) > sys.version_info[:2]
            if (not system or system[1] == sys.platform) and not newer:
                pins[name] = version
    return pins


# ---- uv


def run_uv(uv: str, python: Path, what: list[str]) -> bool:
    """uv draws its own progress on a terminal; elsewhere its list of every package is dropped."""
    command = [uv, "pip", "install", "--python", str(python), *what]
    environment = clean_environ()
    if "--index-url" not in what:
        options, variables = pip_settings()
        command += options
        environment = {**variables, **environment}
    if sys.stderr.isatty():
        return subprocess.run(command, env=environment).returncode == 0
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, env=environment, **piped) as process:
        for line in process.stdout:
            if not line.startswith((" + ", " - ", " ~ ")):
                say("  " + line.rstrip())
    return process.returncode == 0


def pip_settings() -> tuple[list[str], dict[str, str]]:
    """The person's pip configuration in uv's words, as options and variables, because uv does not read it.

    Nothing when uv has indices of its own. To pip all indices are equal (`unsafe-best-match`), and so they stay.
    """
    if any(name.startswith("UV_") and ("INDEX" in name or "FIND_LINKS" in name) for name in os.environ):
        return [], {}
    found = pip_config()
    options = [part for url in found.get("index-url", [])[-1:] for part in ("--index-url", url)]
    options += [part for url in found.get("extra-index-url", []) for part in ("--extra-index-url", url)]
    options += [part for url in found.get("find-links", []) for part in ("--find-links", url)]
    options += [part for host in found.get("trusted-host", []) for part in ("--allow-insecure-host", host)]
    if found.get("no-index", ["0"])[-1].lower() in ("1", "true", "yes", "on"):
        options += ["--no-index"]
    if "extra-index-url" in found:
        options += ["--index-strategy", "unsafe-best-match"]
    variables = {"cert": ["SSL_CERT_FILE"], "proxy": ["HTTP_PROXY", "HTTPS_PROXY"]}
    return options, {name: found[key][-1] for key in variables if key in found for name in variables[key]}


def pip_config() -> dict[str, list[str]]:
    """pip's settings (files and PIP_ variables) as `pip config list` tells them; a later source replaces an earlier."""
    command = [base_python(), "-m", "pip", "config", "list"]
    listing = subprocess.run(command, capture_output=True, text=True).stdout  # empty where this Python has no pip
    order = {"global": 0, "install": 1, ":env:": 2}
    lines = [re.match(r"(global|install|:env:)\.([a-z-]+)=(.+)", line) for line in listing.splitlines()]
    found = {}
    for line in sorted(filter(None, lines), key=lambda line: order[line[1]]):
        value = str(ast.literal_eval(line[3]))
        found[line[2]] = [value] if line[2] in ("cert", "proxy") else value.split()
    return found


# ---- pip


def has_pip(python: Path) -> bool:
    """Puts Python's bundled pip into the environment when it is not there yet."""
    quiet = {"capture_output": True, "env": clean_environ()}
    if subprocess.run([python, "-m", "pip", "--version"], **quiet).returncode == 0:
        return True
    made = subprocess.run([python, "-m", "ensurepip"], **quiet)
    if made.returncode:
        say("This Python has no pip of its own. On Debian: apt install python3-venv; or install uv.")
    return made.returncode == 0


def run_pip(python: Path, what: list[str], total: int) -> bool:
    """pip prints hundreds of lines; this shows how far it is, and its last words when it fails."""
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off", *what]
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    process = subprocess.Popen(command, env=clean_environ(), **piped)
    progress, show, tail = PipProgress(total, site_packages(python.parent.parent)), Status(), []
    try:
        for line in lines_or_ticks(process):
            tail = [*tail, line][-12:] if line else tail
            show(progress.after(line))
    except KeyboardInterrupt:
        process.terminate()  # no installer may go on behind the person's back
        raise
    finally:
        process.wait()
        show.end()
    if process.returncode:
        say("\n".join(f"  {line}" for line in tail))
    return process.returncode == 0


class PipProgress:
    """How far pip is, read from its lines while it fetches and from the folder while it unpacks in silence."""

    def __init__(self, total: int, packages: Path):
        self.total, self.packages = total, packages
        self.fetched, self.unpacking, self.text = 0, False, ""

    def after(self, line: str) -> str:
        """The words to show once pip has printed this line."""
        if named := re.match(r"(?:Collecting|Requirement already satisfied:) ([\w.-]+)", line):
            self.fetched += 1
            self.text = f"fetching {self.fetched} of {self.total}: {named[1]}"
        elif big := re.match(r"Downloading .*\((\d+(\.\d+)? [MG]B)", line):
            self.text += f", {big[1]}"
        elif line.startswith("Installing collected packages"):
            self.unpacking = True
        if self.unpacking:
            self.text = f"unpacking {sum(1 for _ in self.packages.glob('*.dist-info'))} of {self.total}"
        return self.text


def lines_or_ticks(process: subprocess.Popen) -> Iterator[str]:
    """The process's lines as they come, and "" for each second without one."""
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        for line in process.stdout:
            lines.put(line.strip())
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=1)
        except queue.Empty:
            line = ""
        if line is None:
            return
        yield line


class Status:
    """One line that keeps changing on a terminal; a line every ten seconds elsewhere."""

    def __init__(self):
        self.terminal = sys.stderr.isatty()
        self.shown, self.at = "", time.monotonic()

    def __call__(self, text: str) -> None:
        if text == self.shown or (not self.terminal and time.monotonic() < self.at + 10):
            return
        if self.terminal:
            width = max(20, shutil.get_terminal_size().columns - 3)
            print(f"\r  {text:{width}.{width}}", end="", file=sys.stderr, flush=True)
        else:
            say(f"  {text}")
        self.shown, self.at = text, time.monotonic()

    def end(self) -> None:
        if self.terminal and self.shown:
            print(file=sys.stderr)


# ---- what is installed


def site_packages(folder: Path) -> Path:
    """Where the environment keeps its packages."""
    return next(folder.glob("lib/python3*/site-packages"), folder / "Lib" / "site-packages")


def discard_torn(folder: Path) -> None:
    """Forgets packages whose unpacking was cut off: RECORD or INSTALLER, written last, are missing.

    Installers would take such a package for installed and leave it half there.
    """
    for info in site_packages(folder).glob("*.dist-info"):
        if not ((info / "RECORD").exists() and (info / "INSTALLER").exists()):
            shutil.rmtree(info)


def differences(lock: Path) -> list[str]:
    """Pins of the lock that the running Python does not have, as `name==version`; a local `+cu132` counts as equal."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        from packaging.requirements import Requirement
    except ImportError:
        return [f"{name}=={version}" for name, version in pinned(lock).items()]

    def installed(name: str) -> str | None:
        try:
            return version(name)
        except PackageNotFoundError:
            return None

    lines = [line for line in lock.read_text(encoding="utf-8").splitlines() if line and line[0] not in "# -"]
    if "+" in (installed("torch") or ""):  # from an index of its own, with the CUDA packages that belong to it
        lines = [line for line in lines if not OF_TORCH.match(line)]
    pins = [Requirement(line) for line in lines]
    pins = [pin for pin in pins if not pin.marker or pin.marker.evaluate()]
    return [f"{pin.name}{pin.specifier}" for pin in pins if not pin.specifier.contains(installed(pin.name) or "0")]


def differences_in(python: Path, lock: Path) -> list[str]:
    """The same asked of another Python."""
    ask = "import sys, json, pathlib, setup.packages as p; print(json.dumps(p.differences(pathlib.Path(sys.argv[1]))))"
    repository = Path(__file__).resolve().parent.parent
    piped = {"stdout": subprocess.PIPE, "text": True, "check": True}
    result = subprocess.run([python, "-c", ask, lock], cwd=repository, env=clean_environ(), **piped)
    return json.loads(result.stdout)


def base_python() -> str:
    """The Python that environments are made from: the running one, or the one below it when that is a .venv's."""
    return getattr(sys, "_base_executable", None) or sys.executable


def clean_environ() -> dict[str, str]:
    """The person's variables without those that would show a Python other packages than its own, or that would make it
    compile all of torch anew at every start (rented machines' images like to set that one)."""
    misleading = ("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if name not in misleading}


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
