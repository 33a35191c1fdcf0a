"""What a tagger has seen in pictures, kept in the workspace: a moved threshold then needs no model and no waiting.

A picture is known by its content, so that a copy, a renamed or a moved file is known, too; its path with size and time
of change saves reading it again. A model is known by parts of its content. Only what could ever count is kept:
probabilities above 0.01, and of each category the highest of those below, which decides where its largest gap is.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np

from captioners.tags.labels import Labels

FLOOR = 0.01
SCHEMA = 1
TABLES = (
    "DROP TABLE IF EXISTS pictures",
    "DROP TABLE IF EXISTS scores",
    "CREATE TABLE pictures (path TEXT PRIMARY KEY, size INT, changed INT, digest BLOB) WITHOUT ROWID",
    "CREATE TABLE scores (model BLOB, picture BLOB, kept BLOB, PRIMARY KEY (model, picture))",
    f"PRAGMA user_version = {SCHEMA}",
)
NAMES = "CREATE TABLE IF NOT EXISTS models (model BLOB PRIMARY KEY, name TEXT, labels TEXT)"  # later than the others
PART = 1 << 20
AT_ONCE = 500  # question marks in one query; SQLite's limit was 999 once


@dataclass(frozen=True)
class Scores:
    """Of one picture: labels and their probabilities, in the order of the labels. What is not there is as good as 0."""

    labels: np.ndarray  # uint32
    values: np.ndarray  # float32

    def __bytes__(self) -> bytes:
        return self.labels.astype("<u4").tobytes() + self.values.astype("<f4").tobytes()

    @classmethod
    def of(cls, content: bytes) -> Scores:
        count = len(content) // 8
        return cls(np.frombuffer(content, "<u4", count), np.frombuffer(content, "<f4", count, offset=4 * count))


def scores(probabilities: np.ndarray, labels: Labels) -> Scores:
    """What is kept of all probabilities of a picture [labels]."""
    low = probabilities <= FLOOR
    kept = ~low
    for places in labels.places.values():
        below = places[low[places]]
        if len(below):
            kept[below[probabilities[below].argmax()]] = True
    chosen = np.flatnonzero(kept)
    return Scores(chosen.astype(np.uint32), probabilities[chosen].astype(np.float32))


class ProbabilityCache:
    """The file `probabilities.sqlite` in a folder. Several threads and several programs may use it at once."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "probabilities.sqlite"
        self._lock = threading.Lock()
        try:
            self._base = self._opened()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # locked, or the disk is full: it is not broken
                raise
            self.path.replace(self.path.with_suffix(".broken"))
            self._base = self._opened()

    def _opened(self) -> sqlite3.Connection:
        base = sqlite3.connect(self.path, timeout=20, isolation_level=None, check_same_thread=False)
        base.execute("PRAGMA journal_mode = WAL")
        base.execute("PRAGMA synchronous = NORMAL")
        base.execute("BEGIN EXCLUSIVE")  # two programs may begin at once
        if base.execute("PRAGMA user_version").fetchone()[0] != SCHEMA:
            for command in TABLES:
                base.execute(command)
        base.execute(NAMES)
        base.execute("COMMIT")
        return base

    def digests(self, paths: Sequence[Path], read: bool = True) -> dict[Path, bytes]:
        """The content of pictures in a word. Reads those that are new or changed, or leaves them out with `read` off;
        leaves out those that can't be read."""
        stamps = {path: stamp for path in paths if (stamp := _stamp(path))}
        found: dict[Path, bytes] = {}
        named = {str(path): path for path in stamps}
        for part in _parts(named):
            query = f"SELECT path, size, changed, digest FROM pictures WHERE path IN ({','.join('?' * len(part))})"
            for name, size, changed, digest in self._ask(query, part):
                if (size, changed) == stamps[named[name]]:
                    found[named[name]] = digest
        if not read:
            return found
        fresh = {path: digest for path in stamps if path not in found and (digest := _digest(path))}
        rows = [(str(path), *stamps[path], digest) for path, digest in fresh.items()]
        self._tell("INSERT OR REPLACE INTO pictures VALUES (?, ?, ?, ?)", rows)
        return found | fresh

    def get(self, model: bytes, pictures: Iterable[bytes]) -> dict[bytes, Scores]:
        """What is known of pictures, given by their digests."""
        found: dict[bytes, Scores] = {}
        for part in _parts(dict.fromkeys(pictures)):
            query = f"SELECT picture, kept FROM scores WHERE model = ? AND picture IN ({','.join('?' * len(part))})"
            found |= {picture: Scores.of(kept) for picture, kept in self._ask(query, [model, *part])}
        return found

    def put(self, model: bytes, known: dict[bytes, Scores]) -> None:
        rows = [(model, picture, bytes(kept)) for picture, kept in known.items()]
        self._tell("INSERT OR REPLACE INTO scores VALUES (?, ?, ?)", rows)

    def introduce(self, model: bytes, name: str, labels: Sequence[str]) -> None:
        """What a model and its labels are called, for those who read what was kept without having the model."""
        if not self._ask("SELECT 1 FROM models WHERE model = ?", [model]):
            self._tell("INSERT OR REPLACE INTO models VALUES (?, ?, ?)", [(model, name, json.dumps(list(labels)))])

    def close(self) -> None:
        self._base.close()

    def _ask(self, query: str, values: Sequence[object]) -> list[tuple]:
        with self._lock:
            return self._base.execute(query, values).fetchall()

    def _tell(self, command: str, rows: list[tuple]) -> None:
        if not rows:
            return
        with self._lock:
            self._base.execute("BEGIN IMMEDIATE")
            try:
                self._base.executemany(command, rows)
            except sqlite3.Error:
                self._base.execute("ROLLBACK")
                raise
            self._base.execute("COMMIT")


def identity(files: Sequence[Path], version: int) -> bytes:
    """A model's files in a word, from their sizes and a few parts of their content: a gigabyte takes milliseconds."""
    stamps = tuple((path, *stamp) for path in files if (stamp := _stamp(path)))
    return _identity(stamps, version)


@lru_cache(maxsize=8)
def _identity(stamps: tuple[tuple[Path, int, int], ...], version: int) -> bytes:
    whole = hashlib.sha256(str(version).encode())
    for path, size, _ in stamps:
        whole.update(f"{path.name} {size}".encode())
        with path.open("rb") as file:
            for start in sorted({max(0, (size - PART) * step // 7) for step in range(8)}):
                file.seek(start)
                whole.update(file.read(PART))
    return whole.digest()


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        facts = path.stat()
    except OSError:  # gone: then nothing is known of it
        return None
    return facts.st_size, facts.st_mtime_ns


def _digest(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:  # whoever reads the picture itself says so
        return None


def _parts(names: Iterable) -> Iterator[list]:
    rest = iter(names)
    while part := list(islice(rest, AT_ONCE)):
        yield part
