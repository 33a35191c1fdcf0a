"""What the journal tells about single pictures: which were edited, and what captions one had in the past.

Journals grow long, so their files are only searched for names until the past of one picture is asked for.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dataset.captions import EXTENSIONS, decode, dotted, lines_of
from dataset.journal import Journal
from dataset.scan import suffix

_FILE = re.compile(rb'^\{"file": ("(?:[^"\\]|\\.)*")', re.MULTILINE)
_LEFT = re.compile(rb'^\{"left": ("(?:[^"\\]|\\.)*")', re.MULTILINE)
_OF = re.compile(rb', "of": (\{.*\})\}$', re.MULTILINE)
_STATE = re.compile(rb'^\{"(done|undone|moving)": ', re.MULTILINE)

Key = str  # of a picture: its path below the root without extension, which its caption files have too


@dataclass(frozen=True)
class Version:
    """A caption that a picture had, and what gave it that."""

    time: float  # seconds since 1970
    label: str  # of the action; "" for what there was before the first, or came from outside
    text: str
    id: str = ""  # of the action
    undone: bool = False


@dataclass(frozen=True)
class _Summary:
    stamp: tuple[int, int]
    keys: frozenset[Key]
    undone: bool


class History:
    """Asks the journal of one data set."""

    def __init__(self, journal: Journal, extension: str):
        self._journal = journal
        self._extensions = (dotted(extension).lower(), *EXTENSIONS)
        self._known: dict[str, _Summary] = {}
        self._edited: frozenset[Key] = frozenset()

    def edited(self) -> frozenset[Key]:
        """The pictures that have a caption from an action that isn't undone. The same object as long as it is the same
        answer."""
        found: dict[str, _Summary] = {}
        for path, facts in self._files():
            stamp = (facts.st_mtime_ns, facts.st_size)
            old = self._known.get(path.name)
            found[path.name] = old if old and old.stamp == stamp else self._summary(path, stamp)
        if found != self._known:
            self._known = found
            self._edited = frozenset().union(*(summary.keys for summary in found.values() if not summary.undone))
        return self._edited

    def versions(self, picture: str) -> list[Version]:
        """The captions that a picture (its path below the root) had, newest first. What came from outside between two
        actions is told with the time of the second."""
        wanted, found, now = self.key(picture), list[Version](), None
        changes = [change for path, _ in self._files() for change in self._changes(path, wanted, picture)]
        for before, after, action in sorted(changes, key=lambda change: change[2].time):
            if now != before:
                found.append(Version(action.time, "", before))
            found.append(replace(action, text=after))
            now = before if action.undone else after
        return found[::-1]

    def key(self, name: str) -> Key:
        """Of a picture or of its caption file, by its path below the root."""
        return name[: len(name) - len(suffix(name))]

    def _files(self) -> list[tuple[Path, os.stat_result]]:
        try:
            with os.scandir(self._journal.folder) as entries:
                found = [(Path(entry.path), entry.stat()) for entry in entries if entry.name.endswith(".jsonl")]
        except OSError:
            return []  # there is none, or it can't be read, which undoing says
        return found

    def _summary(self, path: Path, stamp: tuple[int, int]) -> _Summary:
        data = _bytes(path)
        names = set(map(_name, _FILE.findall(data))) - set(map(_name, _LEFT.findall(data)))
        keys = {self.key(name) for name in names if suffix(name) in self._extensions}
        for table in _OF.findall(data):
            keys |= {self.key(name) for name in _parsed(table)}
        states = _STATE.findall(data)
        return _Summary(stamp, frozenset(keys), bool(states) and states[-1] == b"undone")

    def _changes(self, path: Path, wanted: Key, picture: str) -> Iterator[tuple[str, str, Version]]:
        """(caption before, after, the action) of each change to the picture."""
        data = _bytes(path)
        written = json.dumps(wanted)[1:-1].encode()
        if written not in data:
            return
        head = _parsed(data[: data.find(b"\n")])
        if not isinstance(head.get("label"), str) or not isinstance(head.get("time"), int | float):
            return
        states = _STATE.findall(data)
        action = Version(head["time"], head["label"], "", path.stem, bool(states) and states[-1] == b"undone")
        for line in data.split(b"\n"):
            if written not in line:
                continue
            change = _parsed(line)
            name, of = change.get("file"), change.get("of")
            if isinstance(of, dict) and picture in of and _is_pair(of[picture]):
                yield (*of[picture], action)
            elif isinstance(name, str) and self.key(name) == wanted and name.lower().endswith(self._extensions):
                before, after = _caption(change.get("before")), _caption(change.get("after"))
                if before is not None and after is not None:
                    yield before, after, action


def _name(written: bytes) -> str:
    return json.loads(written) if b"\\" in written else written[1:-1].decode()


def _caption(value: object) -> str | None:
    """The caption that a journalled content shows; None where the journal has only its digest."""
    if value is None:
        return ""
    if isinstance(value, dict) and isinstance(value.get("base64"), str):
        try:
            value = decode(base64.b64decode(value["base64"]))[0]
        except ValueError:
            return None
    return next(iter(lines_of(value.removeprefix("\ufeff"))), "") if isinstance(value, str) else None


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(text, str) for text in value)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # taken away in the meantime


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
