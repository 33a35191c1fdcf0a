"""kohya's folders: `img/10_sks dog` with ten repeats, `reg/1_dog` with regularisation pictures, a text file each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from dataset.exchange.folder import has_counted, records
from dataset.exchange.formats.text import put
from dataset.exchange.names import LONGEST, Names, contained
from dataset.exchange.record import Found, Record
from dataset.exchange.settings import ExportSettings, ImportSettings
from dataset.exchange.target import Target
from dataset.prepare import FORBIDDEN
from dataset.scan import COUNTED
from settings.errors import SettingsError

name = "kohya"
label = "kohya folders"
help = "img/10_sks dog and reg/1_dog with a text file beside each picture: kohya_ss, sd-scripts, and this program."
order = 20
keeps = {"repeats", "words", "regularisation", "masks"}


def fits(source: Path) -> int:
    if not source.is_dir():
        return 0
    return 60 if has_counted(source / "img") or has_counted(source) or COUNTED.fullmatch(source.name) else 0


def read(source: Path, options: ImportSettings) -> Found:
    if not fits(source):
        raise SettingsError({"source": "there is no folder such as `10_sks dog` in it"})
    return records(source, options.caption_extension)


def write(found: Iterable[Record], target: Target, options: ExportSettings) -> Iterator[Record]:
    names: defaultdict[str, Names] = defaultdict(lambda: Names(stems=True))
    for record in found:
        folder = f"{'reg' if record.regularisation else 'img'}/{record.repeats}_{words(record, options)}"
        # kohya's tools look into these folders and not below them, so what lies deeper comes up
        inside = record.name.removeprefix(f"{record.words}/") if record.words else record.name
        flat = contained(inside.replace("/", "_"))
        put(record.called(f"{folder}/{names[folder].free(flat)}"), target, options)
        yield record


def words(record: Record, options: ExportSettings) -> str:
    """The class words in the folder's name: the record's own, those asked for, or the folder that it lies in."""
    said = record.words or options.words.strip() or next(iter(PurePosixPath(record.folder).parts), "") or "pictures"
    fit = "".join("_" if char in FORBIDDEN or not char.isprintable() else char for char in said).strip(". ")
    return fit.encode()[: LONGEST - 6].decode(errors="ignore") or "pictures"
