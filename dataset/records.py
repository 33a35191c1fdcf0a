"""What a record of the journal says: one file an action, a line for each change and one for how it ended.

A list of many needs their first and last lines only; all of a record is read where it is undone or done again.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any, Literal

from dataset.files import alone, synced

VERSION = 1
ENDS = 4096  # bytes of its beginning and of its end that are enough to tell of a record


State = Literal["running", "done", "undone", "interrupted"]


@dataclass(frozen=True)
class Entry:
    """One bulk change, for a list of them."""

    id: str
    label: str
    time: float  # seconds since 1970
    files: int  # how many it changed
    state: State  # interrupted: it was killed; what it did is known and can be undone
    moved: float = 0.0  # when it ended, or was undone or done again


@dataclass(frozen=True)
class Content:
    """What a file holds, known by its digest; the bytes may be in the journal, or only in the file itself."""

    digest: str  # "" : there is no file
    data: bytes | None = None


@dataclass
class Span:
    """All that one action did to one file, as one step."""

    file: str
    before: Content
    afters: list[Content]


@dataclass
class Told:
    """An action as the ends of its file tell it."""

    path: Path
    id: str
    label: str
    time: float
    last: Literal["done", "undone", ""] = ""  # "": it was killed, or an undo of it was
    moved: float = 0.0  # when that was
    changed: int = 0

    @property
    def files(self) -> int:
        """How many it changed."""
        return self.changed

    def entry(self) -> Entry:
        return Entry(self.id, self.label, self.time, self.files, self.state(), self.moved)

    def state(self) -> State:
        if self.last:
            return self.last
        with alone(self.path, patience=0) as free:
            return "interrupted" if free else "running"

    @classmethod
    def read(cls, path: Path) -> Told | None:
        """None for a file that is no action of ours. What didn't come to an end that says all is read in full."""
        try:
            with path.open("rb") as file:
                first = file.read(ENDS)
                file.seek(max(0, file.seek(0, os.SEEK_END) - ENDS))
                last = file.read()
        except OSError:
            return None  # taken away in the meantime, or another person's
        told, lines = _headed(cls, path, first.split(b"\n")[0]), last.split(b"\n")
        end = parsed(lines[-2]) if len(lines) > 1 and not lines[-1] else {}
        if told is None or not isinstance(end.get("files"), int):
            return Record.read(path)
        told.ended(end)
        told.changed = end["files"]
        return told if told.last else Record.read(path)

    def ended(self, line: dict[str, Any]) -> None:
        """Told a line that may say what became of it."""
        for word in ("done", "undone", "moving"):
            if isinstance(line.get(word), int | float):
                self.last, self.moved = "" if word == "moving" else word, float(line[word])


@dataclass
class Record(Told):
    """An action as all of its file tells it."""

    spans: dict[str, Span] = field(default_factory=dict)

    @property
    def files(self) -> int:
        return len(self.spans)

    @classmethod
    def read(cls, path: Path) -> Record | None:
        """None for a file that is no action of ours. A torn last line is one that was never acted upon."""
        try:
            lines = path.read_bytes().split(b"\n")
        except OSError:
            return None  # taken away in the meantime, or another person's
        record = _headed(cls, path, lines[0])
        for line in lines[1:] if record else ():
            record._add(parsed(line))
        return record

    def _add(self, line: dict[str, Any]) -> None:
        self.ended(line)
        left = self.spans.get(line["left"]) if isinstance(line.get("left"), str) else None
        if left and not left.afters[1:]:
            del self.spans[left.file]
        elif left:
            left.afters.pop()
        name = line.get("file")
        if not isinstance(name, str) or "before" not in line or "after" not in line:
            return
        before, after = read(line["before"]), read(line["after"])
        if before is None or after is None:
            return
        span = self.spans.get(name)
        if span and before.digest == span.afters[-1].digest:
            span.afters.append(after)
        elif before.digest != after.digest:  # first change, or someone else changed it in between: theirs counts
            self.spans[name] = Span(name, before, [after])


def _headed(kind: type[Told], path: Path, line: bytes) -> Any:
    """What a record's first line tells, as one of `kind`; None for none of ours."""
    head = parsed(line)
    known = head.get("version") == VERSION and isinstance(head.get("label"), str)
    if not known or not isinstance(head.get("time"), int | float):
        return None
    return kind(path, path.stem, head["label"], float(head["time"]))


def digest_of(data: bytes | None) -> str:
    return "" if data is None else hashlib.sha256(data).hexdigest()


def read(value: Any) -> Content | None:
    """None for what no journal of ours says."""
    if value is None:
        return Content("")
    try:
        if isinstance(value, str):
            data = value.encode()
        elif "base64" in value:
            data = base64.b64decode(value["base64"], validate=True)
        else:
            known = value["sha256"]
            return Content(known) if len(bytes.fromhex(known)) == 32 and known.isalnum() else None
    except (TypeError, ValueError, KeyError):
        return None
    return Content(digest_of(data), data)


def append(file: FileIO, *lines: dict[str, Any]) -> None:
    data = memoryview(b"".join(json.dumps(values).encode() + b"\n" for values in lines))
    while data:  # unbuffered: nothing is left in a buffer to come out later when the disk is full
        data = data[file.write(data):]
    synced(file.fileno())


def whole_lines(file: FileIO) -> None:
    """Go to the end for writing, behind half a line that a killed program left."""
    size = file.seek(0, os.SEEK_END)
    if size:
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")


def parsed(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
