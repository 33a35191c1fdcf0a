"""`python -m jobs.runner WORKSPACE`: starts what waits, one job a device, and sees that what runs is watched over.

One a workspace: it holds a lock while it lives, and ends when there is nothing to do; so does a second one, at once.
Killed, it takes no job with it, and the next one finds everything in the jobs' folders."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from jobs.devices import CPU, Device, devices, fit, wish
from jobs.events import EventWriter
from jobs.files import home
from jobs.folder import Job, jobs
from jobs.lock import locked
from jobs.process import JobError, attend, devices_of, start
from jobs.queue import order, paused, queued, something_to_do, unwatched

PAUSE = 0.5  # seconds between two looks at what runs
AFTER_TROUBLE = 10.0  # where not even a failure can be written down
TRIALS = "trials"  # a folder beside `jobs`: what runs there is no run of a person's, and takes its device all the same


def run(root: Path) -> None:
    """Work until there is nothing to do. Returns at once where another runner is at it."""
    # Asked again after the lock is let go: a job that was submitted while we still held it, after we had looked for
    # the last time, is ours; one that comes later finds the lock free, and its submitter starts a runner.
    while something_to_do(root):
        with locked(root / "queue.lock", patience=0.5) as mine:
            if not mine:
                return
            while something_to_do(root):
                turn(root)
                time.sleep(PAUSE)


def turn(root: Path) -> None:
    """Start whatever can be started now, and watch over what nobody watches over."""
    for job in unwatched(root):
        attend(job.folder)
    with order(root):
        if paused(root):
            return
        for job, given in chosen(queued(root), free(root), devices()):
            begin(job, given)


def begin(job: Job, given: Sequence[str]) -> None:
    """Start a job. That it could not be started is its failure, and the others' turn."""
    try:
        start(job, given)
    except JobError:
        return  # someone started it by hand in this moment
    except OSError as error:
        fix = "Check that the program's environment is complete with `python launch.py doctor`, then press Resume."
        try:
            EventWriter(job.events_path).write(
                "failed", cause=f"It could not be started: {error}", fix=fix, traceback=""
            )
        except OSError as trouble:  # a full disk: it stays where it is in the queue
            print(f"{job.id}: {error}; {trouble}", file=sys.stderr, flush=True)
            time.sleep(AFTER_TROUBLE)


def chosen(waiting: Sequence[Job], free: set[str], everything: Sequence[Device]) -> list[tuple[Job, list[str]]]:
    """What starts now, on which devices. Nobody is overtaken for a device that they wait for: one who needs two gets
    them in the end."""
    left, found = set(free), []
    for job in waiting:
        given = fit(job.needs, left, everything)
        left -= set(wish(job.needs, everything) if given is None else given)
        if given is not None:
            found.append((job, given))
    return found


def free(root: Path) -> set[str]:
    """The devices on which nothing of this workspace runs."""
    return {device.id for device in devices()} - busy(root).keys()


def busy(root: Path) -> dict[str, Job]:
    """{device: the job that runs on it}, also of those that were started by hand."""
    return {device: job for job in running(root) for device in taken(job)}


def running(root: Path) -> list[Job]:
    """The runs of a person's that are at work, newest first, and then the trials."""
    trials = (Job(path) for path in sorted((root / TRIALS).glob("*")) if (path / "job.json").is_file())
    return [job for job in (*jobs(root), *trials) if job.state() == "running"]


def taken(job: Job) -> list[str]:
    """The devices of a job that runs: those that it was given, or those that its program takes of its own accord."""
    if given := devices_of(job.folder):
        return given
    everyone = {device.id for device in devices()}
    return fit(job.needs, everyone, devices()) or [CPU]


if __name__ == "__main__":
    os.environ["LORATORY_HOME"] = sys.argv[1]
    run(home())
