"""`python launch.py queue`: what runs, what waits, and in what order it goes on.

A job is named by its folder's name or the beginning of it, by its own name where only one has it, or by its number in
the list.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from jobs import queue
from jobs.files import home
from jobs.folder import Job, jobs
from jobs.overview import overview
from jobs.process import JobError

WHAT = {
    "list": "show what runs and what waits (also without a word)",
    "pause": "start nothing more; what runs goes on",
    "continue": "go on starting what waits",
    "next": "let a waiting job be the next that starts",
    "up": "let a waiting job change places with the one before it",
    "down": "let a waiting job change places with the one after it",
    "remove": "take a waiting job out of the queue; the job stays",
    "add": "put a job at the end of the queue: one that is new, or of which something is left to do",
}
ON_ALL = ("list", "pause", "continue")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="launch.py queue",
        description="Look at the queue of jobs and change it.",
        epilog="\n".join(f"  {name:10}{what}" for name, what in WHAT.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", nargs="?", default="list", choices=WHAT, metavar="WHAT", help=", ".join(WHAT))
    parser.add_argument("job", nargs="?", metavar="JOB", help="its folder's name, its name, or its number in the list")
    options = parser.parse_args(arguments)
    if (options.what in ON_ALL) == bool(options.job):
        parser.error(f"{options.what} takes no job" if options.job else f"say which job: {options.what} JOB")
    root = home()
    try:
        print(act(root, options.what, options.job))
    except JobError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def act(root: Path, what: str, name: str | None) -> str:
    """Do it, and what is said about it. Raises JobError."""
    if name:
        return act_on(root, found(root, name), what)
    if what == "pause":
        queue.pause(root)
        return "paused: nothing more starts; what runs goes on. To go on: python launch.py queue continue"
    if what == "continue":
        queue.go_on(root)
    else:
        queue.ensure_runner()  # whoever looks is a reason to see to it
    return listing(root)


def act_on(root: Path, job: Job, what: str) -> str:
    if what == "remove":
        queue.withdraw(job)
        return f"{job.id} is out of the queue; to put it back: python launch.py queue add {job.id}"
    if what == "add":
        queue.submit(job) if job.state() == "queued" else queue.resume(job)
    else:
        queue.move(job, what)
    return listing(root)


def found(root: Path, name: str) -> Job:
    """The job that is meant. Raises JobError where none is, or several are."""
    everyone, waiting = jobs(root), queue.queued(root)
    if name.isdigit() and 1 <= int(name) <= len(waiting):
        return waiting[int(name) - 1]
    for fits in (lambda job: job.id == name, lambda job: job.name == name, lambda job: job.id.startswith(name)):
        named = [job for job in everyone if fits(job)]
        if len(named) == 1:
            return named[0]
        if named:
            raise JobError(f"{name!r} may be any of these; give more of its folder's name:\n" + _ids(named))
    raise JobError(f"there is no job {name!r}" + (f"; these wait:\n{_ids(waiting)}" if waiting else "; none waits"))


def listing(root: Path) -> str:
    """The queue as text."""
    now = overview(root)
    lines = ["The queue is paused: nothing starts until `python launch.py queue continue`."] * now["paused"]
    for device in now["devices"]:
        runs = device["job"]
        lines.append(f"{device['name']}: " + (f"{runs['name']} ({runs['id']})" if runs else "free"))
    for number, job in enumerate(now["waiting"], start=1):
        needs = f", needs {job['needs']}" if job["needs"] else ""
        lines.append(f"{number:3}. {job['name']} ({job['id']}){needs}: {job['why']}")
    return "\n".join(lines if now["waiting"] else [*lines, "Nothing waits."])


def _ids(several: Sequence[Job]) -> str:
    return "\n".join(f"  {job.id}" for job in several)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
