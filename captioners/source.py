"""The pictures that a captioning run is about: every one in the folders, by name alone; nothing is opened yet.

Unlike a training scan it leaves none out because of the layout: a picture beside `10_sks dog` may want a caption too.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dataset.pictures import EXTENSIONS, FOREIGN
from dataset.problem import Problem
from dataset.scan import SYSTEM_FOLDERS
from settings.paths import absolute


@dataclass
class Found:
    """`pictures` has each picture once, under the first of the folders that it is in; in an order of names."""

    pictures: dict[Path, Path] = field(default_factory=dict)  # picture -> the folder that was chosen
    problems: list[Problem] = field(default_factory=list)

    def leave_out(self, path: Path, reason: str, fix: str) -> None:
        self.problems.append(Problem(path, reason, fix))


def look(folders: Sequence[str], recursive: bool = True, only: Sequence[str] = ()) -> Found:
    """The pictures of these folders. `only`: file names, or paths inside the folders, with * and ?."""
    found = Found()
    patterns = [pattern(text) for text in only if text.strip()]
    known: set[str] = set()
    for root in (absolute(folder) for folder in folders):
        for path, real in walk(root, recursive, found):
            inside = unicodedata.normalize("NFC", path.relative_to(root).as_posix()) if patterns else ""
            wanted = not patterns or any(one.fullmatch(name) for one in patterns for name in (inside, path.name))
            if wanted and usable(path, found) and real not in known:
                known.add(real)
                found.pictures[path] = root
    return found


def usable(path: Path, found: Found) -> bool:
    """Whether it is a picture by its name; what a person would call one is told where it can't be used."""
    suffix = path.suffix.lower()
    if suffix in FOREIGN:
        found.leave_out(path, f"pictures of the kind {suffix} can't be read", "save it as JPEG, PNG or WebP")
    if suffix not in EXTENSIONS:
        return False
    try:
        str(path).encode()
    except UnicodeEncodeError:  # it can be opened, but its name can't be written into any text
        found.leave_out(path, "its name, or a folder's, isn't valid text", "rename it")
        return False
    return True


def walk(root: Path, recursive: bool, found: Found) -> Iterator[tuple[Path, str]]:
    """Every file with its real path, folder by folder; hidden ones left out, links followed but no folder twice."""
    waiting, visited = [root], set()
    while waiting:
        folder = waiting.pop()
        place = os.path.realpath(folder)
        if place in visited:
            continue
        visited.add(place)
        try:
            with os.scandir(folder) as listing:
                entries = sorted((entry for entry in listing if not entry.name.startswith(".")), key=order)
        except OSError as error:
            found.leave_out(folder, f"the folder can't be read ({error.strerror})", "check its permissions")
            continue
        inner = []
        for entry in entries:
            if os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir():
                inner.append(folder / entry.name)
            else:
                path = folder / entry.name
                yield path, os.path.realpath(path) if entry.is_symlink() else os.path.join(place, entry.name)
        if recursive:
            waiting += reversed([path for path in inner if path.name not in SYSTEM_FOLDERS])


def order(entry: os.DirEntry[str]) -> str:
    """The same everywhere: macOS may deliver accents decomposed."""
    return unicodedata.normalize("NFC", entry.name)


def pattern(text: str) -> re.Pattern[str]:
    """A name with * and ? as a pattern. Brackets are what they are in names: themselves."""
    parts = {"*": ".*", "?": "."}
    text = unicodedata.normalize("NFC", text.strip().replace("\\", "/").removeprefix("./"))
    return re.compile("".join(parts.get(letter) or re.escape(letter) for letter in text), re.DOTALL | re.IGNORECASE)
