"""What a person thinks of pictures: stars, notes, and which ones are not to be trained on; in a file beside them.

`.loratory/marks.json` names pictures by their paths below the folder that it lies in, so that a data set keeps its
marks when it is moved or copied. Whoever changes it reads it again first, and keeps what they don't know.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset.files import FileError, content, named, swap
from dataset.journal import FOLDER

NAME = "marks.json"
VERSION = 1
MAX_BYTES = 64_000_000
MAX_NOTE = 4_000  # characters
HERE = "in the tag editor"


@dataclass(frozen=True, slots=True)
class Mark:
    """What is said about one picture."""

    stars: int = 0  # 0..5
    excluded: bool = False  # from training
    note: str = ""
    by: str = ""  # where it was excluded, as a clause: "in the tag editor"


NONE = Mark()


@dataclass(frozen=True)
class Marked:
    """What marking did: names of pictures that have what was asked for now, and of those where another note than the
    expected one was found, which was kept."""

    marked: list[str]
    kept: list[str]


def place(root: Path | str) -> Path:
    return Path(root) / FOLDER / NAME


def read(root: Path | str) -> dict[str, Mark]:
    """The marks by the picture's path below `root`, with forward slashes. FileError for a file that can't be read."""
    rows = _rows(place(root), content(place(root), limit=MAX_BYTES))
    return {name: _mark(row) for name, row in rows["pictures"].items() if isinstance(row, dict)}


@dataclass(frozen=True)
class Change:
    """What to mark; None leaves it as it is."""

    stars: int | None = None
    excluded: bool | None = None
    note: str | None = None
    by: str = HERE


def change(root: Path | str, names: Iterable[str], wanted: Change, expected: Mapping[str, str] | None = None) -> Marked:
    """Mark pictures. With `expected`, which tells the notes that the person saw, another note isn't overwritten.

    FileError if the file of marks can't be changed, OSError if no file can."""
    if wanted.stars is not None and not 0 <= wanted.stars <= 5:
        raise ValueError(f"stars must be 0 to 5; got {wanted.stars}")
    path, names, expected = place(root), list(names), expected or {}
    with named(path):
        path.parent.mkdir(exist_ok=True)
    for _ in range(20):
        before = content(path, limit=MAX_BYTES)
        table = _rows(path, before)
        marked, kept = [], []
        for name in names:
            row = table["pictures"].get(name)
            row = row if isinstance(row, dict) else {}
            if wanted.note is not None and name in expected and _mark(row).note != expected[name]:
                kept.append(name)
                continue
            marked.append(name)
            row = _changed(row, wanted)
            if row:
                table["pictures"][name] = row
            else:
                table["pictures"].pop(name, None)
        after = json.dumps(table, indent=1, sort_keys=True).encode() + b"\n"
        if not marked or (before is None and not table["pictures"]) or swap(path, before, after):
            return Marked(marked, kept)
    raise FileError(path, "another program changes it all the time", "close that one and try again")


def _changed(row: dict[str, Any], wanted: Change) -> dict[str, Any]:
    row = dict(row)
    if wanted.stars is not None:
        row["stars"] = wanted.stars
    if wanted.excluded is not None:
        row["excluded"], row["by"] = wanted.excluded, wanted.by
    if wanted.note is not None:
        row["note"] = wanted.note.replace("\0", "").encode(errors="replace").decode()[:MAX_NOTE].strip()
    if not row.get("excluded"):
        row.pop("by", None)
    return {key: value for key, value in row.items() if value or key not in ("stars", "excluded", "note")}


def _mark(row: dict[str, Any]) -> Mark:
    """Anybody may have written the file: what isn't understood says nothing."""
    stars, note, by = row.get("stars"), row.get("note"), row.get("by")
    return Mark(
        stars=min(5, max(0, stars)) if type(stars) is int else 0,
        excluded=row.get("excluded") is True,
        note=note[:MAX_NOTE] if isinstance(note, str) else "",
        by=by[:100] if isinstance(by, str) else "",
    )


def _rows(path: Path, data: bytes | None) -> dict[str, Any]:
    try:
        table = json.loads(data or "{}")
    except (ValueError, RecursionError):
        table = None
    if not isinstance(table, dict) or not isinstance(table.setdefault("pictures", {}), dict):
        raise FileError(path, "this isn't a file of marks", "mend it, or move it away")
    if table.setdefault("version", VERSION) != VERSION:
        raise FileError(path, "it was written by a newer version of this program", "use that one, or move it away")
    return table
