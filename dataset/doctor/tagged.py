"""What a tagger has seen in pictures, read from what it kept in the workspace (`captioners.tags.probabilities`).

Only read here, with no model and none of the tagger's code: a picture is known by its content, a label by its place in
the list of names that the tagger has left there too.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jobs.folder import home

AT_ONCE = 500  # question marks in one query


@dataclass(frozen=True)
class Tagged:
    """Of the tagger that has seen most of the pictures asked for: by picture the probabilities of the tags asked for,
    0..1; a tag that is not there is less likely than 0.01."""

    name: str
    seen: dict[bytes, dict[str, float]]  # by SHA-256 of the file


def place() -> Path:
    return home() / "cache" / "probabilities" / "probabilities.sqlite"


def tagged(files: Iterable[bytes], tags: Iterable[str]) -> Tagged | None:
    """None where no tagger has seen any of them, or none that has left its names."""
    files, wanted = list(dict.fromkeys(files)), {_plain(tag) for tag in tags}
    if not place().is_file():
        return None
    try:
        with closing(sqlite3.connect(f"{place().as_uri()}?mode=ro", uri=True, timeout=5)) as base:
            found = [_of(base, *row, files, wanted) for row in base.execute("SELECT model, name, labels FROM models")]
    except (sqlite3.Error, ValueError):  # as good as not there: the tagger makes it again
        return None
    best = max(found, key=lambda one: len(one.seen), default=None)
    return best if best and best.seen else None


def _of(base: sqlite3.Connection, model: bytes, name: str, labels: str, files: list[bytes], wanted: set[str]) -> Tagged:
    names = {place: _plain(label) for place, label in enumerate(json.loads(labels)) if _plain(label) in wanted}
    seen = {}
    for start in range(0, len(files) if names else 0, AT_ONCE):
        part = files[start : start + AT_ONCE]
        query = f"SELECT picture, kept FROM scores WHERE model = ? AND picture IN ({','.join('?' * len(part))})"
        for picture, kept in base.execute(query, [model, *part]):
            count = len(kept) // 8
            places = np.frombuffer(kept, "<u4", count).tolist()
            values = np.frombuffer(kept, "<f4", count, offset=4 * count).tolist()
            seen[picture] = {names[place]: value for place, value in zip(places, values) if place in names}
    return Tagged(name, seen)


def _plain(tag: str) -> str:
    return tag.replace("_", " ").casefold()
