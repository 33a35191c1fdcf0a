"""A small job for the tests: `python -m tests.jobs.worker JOB WHAT`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from jobs.events import EventWriter, read_events
from jobs.requests import take


def until_stop(folder: Path) -> None:
    """Lives until asked to stop (half a minute at most, so that a failing test leaves nothing behind)."""
    events = EventWriter(folder / "events.jsonl")
    events.write("started", pid=os.getpid())
    for step in range(1000):
        if "stop" in take(folder):
            events.write("stopped", step=step)
            return
        events.write("step", step=step)
        time.sleep(0.03)


def deaf(folder: Path) -> None:
    """Looks at no wish."""
    time.sleep(30)


def finish(folder: Path) -> None:
    EventWriter(folder / "events.jsonl").write("finished", steps=1)


def finish_in_part(folder: Path) -> None:
    """Each time one part less fails."""
    times = len([event for event in read_events(folder / "events.jsonl")[0] if event["kind"] == "finished"])
    EventWriter(folder / "events.jsonl").write("finished", failed=1 - times)


def surroundings(folder: Path) -> None:
    seen = {"cwd": os.getcwd(), "environment": dict(os.environ), "input": sys.stdin.read(), "argv": sys.argv}
    (folder / "seen.json").write_text(json.dumps(seen))
    finish(folder)


def tell(folder: Path) -> None:
    """Prints what no log should hold."""
    print(f"key {os.environ['SOME_API_KEY']}, token hf_{'a' * 30}", flush=True)
    for percent in range(0, 101, 10):
        print(f"\r\x1b[32m{percent}%\x1b[0m", end="", flush=True)
    print("\nValueError: Authorization: Bearer abcdefghijklmnop", flush=True)
    EventWriter(folder / "events.jsonl").write("failed", cause=f"no entry with {os.environ['SOME_API_KEY']}", fix="")


def chatter(folder: Path) -> None:
    """As until_stop, and prints a line a step, more than a pipe that nobody reads would hold."""
    events = EventWriter(folder / "events.jsonl")
    for step in range(1000):
        if "stop" in take(folder):
            events.write("stopped", step=step)
            return
        print(f"line {step} " + "x" * 4000, flush=True)
        events.write("step", step=step)
        time.sleep(0.03)


def vanish(folder: Path) -> None:
    print("getting on with it\nValueError: the moon is full", flush=True)
    os._exit(3)


def be_killed(folder: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def launch(folder: Path) -> None:
    """As `accelerate launch` does: the work is in a child; here in a session of its own, as torch's launcher has it."""
    child = [sys.executable, "-m", "tests.jobs.worker", str(folder), "until_stop"]
    raise SystemExit(subprocess.run(child, start_new_session=True).returncode)


if __name__ == "__main__":
    kinds = (until_stop, deaf, finish, finish_in_part, surroundings, tell, chatter, vanish, be_killed, launch)
    {work.__name__: work for work in kinds}[sys.argv[2]](Path(sys.argv[1]))
