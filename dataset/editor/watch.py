"""Which caption files were changed by others, told by their times and lengths, and by the time of their folder.

Times are as coarse as the disk makes them: what was written a moment ago counts as changed until that moment is over.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from dataset.files import MOMENT
from dataset.pictures import EXTENSIONS as PICTURES
from dataset.scan import suffix

Stamp = tuple[int, int, int] | None  # changes when a file does; None: look again, it was written a moment ago
FRESH = 0.05  # seconds; a file that is written twice in so short a time may have the same stamp
COARSE = 3.0  # seconds, on disks that count whole ones
NONE: Stamp = (0, 0, 0)  # there is no such file
EMPTIED: Stamp = (0, 0, -1)  # empty since less than a moment: programs empty a file to write it
INNER = -1  # instead of a picture's inode: it is a folder


def stamp(facts: os.stat_result, now: float) -> Stamp:
    age = now - facts.st_mtime
    if not facts.st_size and 0 <= age < MOMENT:
        return EMPTIED
    if 0 <= age < FRESH or (0 <= age < COARSE and not facts.st_mtime_ns % 10**9):
        return None
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


def stamp_of(path: Path | str) -> Stamp:
    try:
        return stamp(os.stat(path), time.time())
    except OSError:
        return NONE


@dataclass
class _Folder:
    stamp: Stamp  # of the folder itself: the names in it are the same as long as this is
    captions: dict[str, Stamp] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)  # pictures and folders: a picture's inode
    odd: list[str] = field(default_factory=list)  # captions whose extension isn't in lower case


class Watch:
    """Watches folders for files with these extensions, and for pictures and folders that come, go, or are replaced."""

    def __init__(self, captions: Iterable[str]):
        self._captions = frozenset(captions)
        self._folders: dict[str, _Folder] = {}

    def begin(self) -> None:
        """Forget every folder; they are told anew."""
        self._folders = {}

    def saw(self, folder: str, entries: Iterable[os.DirEntry[str]]) -> None:
        """Told a folder and what is in it, before that is read."""
        self._folders[folder] = self._seen(stamp_of(folder), entries)

    def wrote(self, file: Path) -> None:
        """We changed this one ourselves; to be told before it is read again."""
        folder = self._folders.get(str(file.parent))
        if folder:
            folder.captions[file.name] = stamp_of(file)

    def capitals(self) -> dict[str, str]:
        """The caption files whose extension isn't in lower case, by what their path is when it is."""
        found = {}
        for path, folder in self._folders.items():
            for name in folder.odd:
                kind = suffix(name)
                found[os.path.join(path, name[: -len(kind)] + kind)] = os.path.join(path, name)
        return found

    def look(self, settled: bool = False) -> list[str] | None:
        """The caption files that may be other ones than last time; None if that is true of pictures or folders. With
        `settled` files are believed to be empty that were emptied a moment ago."""
        stale: list[str] = []
        folders = {}
        for path, old in self._folders.items():
            new = folders[path] = self._look(path, old)
            if new is None or new.others != old.others:
                return None
            stale += [os.path.join(path, name) for name in {**new.captions, **old.captions}
                      if _changed(old.captions.get(name, NONE), new.captions.get(name, NONE), settled)]
        self._folders = folders
        return stale

    def _look(self, path: str, old: _Folder) -> _Folder | None:
        own = stamp_of(path)
        if own is not None and own == old.stamp:  # the same names; files may have been written in place
            above = os.path.join(path, "")
            return _Folder(own, {name: stamp_of(above + name) for name in old.captions}, old.others, old.odd)
        try:
            with os.scandir(path) as entries:
                return self._seen(own, entries)
        except OSError:
            return None

    def _seen(self, own: Stamp, entries: Iterable[os.DirEntry[str]]) -> _Folder:
        found, now = _Folder(own), time.time()
        for entry in entries:
            name = entry.name
            if name.startswith("."):
                continue
            kind = suffix(name)
            try:
                if kind in self._captions:
                    found.captions[name] = stamp(entry.stat(), now)
                    if not name.endswith(kind):
                        found.odd.append(name)
                elif kind in PICTURES:
                    found.others[name] = entry.inode()
                elif entry.is_dir():
                    found.others[name] = INNER
            except OSError:
                found.captions[name] = NONE  # a link that leads nowhere, or in a circle
        return found


def _changed(old: Stamp, new: Stamp, settled: bool) -> bool:
    return new is None or (settled if new == EMPTIED else new != old)
