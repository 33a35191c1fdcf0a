"""What has been made in an output folder, and of what: so that a run goes on where one stopped, and nothing else that
lies there is ever written over.

Each file is a line of `.loratory/resize.jsonl` before it gets its name. A file counts as ours only while it holds, byte
for byte, something that was made of this very source.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path
from typing import Any, Literal

from dataset.files import content, swap, sweep

FILE = Path(".loratory") / "resize.jsonl"

Put = Literal["made", "again", "same", "kept"]


class Made:
    """The record of one output folder. Several threads may use one; two programs may write one folder."""

    def __init__(self, output: Path):
        self.output = output
        self.path = output / FILE
        self._lock = threading.Lock()
        self._digests: dict[tuple[str, str], set[str]] = {}  # (target, source) -> all that was ever made of it
        self._last: dict[tuple[str, str], dict[str, Any]] = {}
        self._targets: dict[tuple[str, str], str] = {}  # (source, pattern) -> what it was called
        self._file: Any = None
        for line in (content(self.path) or b"").split(b"\n"):
            self._remember(_parsed(line))

    def name_of(self, source: Path, pattern: str) -> str | None:
        """What the copy of a picture was called when it was first made by a pattern, below the output folder."""
        return self._targets.get((str(source), pattern))

    def is_done(self, target: Path, source: Path, key: str) -> bool:
        """Whether what would be made is there already."""
        last = self._last.get((self._name(target), str(source)))
        try:
            return bool(last) and last["key"] == key and target.stat().st_size == last["bytes"]
        except OSError:
            return False

    def is_ours(self, target: Path, source: Path) -> bool:
        """Whether a file may be written over: made of this source, and not changed since. FileError if unreadable."""
        data = content(target)
        return data is not None and _digest(data) in self._digests.get((self._name(target), str(source)), ())

    def put(self, target: Path, source: Path, data: bytes, key: str = "", pattern: str = "") -> Put:
        """Write a file, unless someone else's has its name. "same": it has these bytes already. FileError where this
        one can't be written, OSError where none can."""
        before = content(target)
        digest = _digest(data)
        if before == data and digest in self._digests.get((self._name(target), str(source)), ()):
            self._note(target, source, digest, len(data), key, pattern)
            return "same"
        if before is not None and not self.is_ours(target, source):
            return "same" if before == data else "kept"
        target.parent.mkdir(parents=True, exist_ok=True)
        self._note(target, source, digest, len(data), key, pattern)
        if not swap(target, before, data, lasting=False):
            return "kept"
        return "made" if before is None else "again"

    def was(self, target: Path, source: Path, data: bytes) -> bool:
        """Whether these bytes were put there once: then what is there now is newer, and someone else's."""
        return _digest(data) in self._digests.get((self._name(target), str(source)), ())

    def close(self) -> None:
        """Clear away what a killed run was about to write. Call it when nothing is being written."""
        if self._file:
            self._file.close()
            self._file = None
            for folder, _, _ in os.walk(self.output):
                sweep(Path(folder))

    def _note(self, target: Path, source: Path, digest: str, size: int, key: str, pattern: str) -> None:
        line = {"target": self._name(target), "source": str(source), "digest": digest, "bytes": size, "key": key,
                "pattern": pattern}
        with self._lock:
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                torn = not (content(self.path) or b"\n").endswith(b"\n")
                self._file = self.path.open("ab", buffering=0)
                if torn:
                    self._file.write(b"\n")
            self._file.write(json.dumps(line).encode() + b"\n")
            self._remember(line)

    def _remember(self, line: dict[str, Any]) -> None:
        target, source, digest = line.get("target"), line.get("source"), line.get("digest")
        if not (isinstance(target, str) and isinstance(source, str) and isinstance(digest, str)):
            return
        self._digests.setdefault((target, source), set()).add(digest)
        self._last[target, source] = {"key": line.get("key"), "bytes": line.get("bytes")}
        if isinstance(line.get("pattern"), str) and line["pattern"]:
            self._targets[source, line["pattern"]] = target

    def _name(self, target: Path) -> str:
        return target.relative_to(self.output).as_posix()


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _parsed(line: bytes) -> dict[str, Any]:
    """A line's values; none for one that a killed run has left half."""
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}

