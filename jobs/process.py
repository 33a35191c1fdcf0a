"""Starting, finding and killing the process that works on a job. It outlives whoever started it.

A pid alone does not name a process: after a crash or a restart of the machine it may belong to someone else. So its
birth is kept with it. And a launcher may die before the program it launched, so that is asked about as well."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from jobs import secrets
from jobs.devices import visible
from jobs.events import FINAL, EventWriter, last_event
from jobs.files import REPOSITORY, home, read_json, replace
from jobs.lock import held, locked
from jobs.output import FULL, RAW

if TYPE_CHECKING:
    from jobs.folder import Job

OF_THE_WINDOW = ("GRADIO_", "LORATORY_TOKEN")  # beginnings of variables that are no job's business
MARK = "LORATORY_JOB"  # in the environment of all processes of a job: its folder
LOCK = ".lock"  # held by whoever watches over the job
BEFORE = "process.before.json"  # the process before the job was queued again
SUPERVISOR_LOG = "supervisor.log"  # empty, unless the supervisor itself had an accident
GONE = (psutil.NoSuchProcess, psutil.AccessDenied)  # ended meanwhile, or of another user: not ours


class JobError(RuntimeError):
    """A job cannot be done what was asked, and why."""


def start(job: Job, devices: Sequence[str] = ()) -> int:
    """Run a job's command on its own, watched over by a supervisor: closing the window, or Ctrl+C there, reaches
    neither. `devices`: what it is to compute on, as jobs.devices names them. Returns the pid.

    Raises JobError where the job is being worked on already, OSError where its program cannot be started."""
    if is_running(job.folder):  # else we would wait for its supervisor to come to its end
        raise JobError(f"{job.id} is running already")
    supervisor = _supervisor(job.folder, "start", *devices)
    with supervisor.stdout as answers:
        answer = json.loads(answers.readline() or b"{}")
    if "pid" in answer:
        return answer["pid"]
    if "errno" in answer:
        raise OSError(answer["errno"], answer["error"], answer["filename"])
    raise JobError(answer.get("error", f"the supervisor of {job.id} ended at once: see {job.folder / SUPERVISOR_LOG}"))


def attend(folder: Path) -> None:
    """See that someone watches over a job that runs: its supervisor may have been killed."""
    if not is_watched(folder):
        _supervisor(folder, "watch").stdout.close()


def is_watched(folder: Path) -> bool:
    """Whether a supervisor lives: then its word about how the job ended is still to come."""
    return held(folder / LOCK)


def spawn(job: Job, devices: Sequence[str] = ()) -> subprocess.Popen[bytes]:
    """The process itself, for its supervisor. Raises JobError where the job is being worked on already."""
    if is_running(job.folder):
        raise JobError(f"{job.id} is running already")
    variables = job_environment() | {MARK: _mark(job.folder)} | visible(devices)
    process = detached(job.argv, job.folder / RAW, variables)
    try:
        _remember(job.folder, process.pid, devices)
    except OSError:  # a full disk: nobody could ever find this process again
        process.kill()
        raise
    return process


def claim(folder: Path) -> None:
    """Say that this very process works on a job: for a run in the foreground. Raises JobError where another does."""
    with locked(folder / LOCK, patience=1) as mine:
        if not mine or any(process.pid != os.getpid() for process in processes(folder)):
            raise JobError(f"{folder.name} is running already")
        _remember(folder, os.getpid())
    os.environ[MARK] = _mark(folder)  # for those that we start


def _supervisor(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    variables = {name: value for name, value in environment().items() if name != MARK}  # it is no part of a job
    argv = [sys.executable, "-m", "jobs.supervisor", str(folder.absolute()), *words]
    return detached(argv, folder / SUPERVISOR_LOG, variables, answers=True)


def detached(
    argv: list[str], output: Path, variables: dict[str, str], answers: bool = False
) -> subprocess.Popen[bytes]:
    """A process with a session of its own, no input, and its output appended to a file that only we can read: nothing
    ties it to us. `answers`: what it says first (its stdout) is for us."""
    with open(output, "ab", opener=lambda path, flags: os.open(path, flags, 0o600)) as log:
        options: dict[str, Any] = {
            "cwd": REPOSITORY,
            "env": variables,
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE if answers else log,
            "stderr": log,
        }
        if sys.platform != "win32":
            return subprocess.Popen(argv, start_new_session=True, **options)
        # A console of its own, not shown, so that Ctrl+C in ours is not heard; and out of the group of processes that
        # ends with its first one, where that is allowed.
        flags = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
        try:
            return subprocess.Popen(argv, creationflags=flags | subprocess.CREATE_BREAKAWAY_FROM_JOB, **options)
        except PermissionError:
            return subprocess.Popen(argv, creationflags=flags, **options)


def job_environment() -> dict[str, str]:
    """What a job's process is started with. It gets the secrets that were saved here, and in no other way.

    Its computing threads sleep while they wait for each other: on cores that others use too, those that spin instead
    keep the one from its core that they wait for, and what is computed takes ten times as long."""
    return {"OMP_WAIT_POLICY": "passive"} | environment() | secrets.saved(home())


def environment() -> dict[str, str]:
    """Ours, without what belongs to the window (Gradio's, the password), and so that `-m trainer` is found and its
    output is seen at once."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(OF_THE_WINDOW)}
    path = [str(REPOSITORY), *filter(None, ours.get("PYTHONPATH", "").split(os.pathsep))]
    return ours | {"PYTHONPATH": os.pathsep.join(dict.fromkeys(path)), "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}


def is_running(folder: Path, thorough: bool = True) -> bool:
    """Whether someone works on the job. `thorough` also finds programs whose launcher was killed; it takes longer."""
    return bool(processes(folder) if thorough else _launched(folder))


def has_process(folder: Path) -> bool:
    """Whether a process was ever started for the job (since it was queued last)."""
    return (folder / "process.json").exists()


def processes(folder: Path) -> list[psutil.Process]:
    """The living processes of a job: the one that was started, else what it has left behind."""
    if not has_process(folder):
        return []
    if launched := _launched(folder):
        return launched
    mark = _mark(folder)
    return [process for process in psutil.process_iter() if _has_mark(process, mark)]


def kill(job: Job, hung: bool = False) -> None:
    """Stop a job's whole process tree at once, without a save. Nothing happens where none of it lives. `hung`: because
    it did not answer when it was asked to end."""
    found = processes(job.folder)
    if not found:
        return
    with unless_full():
        known = read_json(job.folder / "process.json") or {}
        replace(job.folder / "process.json", json.dumps(known | {"killed": True}))  # not to be taken for a crash
    deadline = time.monotonic() + 10
    while found and time.monotonic() < deadline:  # again, for what was started while we were killing
        found += [child for process in found for child in _children(process)]
        for process in found:
            _kill(process)
        psutil.wait_procs(found, timeout=3)
        found = processes(job.folder)
    last = last_event(job.events_path)
    if not found and (last is None or last["kind"] not in FINAL):
        with unless_full():
            EventWriter(job.events_path).write("stopped", killed=True, hung=hung)


@contextmanager
def unless_full() -> Iterator[None]:
    """Notes that a full disk has no room for: what they are about is done all the same."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise


def was_killed(folder: Path) -> bool:
    """Whether the end of the process was a person's wish."""
    return bool((read_json(folder / "process.json") or {}).get("killed"))


def devices_of(folder: Path) -> list[str]:
    """What the job's process was given to compute on; nothing where it was started without a word of that."""
    return list((read_json(folder / "process.json") or {}).get("devices", []))


def set_aside(folder: Path) -> None:
    """From here on the job counts as one without a process; `put_back` makes it what it was."""
    if has_process(folder):
        os.replace(folder / "process.json", folder / BEFORE)


def put_back(folder: Path) -> None:
    if (folder / BEFORE).exists() and not has_process(folder):
        os.replace(folder / BEFORE, folder / "process.json")


def _remember(folder: Path, pid: int, devices: Sequence[str] = ()) -> None:
    try:
        born = birth(pid)
    except GONE:
        born = "unknown"  # it has ended already
    replace(folder / "process.json", json.dumps({"pid": pid, "born": born, "devices": list(devices)}))


def birth(pid: int) -> str:
    """When a process was born, in a form that no clock adjustment changes. Raises psutil.NoSuchProcess.

    On Linux, psutil counts from the clock's idea of when the machine was started, and that moves when the clock is
    set; ticks since this very start don't."""
    if not sys.platform.startswith("linux"):
        return repr(psutil.Process(pid).create_time())
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()  # a name may have spaces in it
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {fields[19]}"
    except (FileNotFoundError, ProcessLookupError):
        raise psutil.NoSuchProcess(pid) from None


def _launched(folder: Path) -> list[psutil.Process]:
    """The process in process.json, if it lives and is that very one. A zombie has ended: nobody fetched its result."""
    known = read_json(folder / "process.json")
    try:
        if known is None or birth(known["pid"]) != known["born"]:
            return []
        process = psutil.Process(known["pid"])
        return [process] if process.status() != psutil.STATUS_ZOMBIE else []
    except (*GONE, KeyError, TypeError):
        return []


def _mark(folder: Path) -> str:
    return str(folder.resolve())


def _has_mark(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE
    except (*GONE, OSError):
        return False


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except GONE:
        return []


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()  # psutil looks at the birth once more before it signals
    except GONE:
        return
