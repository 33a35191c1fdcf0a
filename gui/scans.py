"""Data sets and the captions in them, looked at anew only after something has changed on disk: a plan is made at every
key press.

While a path is typed it may name a whole disk for a moment. So a look goes only so far, and ends as soon as the same
form asks for something else.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captioners.source import look
from dataset.captions import CaptionFinder
from dataset.problem import Problem
from dataset.scan import Dataset, scan
from dataset.settings import Folder
from settings.errors import SettingsError

KEPT = 4  # data sets; a person goes back and forth between few
MOST = 300_000  # files below the folders: far more than any data set has, and a few seconds' look


@dataclass(frozen=True)
class Pictured:
    """The pictures that a captioning run would be about, and what they are called now."""

    captions: dict[Path, str]  # picture -> its caption, "" for none
    roots: dict[Path, Path]  # picture -> the folder that was chosen
    problems: list[Problem]


class Scans:
    """A cache of `dataset.scan`, and of the captions of folders. What counts as a change: names, sizes and times of all
    files below the folders."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[int, Any]] = {}
        self._turns = itertools.count()
        self._newest: dict[str, int] = {}  # who follows what is typed -> when it asked last

    def scan(self, folders: Iterable[Folder], caption_extension: str = ".txt", by: str = "") -> Dataset:
        """`by`: the form that asks, where it does so again with every key press. SettingsError for folders with too
        many files, and where the same form has asked again meanwhile."""
        folders = list(folders)
        key = repr([caption_extension, *(folder.model_dump_json() for folder in folders)])
        roots = [Path(os.path.expanduser(folder.path)) for folder in folders if folder.path.strip()]
        return self._cached(key, roots, lambda: scan(folders, caption_extension), by)

    def captions(self, folders: list[str], recursive: bool, only: list[str], by: str = "") -> Pictured:
        """As `scan`, of the pictures that a captioning run would be about."""
        roots = [Path(folder) for folder in folders]
        key = repr(["captions", recursive, only, *map(str, roots)])
        return self._cached(key, roots, lambda: pictured(roots, recursive, only), by)

    def _cached(self, key: str, roots: list[Path], make: Callable[[], Any], by: str) -> Any:
        turn = next(self._turns)
        if by:
            self._newest[by] = turn
        with self._lock:
            now = fingerprint(roots, lambda: self._newest.get(by, turn) == turn)
            if key in self._kept and self._kept[key][0] == now:
                return self._kept[key][1]
            found = make()
            self._kept[key] = (now, found)
            while len(self._kept) > KEPT:
                del self._kept[next(iter(self._kept))]
            return found


def pictured(roots: list[Path], recursive: bool, only: list[str]) -> Pictured:
    found = look([str(root) for root in roots], recursive, only)
    finders = {root: CaptionFinder(root) for root in dict.fromkeys(found.pictures.values())}
    captions = {path: finders[root].find(path) for path, root in found.pictures.items()}
    texts = {path: caption.text if caption else "" for path, caption in captions.items()}
    return Pictured(texts, found.pictures, found.problems)


def fingerprint(roots: Iterable[Path], wanted: Callable[[], bool] = lambda: True) -> int:
    """A number that changes when a file below one of the folders is added, removed, renamed or written. SettingsError
    where there are too many, or it isn't `wanted` any more."""
    found = []
    for root in roots:
        for entry in files(root):
            found.append(entry)
            if len(found) > MOST:
                raise SettingsError({"path": f"{root}: more than {MOST:,} files; choose the pictures' folder"})
            if len(found) % 100 == 1 and not wanted():
                raise SettingsError({"path": "another folder was chosen meanwhile"})
    return hash(tuple(found))


def files(root: Path) -> Iterator[tuple[str, int, int]]:
    """(path, time, size) of every file below a folder, hidden ones left out. No folder is entered twice."""
    waiting, visited = [str(root)], set()
    while waiting:
        folder = waiting.pop()
        real = os.path.realpath(folder)
        if real in visited:
            continue
        visited.add(real)
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            yield folder, 0, 0  # not there, or not ours to read: the scan will say so
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            try:
                if entry.is_dir():
                    waiting.append(entry.path)
                else:
                    about = entry.stat()
                    yield entry.path, about.st_mtime_ns, about.st_size
            except OSError:
                yield entry.path, 0, 0
