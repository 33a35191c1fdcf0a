"""Which jobs wait and in what order, and whether the queue goes on. All of it is files in the workspace.

A job is waiting while it has a `queued.json` and neither a process nor a last word. Its place is a number in that file,
so that moving a job writes one small file, and a crash leaves the old order or the new one. `jobs/runner.py` starts
what waits; it lives while there is something to do, needs no window, and is started again by whoever passes by."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from jobs.events import FINAL, EventWriter, read_events
from jobs.files import home, read_json, replace
from jobs.folder import Job, jobs, something_left
from jobs.lock import held, locked
from jobs.process import JobError, detached, environment, is_watched, put_back, set_aside
from jobs.requests import take

Direction = Literal["up", "down", "next"]
MOVES = ("up", "down", "next")
PATIENCE = 30.0  # seconds for others to come to an end with the order


def submit(job: Job) -> None:
    """Put a job that was never started at the end of the queue, and see that someone works on it."""
    _ours(job)
    if job.state() != "queued":
        raise JobError(f"{job.id} is {job.state()}, not new")
    _enqueue(job)
    ensure_runner()


def resume(job: Job) -> None:
    """Put a job of which there is something left to do at the end of the queue again."""
    _ours(job)
    with order(job.folder.parent.parent):  # asked for twice, it is put there once
        if (state := job.state()) in ("queued", "running") or not something_left(job):
            raise JobError(f"{job.id} is {state}; there is nothing to resume")
        take(job.folder)  # a wish to stop that came too late for the last time is not meant for this time
        _enqueue(job)
        EventWriter(job.events_path).write("resumed")
        set_aside(job.folder)  # last: from here on it counts as waiting
    ensure_runner()


def withdraw(job: Job) -> None:
    """Take a waiting job out of the queue. The job stays what it was before it was queued."""
    with order(job.folder.parent.parent):
        if job.state() != "queued":
            raise JobError(f"{job.id} is {job.state()}, not waiting")
        _mark(job).unlink(missing_ok=True)
        _take_back(job)


def move(job: Job, where: Direction) -> None:
    """Let a waiting job change places with the one before or after it, or be the next that runs."""
    root = job.folder.parent.parent
    with order(root):
        waiting = queued(root)
        if job not in waiting:
            raise JobError(f"{job.id} is not waiting in the queue")
        here = waiting.index(job)
        waiting.remove(job)
        there = {"up": max(0, here - 1), "down": here + 1, "next": 0}[where]
        _put(job, waiting[:there], waiting[there:])


def place(job: Job, before: Job | None) -> None:
    """Let a waiting job run before another one that waits; without one, last."""
    root = job.folder.parent.parent
    with order(root):
        waiting = queued(root)
        if job not in waiting:
            raise JobError(f"{job.id} is not waiting in the queue")
        waiting.remove(job)
        there = waiting.index(before) if before in waiting else len(waiting)
        _put(job, waiting[:there], waiting[there:])


def queued(root: Path) -> list[Job]:
    """The jobs that wait, in the order in which they will run."""
    waiting = [
        (mark.get("at", 0), job.id, job)
        for job in jobs(root)
        if (mark := read_json(_mark(job))) is not None and job.state() == "queued"
    ]
    return [job for *_, job in sorted(waiting, key=lambda entry: entry[:2])]


def pause(root: Path) -> None:
    """Start nothing more, until `go_on`. What runs goes on."""
    with order(root):
        replace(root / "queue.paused", json.dumps({"at": time.time()}))


def go_on(root: Path) -> None:
    (root / "queue.paused").unlink(missing_ok=True)
    ensure_runner()


def paused(root: Path) -> bool:
    return (root / "queue.paused").exists()


@contextmanager
def order(root: Path) -> Iterator[None]:
    """Nobody else starts, moves or withdraws a job while the block runs. Raises JobError if others take too long."""
    with locked(root / "queue.order.lock", PATIENCE) as mine:
        if not mine:
            raise JobError("the queue is busy: try again in a moment")
        yield


def something_to_do(root: Path) -> bool:
    """Whether a runner is of use: jobs wait and may start, or one runs that nobody watches over."""
    return bool(not paused(root) and queued(root)) or any(unwatched(root))


def unwatched(root: Path) -> Iterator[Job]:
    """Jobs that run and whose supervisor was killed."""
    return (job for job in jobs(root) if job.state() == "running" and not is_watched(job.folder))


def ensure_runner() -> None:
    """Start a runner if there is something to do and none lives. Safe to call at any time, by anyone, as often as they
    like."""
    root = home()
    if something_to_do(root) and not held(root / "queue.lock"):
        variables = environment() | {"LORATORY_HOME": str(root)}
        detached(runner_command(root), root / "queue.log", variables)


def runner_command(root: Path) -> list[str]:
    """How the process that works on the queue is started, and known."""
    return [sys.executable, "-m", "jobs.runner", str(root)]


def _ours(job: Job) -> None:
    if not job.folder.parent.samefile(home() / "jobs"):
        raise JobError(f"{job.folder} is not in this workspace; only its own jobs can wait in the queue")


def _enqueue(job: Job) -> None:
    """At the end, also where someone was moved there a moment ago, with a number that is yet to come."""
    last = max((_at(other) for other in queued(job.folder.parent.parent)), default=0.0)
    replace(_mark(job), json.dumps({"at": max(time.time(), last + 1)}))


def _mark(job: Job) -> Path:
    return job.folder / "queued.json"


def _put(job: Job, before: list[Job], after: list[Job]) -> None:
    """Give the job a number between its neighbours'; where there is none left between them, everyone a new one."""
    low = _at(before[-1]) if before else None
    high = _at(after[0]) if after else None
    if low is None or high is None:
        at = (high - 1) if high is not None else (low + 1 if low is not None else time.time())
    else:
        at = (low + high) / 2
    if (low is None or low < at) and (high is None or at < high):
        return replace(_mark(job), json.dumps({"at": at}))
    everyone = [*before, job, *after]
    first = time.time() - len(everyone)  # all in the past, so that whoever comes next is last
    for number, one in enumerate(everyone):
        replace(_mark(one), json.dumps({"at": first + number}))
    return None


def _at(job: Job) -> float:
    return (read_json(_mark(job)) or {}).get("at", 0)


def _take_back(job: Job) -> None:
    """Undo `resume`: its last word counts again."""
    events, _ = read_events(job.events_path)
    if not events or events[-1]["kind"] != "resumed":
        return
    put_back(job.folder)
    if len(events) > 1 and events[-2]["kind"] in FINAL:
        said = {name: value for name, value in events[-2].items() if name not in ("time", "kind")}
        EventWriter(job.events_path).write(events[-2]["kind"], **said)
