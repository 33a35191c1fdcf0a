"""Working on a job from a terminal: find the one that the same command began, start it, and tell what it says."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from jobs import folder, process, requests
from jobs.events import EventWriter
from jobs.folder import Job
from jobs.output import OLDER
from jobs.verdict import verdict


def begun(kind: str, same: Callable[[Job], bool]) -> Job | None:
    """The newest job of the workspace of this kind that is not finished and that `same` takes for the one that is
    wanted: the same command again goes on with its job."""
    wanted = (job for job in folder.jobs() if job.kind == kind and same(job))
    return next((job for job in wanted if job.state() != "finished"), None)


def at(place: Path) -> Job | None:
    """The job that is in a folder, or None."""
    return Job(place.absolute()) if (place / "job.json").exists() else None


def follow(job: Job, stopping: str) -> int:
    """Start the job, unless it runs or is done, and tell what happens until it ends. Ctrl+C and SIGTERM (a container
    that is shut down) ask it to stop, and `stopping` tells what that means; one that does not answer is ended.

    Returns the exit code: 0 when it finished, was stopped or was paused, 1 when it failed.
    """
    if not folder.something_left(job):
        print(f"{job.folder} is finished already", flush=True)
        return 0
    log = job.log_path.stat().st_size if job.log_path.exists() else 0
    if job.state() != "running":
        begin(job)
    print(f"job: {job.folder}", flush=True)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        watch(job, log, stopping)
    finally:
        signal.signal(signal.SIGTERM, before)
    if job.state() == "interrupted":  # whoever watched over it was killed, and then the job
        EventWriter(job.events_path).write("failed", **verdict(1, job.log_path))
    last = job.last_event
    if last.get("hung"):
        print("\nIt did not answer, and was ended at once; what was saved before stays.", file=sys.stderr, flush=True)
    if last["kind"] == "failed":
        print(f"\n{last['cause']}\n{last['fix']}", file=sys.stderr, flush=True)
    return 0 if last["kind"] in ("finished", "stopped", "paused") else 1


def watch(job: Job, log: int, stopping: str) -> None:
    """Tell what the log says, from an offset on, until the job ends."""
    while True:
        try:
            running = job.state() == "running"
            watched = process.is_watched(job.folder)
            log = echo(job, log)
            if not running and not watched:  # whoever watches over it carries over its last lines
                return
            if running and not watched:
                process.attend(job.folder)
            time.sleep(0.3)
        except KeyboardInterrupt:
            requests.ask(job.folder, "stop")
            grace = (requests.patience_ends(job.folder) or time.time()) - time.time()
            print(f"\n{stopping}; if it does not answer within {grace:.0f} s, it is ended at once", flush=True)


def begin(job: Job) -> None:
    """Start a job, or start it again: what it said or was asked last time counts no more."""
    requests.take(job.folder)
    if job.last_event:
        EventWriter(job.events_path).write("resumed")
    process.start(job)


def echo(job: Job, offset: int) -> int:
    """Print what the log has got since, whole lines only; returns where to go on."""
    if not job.log_path.exists():
        return offset
    if offset > job.log_path.stat().st_size:  # it had become too long, and was begun anew
        shown(job.log_path.with_name(OLDER), offset)
        offset = 0
    return shown(job.log_path, offset)


def shown(path: Path, offset: int) -> int:
    if not path.exists():
        return offset
    with path.open("rb") as file:
        file.seek(offset)
        whole, newline, _ = file.read().rpartition(b"\n")
    if newline:
        print(whole.decode("utf-8", "replace"), flush=True)
    return offset + len(whole) + len(newline)
