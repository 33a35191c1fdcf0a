"""What a CLIP made of pictures and captions, kept in the workspace: comparing them again needs no model and no waiting.

A vector is known by the content it was made of (the picture's file, the caption's words) and by the model, so that
nothing can be stale and a copy or a renamed file is known, too. Whoever has a model writes; the checks only read.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from jobs.folder import home

SCHEMA = 1
TABLES = (
    "DROP TABLE IF EXISTS models",
    "DROP TABLE IF EXISTS vectors",
    "CREATE TABLE models (key TEXT PRIMARY KEY, name TEXT, used REAL) WITHOUT ROWID",
    "CREATE TABLE vectors (model TEXT, digest BLOB, vector BLOB, PRIMARY KEY (model, digest)) WITHOUT ROWID",
    f"PRAGMA user_version = {SCHEMA}",
)
AT_ONCE = 500  # question marks in one query; SQLite's limit was 999 once


@dataclass(frozen=True)
class Model:
    key: str  # what tells its weights from others
    name: str  # for people
    used: float  # when it was used last


@dataclass(frozen=True)
class Pairs:
    """Pictures with their captions, as one model sees them: rows of length 1, float32 [n, width]. `which` are numbers
    of what was asked for; pictures that the model hasn't seen are left out."""

    model: Model
    which: np.ndarray  # int [n]
    pictures: np.ndarray
    captions: np.ndarray  # a row of zeros where there is no caption, or its vector isn't known


def place() -> Path:
    return home() / "cache" / "clip" / "vectors.sqlite"


def digest_of(caption: str) -> bytes:
    """What a caption is kept under; no file has it, whatever is in it."""
    return hashlib.sha256(b"caption\0" + caption.encode(errors="surrogatepass")).digest()


class Vectors:
    """The file that they are in, open for writing too. Several programs may use it at once; `close` it."""

    def __init__(self) -> None:
        path = place()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._base = self._opened(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # locked, or the disk is full: it is not broken
                raise
            path.replace(path.with_suffix(".broken"))
            self._base = self._opened(path)

    def _opened(self, path: Path) -> sqlite3.Connection:
        base = sqlite3.connect(path, timeout=20, isolation_level=None)
        base.execute("PRAGMA journal_mode = WAL")
        base.execute("PRAGMA synchronous = NORMAL")
        base.execute("BEGIN EXCLUSIVE")  # two programs may begin at once
        if base.execute("PRAGMA user_version").fetchone()[0] != SCHEMA:
            for command in TABLES:
                base.execute(command)
        base.execute("COMMIT")
        return base

    @classmethod
    def reading(cls) -> Vectors:
        """The same without a change to anything. sqlite3.Error where it is not there, or none of ours."""
        made = cls.__new__(cls)
        made._base = sqlite3.connect(f"{place().as_uri()}?mode=ro", uri=True, timeout=5)
        return made

    def used(self, key: str, name: str) -> None:
        """A model is at work, or was asked for."""
        self._base.execute("INSERT OR REPLACE INTO models VALUES (?, ?, ?)", (key, name, time.time()))

    def models(self) -> list[Model]:
        """The one that was used last first."""
        return [Model(*row) for row in self._base.execute("SELECT key, name, used FROM models ORDER BY used DESC")]

    def known(self, model: str, digests: Iterable[bytes]) -> set[bytes]:
        return set(self._rows("digest", model, digests))

    def get(self, model: str, digests: Iterable[bytes]) -> dict[bytes, np.ndarray]:
        """Vectors, half precision."""
        rows = self._rows("digest, vector", model, digests)
        return {digest: np.frombuffer(vector, "<f2") for digest, vector in rows}

    def put(self, model: str, vectors: Mapping[bytes, np.ndarray]) -> None:
        """All of these or none."""
        rows = [(model, digest, vector.astype("<f2").tobytes()) for digest, vector in vectors.items()]
        self._base.execute("BEGIN IMMEDIATE")
        try:
            self._base.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)
        except sqlite3.Error:
            self._base.execute("ROLLBACK")
            raise
        self._base.execute("COMMIT")

    def close(self) -> None:
        self._base.close()

    def _rows(self, columns: str, model: str, digests: Iterable[bytes]) -> Iterator:
        rest = iter(dict.fromkeys(digests))
        while part := list(islice(rest, AT_ONCE)):
            query = f"SELECT {columns} FROM vectors WHERE model = ? AND digest IN ({','.join('?' * len(part))})"
            for row in self._base.execute(query, [model, *part]):
                yield row if len(row) > 1 else row[0]


def pairs(files: list[bytes], captions: list[str]) -> Pairs | None:
    """What is known of pictures, by the SHA-256 of their files, and of their captions ("": none): as the model that has
    seen most of them saw them, of several the one used last. None where nobody has looked; nothing is written."""
    if not place().is_file():
        return None
    try:
        with closing(Vectors.reading()) as kept:
            return _read(kept, files, captions)
    except sqlite3.Error:  # as good as not there: they can be made again
        return None


def _read(kept: Vectors, files: list[bytes], captions: list[str]) -> Pairs | None:
    counts = {model: len(kept.known(model.key, files)) for model in kept.models()}
    if not any(counts.values()):
        return None
    model = max(counts, key=lambda model: (counts[model], model.used))
    seen = kept.get(model.key, files)
    which = [number for number, file in enumerate(files) if file in seen]
    read = kept.get(model.key, (digest_of(captions[number]) for number in which if captions[number]))
    pictures = np.stack([seen[files[number]] for number in which]).astype(np.float32)
    nothing = np.zeros(pictures.shape[1], np.float32)
    words = [read.get(digest_of(captions[number]), nothing) if captions[number] else nothing for number in which]
    return Pairs(model, np.array(which), _unit(pictures), _unit(np.stack(words).astype(np.float32)))


def _unit(rows: np.ndarray) -> np.ndarray:
    """Of length 1 again, which half precision has changed a little; zeros stay."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1)
