"""File names that are the captions: `a red house on a hill_2.png`, as EveryDream and others read them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from dataset.exchange.names import LONGEST, Names
from dataset.exchange.reading import below_folder, relative, usable
from dataset.exchange.record import Found, Record
from dataset.exchange.settings import ExportSettings, ImportSettings
from dataset.exchange.target import Target, picture
from dataset.prepare import FORBIDDEN
from settings.errors import SettingsError

name = "filenames"
label = "File names as captions"
help = "a red house on a hill_0001.png. What no name can hold is left out of the caption; underscores become spaces."
order = 90
keeps = {"folders", "short captions", "masks"}

ROOM = LONGEST - len("_00001.jpeg")


def fits(source: Path) -> int:
    """Never chosen by looking: any name might be a caption, and most are not."""
    return 0


def read(source: Path, options: ImportSettings) -> Found:
    if not source.is_dir():
        raise SettingsError({"source": "this format is a folder"})
    found = Found()
    for path in below_folder(source):
        if usable(path, found):
            found.records.append(Record(relative(path, source), path, caption(path.stem, options.cut_names)))
    return found


def caption(stem: str, cut: bool = True) -> str:
    """The caption in a file's name."""
    if cut:
        return stem.partition("_")[0].strip()
    return re.sub(r"_\d*\Z", "", stem).replace("_", " ").strip()


def write(records: Iterable[Record], target: Target, options: ExportSettings) -> Iterator[Record]:
    names = Names(stems=True)
    for index, record in enumerate(records, start=1):
        stem = f"{expressible(record.caption)}_{index:05d}"
        suffix = PurePosixPath(record.file).suffix
        picture(target, names.free("/".join(filter(None, (record.folder, f"{stem}{suffix}")))), record)
        yield record


def expressible(text: str) -> str:
    """As much of a caption as a name can hold, on every system."""
    text = "".join(" " if char in FORBIDDEN or char == "_" or not char.isprintable() else char for char in text)
    text = " ".join(text.split()).lstrip(". ")
    while len(text.encode()) > ROOM:
        text = text[: text.rfind(" ")] if " " in text else text.encode()[:ROOM].decode(errors="ignore")
    return text.strip()
