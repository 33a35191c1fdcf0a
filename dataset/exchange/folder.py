"""A data set that is on disk as records: what training would read, with the repeats and class words of its folders."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from dataset.exchange.reading import relative
from dataset.exchange.record import Found, Record
from dataset.scan import COUNTED, Item, scan
from dataset.settings import Folder


def records(root: Path, caption_extension: str = ".txt") -> Found:
    """Every picture that would be trained on. Of a folder with img/ and reg/ both are read. A caption that is only the
    class words is none: the words are kept as such."""
    found = Found()
    for path, regularisation in parts(root):
        dataset = scan([Folder(path=str(path), regularisation=regularisation)], caption_extension)
        found.problems += dataset.problems
        found.records += [record(item, path) for item in dataset.items]
    return found


def parts(root: Path) -> list[tuple[Path, bool]]:
    """The folders of a data set, and whether each is one of regularisation pictures."""
    if not has_counted(root / "img"):
        return [(root, False)]
    return [(root / "img", False), *([(root / "reg", True)] if has_counted(root / "reg") else [])]


def has_counted(folder: Path) -> bool:
    """Whether there is a folder such as `10_sks dog` in it."""
    try:
        return any(entry.is_dir() and COUNTED.fullmatch(entry.name) for entry in os.scandir(folder))
    except OSError:
        return False


def record(item: Item, root: Path) -> Record:
    inside = PurePosixPath(relative(item.path, root))
    counted = [match for part in (root.name, *inside.parts[:-1]) if (match := COUNTED.fullmatch(part))]
    words = counted[-1][2].strip() if counted else ""
    folders = [bare(part) for part in inside.parts[:-1]]
    name = "/".join([part for part in folders if part] + [inside.name])
    caption = item.caption if item.caption_from else ""
    return Record(name, item.path, caption, item.repeats, words, item.regularisation)


def bare(part: str) -> str:
    """A folder's name without the repeats in front."""
    match = COUNTED.fullmatch(part)
    return match[2].strip() if match else part
