"""What the Runs tab knows of all runs.

Of runs that nobody looks at only the last words are known, of those that were looked at only the latest are kept whole:
a workspace may have hundreds, each of tens of thousands of steps.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gui.run import COUNTS, FRESH, KINDS, Run
from jobs.events import last_event
from jobs.folder import Job
from jobs.process import JobError

WHOLE = 24  # runs that are kept in memory, about a megabyte each
QUEUED = "queued.json"  # is there while a job waits for its turn


@dataclass
class Glance:
    """What a list says of a job, true until one of its files changes."""

    touched: tuple[Any, ...]
    asked: float = -math.inf
    state: str = ""
    word: str = ""  # what a page calls it: of what has not begun, whether it is in the queue
    last: dict[str, Any] = field(default_factory=dict)  # the last event
    step: dict[str, Any] = field(default_factory=dict)  # the last one of a step, or of progress


class Runs:
    """All runs of a workspace."""

    def __init__(self, home: Path):
        self._home = home
        self._whole: OrderedDict[str, Run] = OrderedDict()  # what was looked at last comes last
        self._list: list[Job] = []
        self._listed_at = -math.inf
        self._glances: dict[str, Glance] = {}
        self._lock = threading.Lock()

    def jobs(self) -> list[Job]:
        """Newest first."""
        with self._lock:
            if time.monotonic() - self._listed_at > FRESH:
                self._look()
                self._listed_at = time.monotonic()
            return self._list

    def _look(self) -> None:
        """As `jobs.folder.jobs`, but what is known of a folder is not read again; of one that went it is dropped."""
        known = {job.id: job for job in self._list}
        found = []
        for folder in (self._home / "jobs").iterdir():
            job = known.get(folder.name) or Job(folder)
            try:
                found.append((job.created, job.id, job))
            except JobError:
                continue
        self._list = [job for *_, job in sorted(found, key=lambda entry: entry[:2], reverse=True)]
        for gone in known.keys() - {job.id for job in self._list}:
            self._whole.pop(gone, None)
            self._glances.pop(gone, None)

    def find(self, run: str) -> Run | None:
        """A run by its id. An id that is not listed does not exist, whatever it may spell as a path."""
        job = next((job for job in self.jobs() if job.id == run), None)
        return self._of(job) if job else None

    def _of(self, job: Job) -> Run:
        with self._lock:
            run = self._whole.pop(job.id, None) or KINDS.get(job.kind, Run)(job)
            self._whole[job.id] = run
            while len(self._whole) > WHOLE:
                self._whole.popitem(last=False)
            return run

    def changed(self) -> None:
        """Look again at once: a job was just made or asked for something."""
        with self._lock:
            self._listed_at = -math.inf
            for glance in list(self._glances.values()):
                glance.asked = -math.inf

    def state(self, job: Job) -> str:
        """The job's state, at most a moment old."""
        return self.glance(job).state

    def glance(self, job: Job) -> Glance:
        """What is true of a job that does not run stays so until its files change. Whether a process still lives is not
        to be seen from files, so a running one is asked about again."""
        touched = tuple(stamp(path) for path in (job.events_path, job.folder / "process.json", job.folder / QUEUED))
        known = self._glances.get(job.id)
        if known is None or known.touched != touched or (
            known.state == "running" and time.monotonic() - known.asked > FRESH
        ):
            state = job.state()
            known = Glance(touched, time.monotonic(), state, word(state, job))
            try:
                known.last = last_event(job.events_path) or {}
                known.step = last_event(job.events_path, is_step) or {} if known.last else {}
            except OSError:  # removed in this moment
                pass
            self._glances[job.id] = known
        return known

    def overview(self, live: bool = False) -> list[dict[str, Any]]:
        """One line for each run, newest first; `live`: only those that run or wait."""
        return [self.line(job) for job in self.jobs() if not live or self.state(job) in ("running", "queued")]

    def line(self, job: Job) -> dict[str, Any]:
        glance = self.glance(job)
        line = {
            "id": job.id,
            "kind": job.kind,
            "name": job.name,
            "created": job.created,
            "state": glance.state,
            "word": glance.word,
            "step": 0,
            "total": 0,
        }
        if glance.state == "running":  # the others' events are read when someone looks at them
            run = self._of(job).refresh()
            return line | {
                "step": run.step,
                "total": run.total,
                "eta": run.last.get("eta"),
                "phase": run.phase.get("name", ""),
            }
        last, step = glance.last, glance.step
        done = last.get("steps") or last.get("step") or step.get("step")
        return line | {"step": done or sum(int(last.get(name) or 0) for name in COUNTS)}


def word(state: str, job: Job) -> str:
    """A state as pages call it."""
    if state != "queued":
        return state
    return "waiting" if (job.folder / QUEUED).exists() else "not queued"


def stamp(path: Path) -> tuple[int, int, int] | None:
    """Another one whenever a file was written or replaced."""
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_mtime_ns, about.st_size, about.st_ino


def is_step(event: dict[str, Any]) -> bool:
    return event["kind"] in ("step", "progress")
