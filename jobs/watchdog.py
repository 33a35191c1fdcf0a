"""Says so when a job that runs makes no progress: how long, what it said last, whether it computes, and what to do.

It never ends anything: a slow disk, a large download and a driver that hangs look alike from outside."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import psutil

from jobs.events import EventWriter, last_event
from jobs.folder import Job
from jobs.process import GONE, processes

QUIET = 10 * 60  # seconds without an event while a job does what it is for
LOADING = 30 * 60  # before that: models are loaded and fetched, and nobody says how far
STEPS = 30  # the time of so many steps is no silence, however slow they are
EVERY = 5.0  # seconds between two looks
WORKING = ("step", "progress", "sample", "checkpoint", "caption", "said")  # events of a job that is past its beginning
IDLE = 0.01  # share of a processor core below which nothing is computed


class Watchdog:
    """Asked now and then for as long as the job runs. `clock` counts seconds."""

    def __init__(self, job: Job, clock: Callable[[], float] = time.monotonic):
        self._job, self._clock = job, clock
        self._looked = -EVERY
        self._heard()

    def _heard(self) -> None:
        """There was an event, or we have just come."""
        self._size, self._since, self._warned = self._events(), self._clock(), 0.0
        self._worked = computed(self._job)

    def look(self) -> None:
        """Write a warning if the job has been silent too long; again when it has been silent twice as long."""
        now = self._clock()
        if now - self._looked < EVERY:
            return
        self._looked = now
        if self._events() != self._size:
            return self._heard()
        silent, last = now - self._since, last_event(self._job.events_path, lambda event: event["kind"] != "warning")
        if silent < max(limit(last), 2 * self._warned):
            return
        self._warned = silent
        share = max(0.0, computed(self._job) - self._worked) / silent
        EventWriter(self._job.events_path).write("warning", message=words(silent, last, share))
        self._size = self._events()

    def _events(self) -> int:
        return self._job.events_path.stat().st_size if self._job.events_path.exists() else 0


def limit(last: dict[str, Any] | None) -> float:
    """Seconds of silence after this event that mean something."""
    if last is None or last["kind"] not in WORKING:
        return LOADING
    speed = last.get("it_s")
    return max(QUIET, STEPS / speed if isinstance(speed, int | float) and speed > 0 else 0)


def words(silent: float, last: dict[str, Any] | None, share: float) -> str:
    """`share`: of a processor core, that its programs have used meanwhile."""
    doing = f"its programs compute ({share:.0%} of a core)" if share > IDLE else "its programs compute nothing"
    text = f"no progress for {silent / 60:.0f} minutes: the last it said was {described(last)}, and {doing}. "
    if last is None or last["kind"] not in WORKING:
        return text + (
            "A large download or a slow disk can take this long; see whether the log moves. If not: stop it, look "
            "whether the network and the disk answer, and resume."
        )
    return text + (
        "Another program may use the same device (`nvidia-smi` shows it), or a driver hangs. If the log does not move "
        "either: pause it and resume; one that does not answer is ended, and goes on from what was saved last."
    )


def described(last: dict[str, Any] | None) -> str:
    if last is None:
        return "nothing at all"
    where = last.get("step", last.get("done"))
    if last["kind"] == "phase":
        return f'"{last.get("name", "")}", {last.get("done", 0)} of {last.get("total", 1)}'
    return last["kind"] if where is None else f"{last['kind']} {where}"


def computed(job: Job) -> float:
    """Seconds of processor time that the living programs of a job have used."""
    return sum(map(_seconds, family(processes(job.folder))))


def family(found: Iterable[psutil.Process]) -> set[psutil.Process]:
    """Processes with all that came from them."""
    everyone = set(found)
    for process in list(everyone):
        try:
            everyone.update(process.children(recursive=True))
        except GONE:
            continue
    return everyone


def _seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except GONE:
        return 0.0
    return times.user + times.system
