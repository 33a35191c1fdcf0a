"""Ending all work well before the machine goes: what a container does when it is told to stop.

A job outlives the window, but not its container. So whoever is told first asks every job to save, and waits."""

from __future__ import annotations

import time
from pathlib import Path

import psutil

from jobs import requests
from jobs.folder import Job, jobs
from jobs.lock import locked
from jobs.process import GONE, is_watched, kill
from jobs.queue import runner_command

PAUSE = 0.2  # seconds between two looks at what still runs


def end_all(root: Path) -> int:
    """Stop the queue's runner, so that nothing new begins, then every running job: each finishes its step and saves.
    One that does not answer is killed. What waits goes on waiting until a window is opened. Returns how many ran."""
    while True:
        for runner in runners(root):
            try:
                runner.kill()  # it takes no job with it
            except GONE:
                continue
        # In its place, since whoever sees a job end starts a runner where there is none.
        with locked(root / "queue.lock", patience=1) as mine:
            if mine:
                return end_jobs(root)


def end_jobs(root: Path) -> int:
    """Until none runs and nobody watches over one: he has said the last of it then."""
    asked: set[str] = set()
    while at_work := [job for job in jobs(root) if job.state() == "running" or is_watched(job.folder)]:
        for job in at_work:
            if job.state() == "running":
                end(job, job.id not in asked)
                asked.add(job.id)
        time.sleep(PAUSE)
    return len(asked)


def end(job: Job, first: bool) -> None:
    if first:
        requests.ask(job.folder, "stop")
    elif requests.ignored(job.folder):
        kill(job, hung=True)


def runners(root: Path) -> list[psutil.Process]:
    """The processes that work on the workspace's queue."""
    command = runner_command(root)
    return [process for process in psutil.process_iter() if _command(process) == command]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (*GONE, OSError):
        return []
