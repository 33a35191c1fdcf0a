"""Hugging Face's image folder: `metadata.jsonl`, `.csv` or `.parquet` names each picture and says what is in it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dataset.exchange.arrow import parquet_rows, parquet_table
from dataset.exchange.formats import csv
from dataset.exchange.names import Names, walk
from dataset.exchange.reading import CAPTION_COLUMNS, PICTURE_COLUMNS, column, extra, of_row, text_of
from dataset.exchange.record import Found, Record
from dataset.exchange.settings import ExportSettings, ImportSettings
from dataset.exchange.target import Target, add, text
from settings.errors import SettingsError

name = "imagefolder"
label = "Hugging Face image folder"
help = ('metadata.jsonl with {"file_name": "a.png", "text": "a caption"}: datasets, the training scripts of diffusers, '
        "and this program.")
order = 40
keeps = {"folders", "repeats", "words", "regularisation"}

KINDS = ("jsonl", "csv", "parquet")


def fits(source: Path) -> int:
    return 80 if tables(source) else 0


def tables(source: Path) -> list[Path]:
    """The metadata files: each goes for what lies below its own folder."""
    usual = {f"metadata.{kind}" for kind in KINDS}
    if source.is_dir():
        return [path for path in walk(source) if path.name.lower() in usual]
    return [source] if source.name.lower() in usual or source.suffix.lower() == ".jsonl" else []


def read(source: Path, options: ImportSettings) -> Found:
    found, files = Found(), tables(source)
    if not files:
        raise SettingsError({"source": "there is no metadata.jsonl, .csv or .parquet in it"})
    base = source if source.is_dir() else source.parent
    for file in files:
        before = len(found.records)
        root = Path(options.images) if options.images else file.parent
        for where, row in rows(file, found):
            _add(row, root, options, found, where)
        if root != base and root.is_relative_to(base):
            prefix = root.relative_to(base).as_posix()
            found.records[before:] = [record.called(f"{prefix}/{record.name}") for record in found.records[before:]]
    return found


def _add(row: Mapping[str, Any], root: Path, options: ImportSettings, found: Found, where: Path) -> None:
    image = column(row, options.image_field if options.image_field in row else "", PICTURE_COLUMNS, "image")
    caption = column(row, options.caption_field if options.caption_field in row else "", CAPTION_COLUMNS, "caption")
    of_row(row, root, image, caption, found, where)


def rows(file: Path, found: Found) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Each line of a metadata file with where it stands."""
    kind = file.suffix.lower()
    if kind == ".parquet":
        for number, row in enumerate(parquet_rows(file), start=1):
            yield Path(f"{file}, row {number}"), row
    elif kind == ".csv":
        names, lines = csv.table(text_of(file))
        for number, line in lines:
            yield Path(f"{file}, line {number}"), dict(zip(names, line))
    else:
        for number, line in enumerate(text_of(file).split("\n"), start=1):
            where = Path(f"{file}, line {number}")
            row = _parsed(line)
            if isinstance(row, dict):
                yield where, row
            elif line.strip():
                found.leave_out(where, "it is no JSON record", "mend this line, or leave it out")


def write(records: Iterable[Record], target: Target, options: ExportSettings) -> Iterator[Record]:
    names, written = Names(), []
    for record in records:
        free = names.free(record.name)
        add(target, free, record.content)
        written.append(({"file_name": free, "text": record.caption}, extra(record), record.plain))
        yield record
    simple = all(is_plain for *_, is_plain in written)
    lines = [{**row, **({} if simple else more)} for row, more, _ in written]
    if options.table == "parquet":
        with target.open("metadata.parquet") as file:
            parquet_table(lines, file)
    elif options.table == "csv":
        text(target, "metadata.csv", csv.written(written))
    else:
        text(target, "metadata.jsonl", "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines))


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
