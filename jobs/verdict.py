"""Why a process ended without a word, as far as its exit code and its log tell: a cause and a fix in plain words."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

from jobs.events import FIRST_LOOK, folded

# How launchers report that the program they launched was ended by a signal.
SIGNAL_IN_LOG = re.compile(r"Signals\.(SIG[A-Z]+)|\((SIG[A-Z]+)\)|exitcode\s*:\s*-(\d+)")
EXCEPTION = re.compile(r"(?!subprocess\.CalledProcessError)[\w.]+(Error|Exception|Exit|Interrupt)\b")
LINES = 30

MEMORY = (
    "The process was killed, probably because the machine ran out of memory",
    "Close other programs, or choose settings that need less memory; then press Resume.",
)
ASKED = (
    "The process was ended from outside",
    "If that was not you: the system may have been shut down or the session closed. Press Resume.",
)
CRASHED = (
    "The process crashed inside a library or driver",
    "Press Resume. If it happens again, run `python launch.py doctor`, and look at the log.",
)
ENDED = "Look at the last lines of the log, put right what they name, then press Resume."
BY_SIGNAL = {"SIGKILL": MEMORY, "SIGTERM": ASKED, "SIGHUP": ASKED, "SIGINT": ASKED}


def verdict(code: int, log: Path, log_starts: int = 0) -> dict[str, str]:
    """The values of a `failed` event: cause, fix, and (as traceback) the last lines of the log after a byte offset."""
    lines = last_lines(log, log_starts)
    name = signal_name(code, lines)
    if name:
        cause, fix = BY_SIGNAL.get(name, CRASHED)
        cause = f"{cause} ({name})."
    elif code:
        said = next((line.strip() for line in reversed(lines) if EXCEPTION.match(line)), lines[-1] if lines else "")
        shown = code if abs(code) < 1000 else f"{code & 0xFFFFFFFF:#x}"  # Windows names its crashes in hexadecimal
        cause, fix = f"The process ended with exit code {shown}{f': {said}' if said else '.'}", ENDED
    else:
        cause, fix = "The process ended without saying that its work is done.", ENDED
    told = {"cause": cause, "fix": fix, "traceback": "\n".join(lines)}
    return told | ({"reason": "memory"} if BY_SIGNAL.get(name) is MEMORY else {})


def last_lines(log: Path, log_starts: int) -> list[str]:
    """The last lines that say something, also one without an end: nobody will finish it."""
    if not log.exists():
        return []
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        begun = log_starts if log_starts <= size else 0  # a log that had become too long was begun anew
        file.seek(max(begun, size - FIRST_LOOK))
        return [line for line in map(folded, file.read().split(b"\n")) if line.strip()][-LINES:]


def signal_name(code: int, lines: list[str]) -> str:
    """SIGKILL and the like, or "": from the exit code (negative), or from what a launcher wrote about its program."""
    if code < 0:
        return named(-code)
    if code > 0:
        for line in reversed(lines):
            if found := SIGNAL_IN_LOG.search(line):
                return found[1] or found[2] or named(int(found[3]))
    return ""


def named(number: int) -> str:
    return signal.Signals(number).name if number in {*signal.Signals} else f"signal {number}"
