"""What a job says about itself: one JSON object a line, appended to events.jsonl and never rewritten.

The file is the whole interface: a window that opens an hour later, or after a restart, reads the same lines."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobs.redaction import redaction

FINAL = ("finished", "failed", "stopped", "paused")  # a job's last word
FIRST_LOOK = 64 * 1024  # bytes of a log that a newly opened window shows
AT_ONCE = 256 * 1024
ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-_]")


class EventWriter:
    """Appends events to a file; several programs may do so at once."""

    def __init__(self, path: Path):
        self._path = path
        self._redact = redaction(os.environ)
        self._torn = _torn(path)  # by a crash in mid-line: what comes now must not be glued to it

    def write(self, kind: str, **values: Any) -> None:
        """One event: its time (seconds since 1970), its kind, and what else there is to say; NaN is written as text,
        and secrets are blotted out."""
        event = {"time": round(time.time(), 3), "kind": kind} | plain(values, self._redact)
        line = b"\n" * self._torn + json.dumps(event, allow_nan=False).encode() + b"\n"
        self._torn = True  # until all of it is there
        # Unbuffered and in append mode, a line is one system call: readers see all of it or nothing.
        with self._path.open("ab", buffering=0) as file:
            if file.write(line) != len(line):
                raise OSError(errno.ENOSPC, "an event was written in part only", str(self._path))
        self._torn = False


def plain(value: Any, text: Callable[[str], str] = str) -> Any:
    """A value as JSON has it, its texts as `text` makes them. NaN is not JSON, and a loss that became NaN is the event
    nobody may miss."""
    if isinstance(value, dict):
        return {str(name): plain(item, text) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item, text) for item in value]
    if isinstance(value, bool | int | None):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if hasattr(value, "item"):  # a number from numpy or torch, which are not imported here
        return plain(value.item(), text)
    return text(str(value))


def read_events(path: Path, offset: int = 0, most: int = -1) -> tuple[list[dict[str, Any]], int]:
    """The events after a byte offset, and the offset to go on from. A half-written line waits for next time; one that
    a crash has torn is skipped. An offset beyond the end means another file by now: all of it is read. `most`: not many
    more bytes than these at one time, however long the file is."""
    try:
        with path.open("rb") as file:
            offset = offset if 0 <= offset <= file.seek(0, os.SEEK_END) else 0
            file.seek(offset)
            text = file.read(most)
            whole, newline, _ = (text if most < 0 or text.endswith(b"\n") else text + file.readline()).rpartition(b"\n")
    except FileNotFoundError:
        return [], 0
    return _events(whole), offset + len(whole) + len(newline)


def last_event(path: Path, wanted: Callable[[dict[str, Any]], bool] = bool) -> dict[str, Any] | None:
    """The last event (that is `wanted`), found from the end of the file."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            span = 16 * 1024
            while True:
                start = max(0, size - span)
                file.seek(start)
                lines = file.read(size - start).split(b"\n")
                # The first piece may be the end of a longer line, and the last one is not finished yet.
                for line in reversed(lines[0 if start == 0 else 1 : -1]):
                    if (event := _event(line)) and wanted(event):
                        return event
                if start == 0:
                    return None
                span *= 8
    except FileNotFoundError:
        return None


def _events(whole: bytes) -> list[dict[str, Any]]:
    """The events of whole lines. All at once where none is torn, which takes half the time."""
    lines = [line for line in whole.split(b"\n") if line]
    try:
        found = json.loads(b"[%s]" % b",".join(lines))
    except ValueError:
        found = []
    if len(found) != len(lines):
        return [event for line in lines if (event := _event(line))]
    return [event for event in found if isinstance(event, dict) and "kind" in event]


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "kind" in event else None


def _torn(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            if file.seek(0, os.SEEK_END) == 0:
                return False
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    except FileNotFoundError:
        return False


def tail_log(path: Path, offset: int = -1) -> dict[str, Any]:
    """What a log has gained since a byte offset (-1: its last lines): {"offset": to go on from, "lines": whole lines,
    "reset": whether they replace what was shown before}. Colours are left out, progress bars keep their last state."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            reset = offset < 0 or offset > size
            if reset:
                offset = max(0, size - FIRST_LOOK)
            file.seek(offset)
            data = file.read(AT_ONCE)
    except FileNotFoundError:
        return {"offset": 0, "reset": True, "lines": []}
    end = data.rfind(b"\n") + 1
    if end == 0 and len(data) == AT_ONCE:  # one endless line: show it in pieces rather than wait for ever
        end = AT_ONCE
    lines = data[:end].removesuffix(b"\n").split(b"\n") if end else []
    begun_before = reset and offset > 0
    return {"offset": offset + end, "reset": reset, "lines": [folded(line) for line in lines[begun_before:]]}


def folded(line: bytes) -> str:
    return ANSI.sub("", line.decode("utf-8", "replace").rstrip("\r").rpartition("\r")[2])
