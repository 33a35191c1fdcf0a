"""Ending all work well before the machine goes: what a container does when it is told to stop.

A job outlives the window, but not its container. So whoever is told first asks every job to save, and waits."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil

from jobs import requests
from jobs.folder import jobs
from jobs.process import GONE, kill

PAUSE = 0.2  # seconds between two looks at what still runs


def end_all(root: Path) -> int:
    """Stop the queue's runner, so that nothing new begins, then every running job: each finishes its step and saves.
    One that does not answer is killed. What waits goes on waiting until a window is opened. Returns how many ran."""
    for runner in runners(root):
        try:
            runner.kill()  # it takes no job with it
        except GONE:
            continue
    running = [job for job in jobs(root) if job.state() == "running"]
    for job in running:
        requests.ask(job.folder, "stop")
    left = running
    while left := [job for job in left if job.state() == "running"]:
        for job in left:
            if requests.ignored(job.folder):
                kill(job, hung=True)
        time.sleep(PAUSE)
    return len(running)


def runners(root: Path) -> list[psutil.Process]:
    """The processes that work on the workspace's queue."""
    command = [sys.executable, "-m", "jobs.queue", str(root)]
    return [process for process in psutil.process_iter() if _command(process) == command]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (*GONE, OSError):
        return []
