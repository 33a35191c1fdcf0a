"""Wishes to a running job: an empty file each in its `requests` folder, looked at once a step, removed when taken.

A wish to end that nobody takes for a while was made to a process that hangs: whoever watches over it may end it then.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobs.events import last_event

WISHES = ("stop", "pause", "save", "sample")
ENDING = ("stop", "pause")  # those after which the process ends
GRACE = 60  # seconds in which a process must take a wish to end, and this many steps' time besides
GRACE_STEPS = 30


def ask(folder: Path, wish: str) -> None:
    """Leave a wish. Raises ValueError for one that no job knows."""
    if wish not in WISHES:
        raise ValueError(f"{wish!r} is not one of {', '.join(WISHES)}")
    place = folder / "requests"
    place.mkdir(exist_ok=True)
    if wish not in waiting(folder):  # asked again, it is as old as the first time
        (place / wish).touch()


def waiting(folder: Path) -> set[str]:
    """The wishes that nobody has taken yet."""
    return {wish for wish in WISHES if (folder / "requests" / wish).exists()}


def take(folder: Path) -> set[str]:
    """The wishes left since last time; each is handed out once."""
    wishes = waiting(folder)
    for wish in wishes:
        (folder / "requests" / wish).unlink(missing_ok=True)
    return wishes


def ending(wishes: set[str]) -> str:
    """The wish among them that ends the process, or "". To stop is more than to pause."""
    return next((wish for wish in ENDING if wish in wishes), "")


def patience_ends(folder: Path) -> float | None:
    """When (seconds since 1970) a wish to end that nobody has taken counts as ignored; None where there is none.

    The slower its steps, the longer a job may take; it is told by the speed in its last event."""
    asked = [moment for wish in ENDING if (moment := _asked(folder / "requests" / wish)) is not None]
    if not asked:
        return None
    last = last_event(folder / "events.jsonl", lambda event: "it_s" in event or "img_s" in event) or {}
    speed = last.get("it_s") or last.get("img_s")
    return min(asked) + GRACE + (GRACE_STEPS / speed if isinstance(speed, int | float) and speed > 0 else 0)


def ignored(folder: Path) -> bool:
    """Whether a wish to end has been waiting longer than a working process would let it."""
    end = patience_ends(folder)
    return end is not None and time.time() > end


def _asked(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return None


@contextmanager
def signals_ask_to_stop(folder: Path) -> Iterator[None]:
    """SIGTERM and Ctrl+C finish the step, save and end well, like the Stop button; a second one ends at once."""

    def ask_once(number: int, _frame: object) -> None:
        ask(folder, "stop")
        signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, ask_once) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
