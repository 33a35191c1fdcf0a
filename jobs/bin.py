"""The bin of a workspace: job folders that were thrown away, whole, each under the moment when that was.

`bin/20260131-120000/<job>` was `jobs/<job>`. Nothing but `empty` deletes, and only what it is given by name."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from jobs.folder import Job, jobs
from jobs.lock import locked
from jobs.process import JobError, is_running
from jobs.queue import queued

FOLDER = "bin"
MOMENT = "%Y%m%d-%H%M%S"


@dataclass(frozen=True)
class Binned:
    """A job in the bin."""

    job: Job
    thrown: float  # seconds since 1970

    @property
    def size(self) -> int:
        """Bytes that its files take."""
        places = (Path(path) / name for path, _, names in os.walk(self.job.folder) for name in names)
        return sum(place.lstat().st_size for place in places)


def throw(root: Path, job: Job) -> Binned:
    """Put a job of the workspace at `root` into its bin. Raises JobError for one that is at work or about to be, and
    for one that a job which is about to be goes on from."""
    if job.folder.parent != root / "jobs":
        raise JobError(f"{job.folder} is not in this workspace")
    with locked(job.folder / ".lock") as mine:
        if not mine or is_running(job.folder):
            raise JobError(f"{job.id} is running: stop it first")
    if job in queued(root):
        raise JobError(f"{job.id} waits in the queue: take it out first")
    if heirs := ", ".join(other.name for other in needing(root, job)):
        raise JobError(f"{heirs} is to train on from {job.id}; wait until it is done")
    moment = time.strftime(MOMENT)
    place = root / FOLDER / moment / job.id
    place.parent.mkdir(parents=True, exist_ok=True)
    os.rename(job.folder, place)  # the lock is let go: Windows moves no folder in which a file is open
    return Binned(Job(place), seconds(moment))


def needing(root: Path, job: Job) -> Iterator[Job]:
    """The jobs that wait or run and name this one's folder in their settings."""
    name = re.compile(re.escape(job.id) + r"(?![\w-])")
    for other in jobs(root):
        if other.id != job.id and other.config_path.is_file() and other.state() in ("queued", "running"):
            if name.search(other.config_path.read_text(encoding="utf-8", errors="replace")):
                yield other


def binned(root: Path) -> list[Binned]:
    """What lies in the bin, what came last first."""
    found = [thing for place in (root / FOLDER).glob("*/*") if (thing := _binned(place))]
    return sorted(found, key=lambda thing: (thing.thrown, thing.job.id), reverse=True)


def count(root: Path) -> int:
    """How many jobs lie in the bin, without looking into them."""
    return sum(1 for _ in (root / FOLDER).glob("*/*/job.json"))


def put_back(root: Path, thing: Binned) -> Job:
    """Where it was before. Raises JobError where a job of the same name is there by now."""
    place = root / "jobs" / thing.job.id
    if place.exists():
        raise JobError(f"{thing.job.id} is among the runs again; move or rename that folder first")
    os.rename(thing.job.folder, place)
    _tidy(thing.job.folder.parent)
    return Job(place)


def empty(things: Iterable[Binned]) -> int:
    """Delete these for good; how many bytes that freed."""
    freed = 0
    for thing in things:
        size = thing.size
        shutil.rmtree(thing.job.folder)
        _tidy(thing.job.folder.parent)
        freed += size
    return freed


def seconds(moment: str) -> float | None:
    try:
        return time.mktime(time.strptime(moment, MOMENT))
    except (ValueError, OverflowError):
        return None


def _binned(place: Path) -> Binned | None:
    """None for what is no job: it was put there by another hand, which may take it away."""
    thrown, job = seconds(place.parent.name), Job(place)
    try:
        return Binned(job, thrown) if thrown is not None and not place.is_symlink() and job.created else None
    except JobError:
        return None


def _tidy(folder: Path) -> None:
    """Remove the folder of a moment once it is empty."""
    if not any(folder.iterdir()):
        folder.rmdir()
