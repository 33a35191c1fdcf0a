"""Pictures with a text file of the same name beside each: what nearly every trainer reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from dataset.captions import CaptionFinder, dotted, lines_of
from dataset.exchange.names import Names
from dataset.exchange.reading import below_folder, relative, usable
from dataset.exchange.record import Found, Record
from dataset.exchange.settings import ExportSettings, ImportSettings
from dataset.exchange.target import Target, picture, text
from settings.errors import SettingsError

name = "text"
label = "Text file beside each picture"
help = "a.png and a.txt, folders as they are: kohya, OneTrainer, ai-toolkit, diffusion-pipe and others read it."
order = 10
keeps = {"folders", "masks"}


def fits(source: Path) -> int:
    return 10 if source.is_dir() and any(usable(path, Found()) for path in below_folder(source)) else 0


def read(source: Path, options: ImportSettings) -> Found:
    if not source.is_dir():
        raise SettingsError({"source": "this format is a folder"})
    found, captions = Found(), CaptionFinder(source, options.caption_extension)
    for path in below_folder(source):
        if usable(path, found):
            caption = captions.beside(path)
            found.records.append(Record(relative(path, source), path, caption.text if caption else ""))
    found.problems += captions.problems
    return found


def write(records: Iterable[Record], target: Target, options: ExportSettings) -> Iterator[Record]:
    names = Names(stems=True)
    for record in records:
        free = names.free(record.name)
        put(record.called(free), target, options)
        yield record


def put(record: Record, target: Target, options: ExportSettings) -> None:
    """A picture and its caption, if it has one: an empty file would be refused by some trainers."""
    picture(target, record.name, record)
    if lines_of(record.caption):
        stem = record.name[: len(record.name) - len(Path(record.name).suffix)]
        text(target, f"{stem}{dotted(options.caption_extension)}", f"{record.caption}\n")
