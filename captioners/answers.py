"""What was found out so far in a job, kept in its folder, so that a job that goes on asks no model twice.

Lines are only ever appended: a kill loses at most the one that was being written, and that picture is asked again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from captioners.base import Said, Tag

Stamp = list[int]  # of a picture's file: [time of change in ns, bytes]


def stamp(picture: Path) -> Stamp:
    """What a picture's file is known by. Raises OSError."""
    facts = picture.stat()
    return [facts.st_mtime_ns, facts.st_size]


class Lines:
    """A file of JSON objects about pictures, one a line; of several about the same picture the last counts."""

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._known = {Path(entry["picture"]): entry for entry in entries(path)}
        self._file = path.open("ab", buffering=0)
        self._file.seek(0, os.SEEK_END)
        if self._file.tell():
            self._file.write(b"\n")  # so that what comes now is not glued to a line that a crash has torn

    def __getitem__(self, picture: Path) -> dict[str, Any]:
        return self._known[picture]

    def __iter__(self) -> Iterator[Path]:
        return iter(self._known)

    def __contains__(self, picture: Path) -> bool:
        return picture in self._known

    def add(self, picture: Path, **values: Any) -> None:
        entry = {"picture": str(picture)} | values
        self._file.write(json.dumps(entry).encode() + b"\n")
        self._known[picture] = entry

    def close(self) -> None:
        self._file.close()


class Answers(Lines):
    """What one captioner said, `JOB/answers/NAME.jsonl`."""

    def said(self, picture: Path) -> Said | None:
        """Its answer; None where there is none."""
        entry = self._known.get(picture)
        return entry and Said(entry["text"], tuple(Tag(*tag) for tag in entry["tags"]), entry["raw"])

    def holds(self, picture: Path) -> bool:
        """Whether there is an answer, and it is about the picture as its file is now."""
        try:
            return picture in self and self._known[picture]["stamp"] == stamp(picture)
        except OSError:  # it is gone, or can't be read: asking will tell
            return False

    def keep(self, picture: Path, seen: Stamp, said: Said) -> None:
        """`seen`: the stamp from before the picture was read."""
        tags = [[tag.name, round(float(tag.score), 4), tag.category] for tag in said.tags]
        self.add(picture, stamp=seen, text=said.text, tags=tags, raw=said.raw)


def entries(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a file; none where there is no file."""
    if not path.exists():
        return
    for line in path.read_bytes().split(b"\n"):
        try:
            entry = json.loads(line)
        except ValueError:  # empty, or torn by a crash
            continue
        if isinstance(entry, dict) and "picture" in entry:
            yield entry
