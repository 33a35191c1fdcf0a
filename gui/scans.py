"""Data sets, scanned anew only after something has changed on disk: a plan is made at every key press."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from dataset.scan import Dataset, scan
from dataset.settings import Folder

KEPT = 4  # data sets; a person goes back and forth between few


class Scans:
    """A cache of `dataset.scan`. What counts as a change: names, sizes and times of all files below the folders."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[int, Dataset]] = {}

    def scan(self, folders: Iterable[Folder], caption_extension: str = ".txt") -> Dataset:
        folders = list(folders)
        key = repr([caption_extension, *(folder.model_dump_json() for folder in folders)])
        with self._lock:
            now = fingerprint([Path(os.path.expanduser(folder.path)) for folder in folders if folder.path.strip()])
            if key in self._kept and self._kept[key][0] == now:
                return self._kept[key][1]
            found = scan(folders, caption_extension)
            self._kept[key] = (now, found)
            while len(self._kept) > KEPT:
                del self._kept[next(iter(self._kept))]
            return found


def fingerprint(roots: Iterable[Path]) -> int:
    """A number that changes when a file below one of the folders is added, removed, renamed or written."""
    return hash(tuple(entry for root in roots for entry in files(root)))


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
