"""Parquet with the pictures inside, as Hugging Face's data sets are published: the bytes stay what they are."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from dataset import pictures
from dataset.exchange.arrow import arrow, features, missing, opened
from dataset.exchange.names import Names, contained, is_picture, walk
from dataset.exchange.reading import CAPTION_COLUMNS, PICTURE_COLUMNS, number, of_row, truth, words
from dataset.exchange.record import Cell, Found, Record
from dataset.exchange.settings import ExportSettings, ImportSettings
from dataset.exchange.target import Target
from settings.errors import SettingsError

name = "parquet"
label = "Parquet with the pictures inside"
help = "One file or several with columns image and text, as on the Hugging Face hub. Needs the package pyarrow."
order = 50
keeps = {"folders", "repeats", "words", "regularisation"}
needs = missing

SHARD = 400_000_000  # bytes of pictures in one file
GROUP = 100  # pictures that are read at once
EXTENSIONS = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "BMP": ".bmp", "GIF": ".gif", "TIFF": ".tif",
              "AVIF": ".avif", "MPO": ".jpg", "DIB": ".bmp"}


def fits(source: Path) -> int:
    return 75 if files(source) else 0


def files(source: Path) -> list[Path]:
    if source.is_dir():
        return [path for path in walk(source) if path.suffix.lower() == ".parquet" and path.stem != "metadata"]
    return [source] if source.suffix.lower() == ".parquet" and source.is_file() else []


def read(source: Path, options: ImportSettings) -> Found:
    found, free = Found(), Names()
    if not files(source):
        raise SettingsError({"source": "there is no Parquet file in it"})
    for file in files(source):
        _read(file, options, found, free)
    return found


def _read(file: Path, options: ImportSettings, found: Found, free: Names) -> None:
    table = opened(file)
    image, caption = columns(table.schema_arrow, options)
    others = [name for name in (caption, "repeats", "class_words", "regularisation") if name]
    wanted = [name for name in (image, *others) if name in table.schema_arrow.names]
    index = 0
    for group in range(table.num_row_groups):
        for place, row in enumerate(table.read_row_group(group, wanted).to_pylist()):
            index += 1
            where = Path(f"{file}, row {index}")
            data, path = _cell(row.get(image))
            if not data and path:  # only named: datasets writes such files of folders that it has read
                of_row(row | {image: path}, Path(options.images or file.parent), image, caption, found, where)
            elif extension := sniffed(data):
                name = contained(path or "") or f"{file.stem}_{index:05d}{extension}"
                name = name if is_picture(name) else f"{name}{extension}"
                said = row.get(caption)
                found.records.append(Record(
                    free.free(name), Cell(len(data), _Fetch(str(file), group, place, image)),
                    said if isinstance(said, str) else "", number(row.get("repeats")), words(row.get("class_words")),
                    truth(row.get("regularisation"))))
            else:
                found.leave_out(where, "there is no picture that can be read in it", "leave this row out")


def columns(schema: Any, options: ImportSettings) -> tuple[str, str]:
    """The columns of pictures and captions: those named, else by type and by what they are usually called."""
    names = schema.names
    kinds = {name: str(schema.field(name).type) for name in names}
    for what, wanted in (("image", options.image_field), ("caption", options.caption_field)):
        if wanted and wanted not in names:
            raise SettingsError({f"{what}_field": f"there is no {wanted}; there are {', '.join(names[:20])}"})
    binary = [name for name in names if "binary" in kinds[name]]
    texts = [name for name in names if kinds[name] in ("string", "large_string")]
    image = options.image_field or _usual(binary, PICTURE_COLUMNS)
    if not image:
        raise SettingsError({"source": f"no column has pictures in it; there are {', '.join(names[:20])}"})
    return image, options.caption_field or _usual(texts, CAPTION_COLUMNS)


def sniffed(data: bytes) -> str:
    """The extension that fits a picture's bytes; "" for what can't be read."""
    try:
        with Image.open(io.BytesIO(data), formats=pictures.FORMATS) as image:
            wide, high = image.size
            return EXTENSIONS.get(image.format or "", "") if 0 < wide * high <= pictures.MAX_PIXELS else ""
    except (UnidentifiedImageError, Image.DecompressionBombError, *pictures.BROKEN):
        return ""


def write(records: Iterable[Record], target: Target, options: ExportSettings) -> Iterator[Record]:
    pyarrow, parquet = arrow()
    kinds = {"image": "image", "text": "string", "repeats": "int64", "class_words": "string", "regularisation": "bool"}
    types = {"image": pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())]),
             "text": pyarrow.string(), "repeats": pyarrow.int64(), "class_words": pyarrow.string(),
             "regularisation": pyarrow.bool_()}
    records = list(records)
    if all(record.plain for record in records):
        kinds = {name: kinds[name] for name in ("image", "text")}
    schema = pyarrow.schema([(name, types[name]) for name in kinds], metadata=features(kinds))
    for shard, part in enumerate(_shards(records)):
        with target.open(f"data/train-{shard:05d}.parquet") as file, parquet.ParquetWriter(file, schema) as writer:
            for start in range(0, len(part), GROUP):
                rows = []
                for record in part[start : start + GROUP]:
                    rows.append(_row(record, kinds))
                    yield record
                writer.write_table(pyarrow.Table.from_pylist(rows, schema), row_group_size=GROUP)


def _row(record: Record, kinds: dict[str, str]) -> dict[str, Any]:
    row = {"image": {"bytes": record.bytes(), "path": record.name}, "text": record.caption,
           "repeats": record.repeats, "class_words": record.words, "regularisation": record.regularisation}
    return {name: row[name] for name in kinds}


def _shards(records: list[Record]) -> Iterator[list[Record]]:
    shard, size = [], 0
    for record in records:
        if shard and size + record.size > SHARD:
            yield shard
            shard, size = [], 0
        shard.append(record)
        size += record.size
    yield shard


def _usual(names: list[str], usual: tuple[str, ...]) -> str:
    lowered = {name.lower(): name for name in reversed(names)}
    return next((lowered[name] for name in usual if name in lowered), names[0] if len(names) == 1 else "")


def _cell(value: Any) -> tuple[bytes, str | None]:
    """(bytes, name) of a picture's cell: Hugging Face's pair of both, or the bytes alone."""
    if isinstance(value, dict):
        return value.get("bytes") or b"", value.get("path")
    return (value, None) if isinstance(value, bytes) else (b"", None)


class _Fetch:
    """Gets one picture out of its file again, a group of them at a time: all together might not fit into memory."""

    def __init__(self, file: str, group: int, place: int, column: str):
        self.file, self.group, self.place, self.column = file, group, place, column

    def __call__(self) -> bytes:
        return _cell(_group(self.file, self.group, self.column)[self.place])[0]


@lru_cache(maxsize=1)
def _group(file: str, group: int, column: str) -> list[Any]:
    return opened(Path(file)).read_row_group(group, [column])[column].to_pylist()
