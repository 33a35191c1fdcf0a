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
    real: set[str] = set()
    for root in (Path(os.path.abspath(os.path.expanduser(folder))) for folder in folders):
        for path in walk(root, recursive, found):
            inside = unicodedata.normalize("NFC", path.relative_to(root).as_posix())
            wanted = not patterns or any(one.fullmatch(name) for one in patterns for name in (inside, path.name))
            if wanted and usable(path, found) and (place := os.path.realpath(path)) not in real:
                real.add(place)
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


def walk(root: Path, recursive: bool, found: Found) -> Iterator[Path]:
    """Every file, folder by folder; hidden ones left out, links followed but no folder twice."""
    waiting, visited = [root], set()
    while waiting:
        folder = waiting.pop()
        place = os.path.realpath(folder)
        if place in visited:
            continue
        visited.add(place)
        try:
            names = sorted(os.listdir(folder), key=lambda name: unicodedata.normalize("NFC", name))
        except OSError as error:
            found.leave_out(folder, f"the folder can't be read ({error.strerror})", "check its permissions")
            continue
        paths = [folder / name for name in names if not name.startswith(".")]
        inner = [path for path in paths if path.is_dir()]
        yield from (path for path in paths if path not in inner)
        if recursive:
            waiting += reversed([path for path in inner if path.name not in SYSTEM_FOLDERS])


def pattern(text: str) -> re.Pattern[str]:
    """A name with * and ? as a pattern. Brackets are what they are in names: themselves."""
    parts = {"*": ".*", "?": "."}
    text = unicodedata.normalize("NFC", text.strip().replace("\\", "/").removeprefix("./"))
    return re.compile("".join(parts.get(letter) or re.escape(letter) for letter in text), re.DOTALL | re.IGNORECASE)
