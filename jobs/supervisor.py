"""`python -m jobs.supervisor JOB start [DEVICE ...]` starts a job's process and watches over it; `JOB watch` only that.

It carries the output over into the log, ends what does not answer, warns of silence, and says how the process ended if
that said nothing itself. It is expendable: the process neither hears of its death nor waits for it, whoever passes by
next (the queue's runner) puts another one in its place, and all that is lost is the exit code. Whoever started it reads
one line of JSON: the pid, or what went wrong.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jobs import requests
from jobs.events import FINAL, EventWriter, read_events
from jobs.folder import Job
from jobs.lock import locked
from jobs.output import FULL, Output
from jobs.process import LOCK, SUPERVISOR_LOG, JobError, is_running, job_environment, kill, spawn, was_killed
from jobs.queue import ensure_runner
from jobs.redaction import redaction
from jobs.verdict import verdict
from jobs.watchdog import Watchdog

PAUSE = 0.2  # seconds between two looks
SLOW_PAUSE = 1.0  # where a look means going through all processes of the machine
PATIENCE = 10.0  # seconds in which a supervisor of the time before has to come to its end


def main(argv: Sequence[str]) -> int:
    job, how, devices = Job(Path(argv[0])), argv[1], argv[2:]
    with locked(job.folder / LOCK, PATIENCE if how == "start" else 0) as mine:
        if not mine:
            answer(error=f"{job.id} is running already")
            return 1
        asked = on_sigterm(job)
        if how == "start":
            if not started(job, devices):
                return 1
        else:
            watch(job, None)
        swept(job.folder / SUPERVISOR_LOG)
        if not asked:  # else the machine is going down
            ensure_runner()
    return 0


def started(job: Job, devices: Sequence[str]) -> bool:
    """Start the process, tell whoever waits for that, and watch over it to its end. False where it did not start."""
    output = Output(job.folder, redaction(job_environment()))
    if not is_running(job.folder):
        output.finish()  # what an earlier process left when everything was killed
    before = Before(job)
    try:
        process = spawn(job, devices)
    except JobError as error:
        answer(error=str(error))
        return False
    except OSError as error:
        answer(error=error.strerror or str(error), errno=error.errno or errno.EIO, filename=str(error.filename or ""))
        return False
    answer(pid=process.pid)
    watch(job, process)
    before.judge(process.returncode)
    return True


def watch(job: Job, process: subprocess.Popen[bytes] | None) -> None:
    """Until the process, and all that it has started, is gone."""
    output, watchdog = Output(job.folder, redaction(job_environment())), Watchdog(job)
    while job.folder.exists():
        launched = process is not None and process.poll() is None
        if not (launched or is_running(job.folder)):
            break
        output.carry()
        if requests.ignored(job.folder):
            kill(job, hung=True)
        watchdog.look()
        rest(process if launched else None, job)
    if job.folder.exists():
        output.finish()


def rest(process: subprocess.Popen[bytes] | None, job: Job) -> None:
    if process is None:
        time.sleep(PAUSE if is_running(job.folder, thorough=False) else SLOW_PAUSE)
        return
    try:
        process.wait(PAUSE)
    except subprocess.TimeoutExpired:
        return


class Before:
    """How far events and log were before the process began: what counts for its end is what came after."""

    def __init__(self, job: Job):
        self._job = job
        self._events, self._log = (
            path.stat().st_size if path.exists() else 0 for path in (job.events_path, job.log_path)
        )

    def judge(self, code: int) -> None:
        """Say how the process ended, if nobody has. On a full disk that cannot be said; then it counts as
        interrupted."""
        job = self._job
        if not job.folder.exists() or was_killed(job.folder):
            return
        # Its last word may not be the last any more: it may have been queued again at once.
        if any(event["kind"] in FINAL for event in read_events(job.events_path, self._events)[0]):
            return
        try:
            EventWriter(job.events_path).write("failed", **verdict(code, job.log_path, self._log))
        except OSError as error:
            if error.errno not in FULL:
                raise


def on_sigterm(job: Job) -> list[int]:
    """Told to end, as everything is when a machine goes down, it asks the job to stop and watches over that. Returns a
    list that is not empty from then on."""
    asked: list[int] = []

    def ask(number: int, _frame: object) -> None:
        asked.append(number)
        requests.ask(job.folder, "stop")

    signal.signal(signal.SIGTERM, ask)
    return asked


def answer(**values: Any) -> None:
    """The one line for whoever started us, and the end of that conversation."""
    try:
        print(json.dumps(values), flush=True)
    except BrokenPipeError:
        pass  # gone already; the job does not depend on it
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.close(silence)


def swept(path: Path) -> None:
    if path.exists() and not path.stat().st_size:
        path.unlink()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
