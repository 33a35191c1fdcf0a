"""Jobs one after another: a runner, one a workspace, that needs no window and that no window takes with it.

A job is waiting while it has a `queued.json` and neither a process nor a last word. The runner holds a lock while it
lives and ends when nothing waits; so does a second one, at once. Killed, it takes no job with it: the next runner
waits for whatever still runs."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from jobs.events import FINAL, EventWriter, read_events
from jobs.files import read_json, replace
from jobs.folder import Job, home, jobs, something_left
from jobs.lock import locked
from jobs.process import JobError, detached, environment, is_running, kill, spawn, was_killed
from jobs.requests import ignored, take
from jobs.verdict import verdict

PAUSE = 0.5  # seconds between two looks at what runs


def submit(job: Job) -> None:
    """Put a new job at the end of the queue, and see that someone works on it."""
    if not job.folder.parent.samefile(home() / "jobs"):
        raise JobError(f"{job.folder} is not in this workspace; only its own jobs can wait in the queue")
    if job.state() != "queued":
        raise JobError(f"{job.id} is {job.state()}, not new")
    _enqueue(job)
    ensure_runner()


def resume(job: Job) -> None:
    """Put a job of which there is something left to do at the end of the queue again."""
    if (state := job.state()) in ("queued", "running") or not something_left(job):
        raise JobError(f"{job.id} is {state}; there is nothing to resume")
    take(job.folder)  # a wish to stop that came too late for the last time is not meant for this time
    _enqueue(job)
    EventWriter(job.events_path).write("resumed")
    (job.folder / "process.json").unlink(missing_ok=True)  # last: from here on it counts as waiting
    ensure_runner()


def withdraw(job: Job) -> None:
    """Take a waiting job out of the queue. The job itself stays."""
    _mark(job).unlink(missing_ok=True)


def queued(root: Path) -> list[Job]:
    """The jobs that wait, in the order in which they will run."""
    waiting = [
        (mark.get("at", 0), job.id, job)
        for job in jobs(root)
        if (mark := read_json(_mark(job))) is not None and job.state() == "queued"
    ]
    return [job for *_, job in sorted(waiting, key=lambda entry: entry[:2])]


def ensure_runner() -> None:
    """Start a runner if jobs wait and none lives. Safe to call at any time, by anyone, as often as they like."""
    root = home()
    if not queued(root):
        return
    with locked(root / "queue.lock") as free:
        pass
    if free:
        # Without the secrets: one that is removed while it lives must not go on to the jobs that it starts.
        variables = environment() | {"LORATORY_HOME": str(root)}
        detached([sys.executable, "-m", "jobs.queue", str(root)], root / "queue.log", variables)


def run(root: Path) -> None:
    """Work until nothing waits. Returns at once where another runner is at it."""
    # Asked again after the lock is let go: a job that was submitted while we still held it, after we had looked for
    # the last time, is ours; one that comes later finds the lock free, and its submitter starts a runner.
    while queued(root):
        with locked(root / "queue.lock") as mine:
            if not mine:
                return
            while job := _next(root):
                work(job)


def _next(root: Path) -> Job | None:
    """The job whose turn it is, once nothing else runs."""
    while waiting := queued(root):
        if not any(job.state() == "running" for job in jobs(root)):
            return waiting[0]
        time.sleep(PAUSE)
    return None


def work(job: Job) -> None:
    """Run a job to its end. Whatever ends it, the events say so."""
    # What an earlier attempt left is older.
    log_starts, events_start = (path.stat().st_size if path.exists() else 0 for path in (job.log_path, job.events_path))
    try:
        process = spawn(job)
    except JobError:
        return  # someone started it by hand in this moment
    except OSError as error:
        fix = "Check that the program's environment is complete with `python launch.py doctor`, then press Resume."
        EventWriter(job.events_path).write("failed", cause=f"It could not be started: {error}", fix=fix, traceback="")
        return
    # The launcher may be killed, and what it launched be not.
    while (code := process.poll()) is None or is_running(job.folder):
        if ignored(job.folder):
            kill(job, hung=True)
        time.sleep(PAUSE)
    said = read_events(job.events_path, events_start)[0]  # its last word may not be the last any more: resumed at once
    if job.folder.exists() and not was_killed(job.folder) and not any(event["kind"] in FINAL for event in said):
        EventWriter(job.events_path).write("failed", **verdict(code, job.log_path, log_starts))


def _enqueue(job: Job) -> None:
    replace(_mark(job), json.dumps({"at": time.time()}))


def _mark(job: Job) -> Path:
    return job.folder / "queued.json"


if __name__ == "__main__":
    os.environ["LORATORY_HOME"] = sys.argv[1]
    run(home())
