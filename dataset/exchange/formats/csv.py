"""A table of two columns, a picture's name and its caption, as spreadsheets write and read it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from dataset.exchange.names import Names, is_picture
from dataset.exchange.reading import CAPTION_COLUMNS, PICTURE_COLUMNS, column, extra, of_row, text_of
from dataset.exchange.record import Found, Record
from dataset.exchange.settings import ExportSettings, ImportSettings
from dataset.exchange.target import Target, picture, text
from settings.errors import SettingsError

name = "csv"
label = "CSV table"
help = ("captions.csv with file_name and text, for spreadsheets; pictures beside it. Text that a spreadsheet would run "
        "as a formula gets an apostrophe in front.")
order = 60
keeps = {"folders", "repeats", "words", "regularisation", "masks"}

FILE = "captions.csv"
FORMULA = re.compile("'*[=+@\t-]")  # what spreadsheets take for a formula, and what has been defused already
csv.field_size_limit(1 << 22)


def fits(source: Path) -> int:
    if source.is_dir():
        return 65 if (source / FILE).is_file() else 0
    return 60 if source.suffix.lower() in (".csv", ".tsv") else 0


def read(source: Path, options: ImportSettings) -> Found:
    file = source / FILE if source.is_dir() else source
    if not file.is_file():
        raise SettingsError({"source": f"there is no {FILE} in it"})
    root, found = Path(options.images or file.parent), Found()
    names, lines = table(text_of(file))
    image = column(names, options.image_field, PICTURE_COLUMNS, "image")
    if not image:
        raise SettingsError({"image_field": f"say which column has the pictures' names: {', '.join(names[:20])}"})
    caption = column(names, options.caption_field, CAPTION_COLUMNS, "caption")
    if not caption:
        caption = next((name for name in names if name != image), "")
    for number, line in lines:
        row = dict(zip(names, map(plain, line)))
        of_row(row, root, image, caption, found, Path(f"{file}, line {number}"))
    return found


def table(words: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """(names of the columns, numbered lines). A table that begins with a picture has no names: they are file_name and
    text then."""
    head = words[:4096].split("\n", 1)[0]
    separator = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(words, newline=""), delimiter=separator)
    try:
        lines = [(reader.line_num, line) for line in reader if any(cell.strip() for cell in line)]
    except csv.Error as error:
        raise SettingsError({"source": f"it is no table: {error}"}) from None
    if not lines:
        raise SettingsError({"source": "the table is empty"})
    if any(is_picture(cell.strip()) for cell in lines[0][1]):
        first = next(index for index, cell in enumerate(lines[0][1]) if is_picture(cell.strip()))
        others = [f"column {index + 1}" for index in range(len(lines[0][1]))]
        others[first] = "file_name"
        if len(others) > 1:
            others[1 if first == 0 else 0] = "text"
        return others, lines
    return [cell.strip() for cell in lines[0][1]], lines[1:]


def write(records: Iterable[Record], target: Target, options: ExportSettings) -> Iterator[Record]:
    names, rows = Names(), []
    for record in records:
        free = names.free(record.name)
        picture(target, free, record)
        rows.append(({"file_name": free, "text": record.caption}, extra(record), record.plain))
        yield record
    text(target, FILE, written(rows, defused))


def written(rows: list[tuple[dict, dict, bool]], cell: object = lambda value: value) -> str:
    """The table; the further columns only where some record needs them."""
    simple = all(is_plain for *_, is_plain in rows)
    lines = [{**row, **({} if simple else more)} for row, more, _ in rows]
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(lines[0] if lines else ["file_name", "text"])
    writer.writerows([cell(value) for value in line.values()] for line in lines)
    return out.getvalue()


def defused(value: object) -> object:
    """A text that no spreadsheet runs: with an apostrophe in front of what would be a formula."""
    return f"'{value}" if isinstance(value, str) and FORMULA.match(value) else value


def plain(value: str) -> str:
    return value[1:] if value.startswith("'") and FORMULA.match(value) else value
