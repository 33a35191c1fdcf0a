"""The sizes of pictures, remembered from one opening of a data set to the next: reading 10,000 headers takes seconds.

A file with another time or length than the remembered one is read anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from pathlib import Path

from dataset.pictures import Header
from dataset.scan import checked

VERSION = 1


class Sizes:
    """Headers of the pictures below `root`; `folder` is where they are remembered, None: nowhere."""

    def __init__(self, root: Path, folder: Path | None):
        name = hashlib.sha256(os.fsencode(root)).hexdigest()[:24]
        self._path = folder / f"{name}.json" if folder else None
        self._known: dict[str, list[int]] = _read(self._path) if self._path else {}  # path -> time, length, header
        self._used: dict[str, list[int]] = {}
        self._changed = False

    def header(self, entry: os.DirEntry[str]) -> Header:
        """What the file says about itself; raises PictureError or OSError."""
        facts = entry.stat()
        row = self._known.get(entry.path)
        if not _is_row(row) or row[0] != facts.st_mtime_ns or row[1] != facts.st_size:
            head = checked(entry)
            row = [facts.st_mtime_ns, facts.st_size, head.width, head.height, int(head.animated)]
            self._known[entry.path] = row
            self._changed = True
        self._used[entry.path] = row
        return Header(row[2], row[3], bool(row[4]))

    def save(self) -> None:
        """Remember what was used since the last time. A disk that doesn't take it makes the next opening slower."""
        rows, self._known, self._used = self._used, self._used, {}
        if not self._path or not self._changed:
            return
        self._changed = False
        aside = self._path.with_name(f".{self._path.name}-{secrets.token_hex(4)}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            aside.write_text(json.dumps({"version": VERSION, "pictures": rows}))
            os.replace(aside, self._path)
        except OSError:
            aside.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, list[int]]:
    try:
        table = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}  # it is only a cache
    rows = table.get("pictures") if isinstance(table, dict) and table.get("version") == VERSION else None
    return rows if isinstance(rows, dict) else {}


def _is_row(row: object) -> bool:
    return type(row) is list and len(row) == 5 and set(map(type, row)) == {int}
