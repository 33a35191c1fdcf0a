"""Looks that were taken before, kept so that examining a data set again after a fix needs to decode what is new only.

A cache and no more: it lies in the workspace, a picture is known by its path, time and size, and whatever is wrong with
the file of the cache, it is begun anew.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import sqlite3
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dataset.doctor.hashes import Print
from dataset.doctor.look import Look
from dataset.doctor.measure import Quality

VERSION = 5  # grows when what a look tells changes
MOST = 100_000  # looks; about 4 KB each
TOGETHER = 200  # looks that are written at once
TABLE = "CREATE TABLE IF NOT EXISTS looks (key TEXT PRIMARY KEY, look TEXT NOT NULL) WITHOUT ROWID"


class Known:
    """The looks in a file; to be used in a `with` block, from one thread."""

    def __init__(self, path: Path):
        self._path = path
        self._waiting: list[tuple[str, str]] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._database = self._opened()
        except sqlite3.DatabaseError:  # half a file, or none of ours
            path.unlink(missing_ok=True)
            self._database = self._opened()

    def get(self, path: Path) -> Look | None:
        """The look at a picture that hasn't changed since; None where there is none."""
        key = _key(path)
        try:
            row = key and self._database.execute("SELECT look FROM looks WHERE key = ?", (key,)).fetchone()
            return _look(json.loads(row[0])) if row else None
        except (sqlite3.DatabaseError, ValueError, TypeError, KeyError):
            return None  # as good as not there

    def put(self, path: Path, look: Look) -> None:
        if key := _key(path):
            self._waiting.append((key, json.dumps(_row(look))))
        if len(self._waiting) >= TOGETHER:
            self._write()

    def __enter__(self) -> Known:
        return self

    def __exit__(self, *_: object) -> None:
        self._write()
        self._database.close()

    def _opened(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=10)
        try:
            database.execute(TABLE)
            if database.execute("SELECT count(*) FROM looks").fetchone()[0] > MOST:
                database.execute("DELETE FROM looks")
                database.commit()
        except sqlite3.DatabaseError:
            database.close()
            raise
        return database

    def _write(self) -> None:
        # What can't be kept, because the disk is full or another examination writes for long, is looked at again.
        with contextlib.suppress(sqlite3.DatabaseError):
            with self._database:
                self._database.executemany("INSERT OR REPLACE INTO looks VALUES (?, ?)", self._waiting)
        self._waiting = []


def _key(path: Path) -> str:
    try:
        facts = path.stat()
        str(path).encode()
    except (OSError, UnicodeEncodeError):
        return ""
    return f"{VERSION}\n{facts.st_mtime_ns}\n{facts.st_size}\n{os.path.abspath(path)}"


def _row(look: Look) -> dict[str, Any]:
    row = asdict(look)
    row["thumbnail"] = base64.b64encode(look.thumbnail).decode()
    for name in ("print", "mirrored"):
        row[name]["colours"] = row[name]["colours"].hex()
    return row


def _look(row: dict[str, Any]) -> Look:
    prints = {name: Print(**row[name] | {"colours": bytes.fromhex(row[name]["colours"])})
              for name in ("print", "mirrored")}
    return Look(**row | prints | {"quality": Quality(**row["quality"]),
                                  "thumbnail": base64.b64decode(row["thumbnail"])})
