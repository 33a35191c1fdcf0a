"""kohya's tables for fine-tuning: `meta_cap.json` with the captions, `meta_lat.json` with the training sizes too."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from dataset.buckets import fit
from dataset.captions import bare_name, lines_of, meta_cap_parts, row_keys
from dataset.exchange.names import Names
from dataset.exchange.reading import below_folder, json_of, relative, usable
from dataset.exchange.record import Found, Record
from dataset.exchange.settings import ExportSettings, ImportSettings
from dataset.exchange.target import Target, picture, text
from dataset.pictures import PictureError, size_of
from dataset.problem import counted
from dataset.settings import DatasetSettings
from settings.errors import SettingsError

name = "meta_cap"
label = "kohya's meta_cap.json and meta_lat.json"
help = "One table with the captions, one with the sizes as well: fine-tuning with sd-scripts."
order = 30
keeps = {"folders", "masks"}

TABLES = ("meta_cap.json", "meta_clean.json", "meta_lat.json")


def fits(source: Path) -> int:
    return 70 if _table(source) else 0


def read(source: Path, options: ImportSettings) -> Found:
    path = _table(source)
    if path is None:
        raise SettingsError({"source": f"there is none of {', '.join(TABLES)}"})
    root, found, rows = Path(options.images or path.parent), Found(), json_of(path)
    if not isinstance(rows, dict):
        raise SettingsError({"source": f"{path.name} is no table of captions"})
    keys, left, silent = _keys(rows), set(rows), 0
    for image in below_folder(root):
        key = next((keys[name] for name in row_keys(image, root) if keys.get(name)), None)
        if key is None:
            silent += 1
        elif usable(image, found):
            left.discard(key)
            said = ", ".join(meta_cap_parts(rows[key]).values())
            found.records.append(Record(relative(image, root), image, next(iter(lines_of(said)), "")))
    if silent:
        found.leave_out(path, f"{counted(silent, 'picture')} below it are not in the table", "import them on their own")
    if left:
        shown = ", ".join(sorted(left)[:3])
        found.remark(path, f"{counted(len(left), 'row')} without a picture below {root} ({shown})",
                     "say where the pictures are")
    return found


def _keys(rows: dict[str, Any]) -> dict[str, str | None]:
    """What a picture may be called -> the row's key; None where the name alone could mean several."""
    keys: dict[str, str | None] = {}
    for key in rows:
        bare = bare_name(key)
        keys[bare] = None if bare in keys else key
    return keys | {key.replace("\\", "/"): key for key in rows}


def write(records: Iterable[Record], target: Target, options: ExportSettings) -> Iterator[Record]:
    names, captions, sizes = Names(stems=True), {}, {}
    settings = DatasetSettings(resolution=options.resolution - options.resolution % 64 or 64)
    for record in records:
        free = names.free(record.name)
        picture(target, free, record)
        key = PurePosixPath(free).with_suffix("").as_posix()
        captions[key] = {"caption": record.caption}
        sizes[key] = {**captions[key], **_resolution(record, settings)}
        yield record
    text(target, "meta_cap.json", json.dumps(captions, indent=2, ensure_ascii=False) + "\n")
    text(target, "meta_lat.json", json.dumps(sizes, indent=2, ensure_ascii=False) + "\n")


def _resolution(record: Record, settings: DatasetSettings) -> dict[str, list[int]]:
    if not isinstance(record.content, Path):
        return {}
    try:
        return {"train_resolution": list(fit(*size_of(record.content), settings).bucket)}
    except PictureError:
        return {}


def _table(source: Path) -> Path | None:
    if source.is_dir():
        return next((source / name for name in TABLES if (source / name).is_file()), None)
    if not source.is_file() or source.suffix.lower() != ".json":
        return None
    value = json_of(source)
    rows = list(value.values())[:50] if isinstance(value, dict) else []
    known = {"caption", "tags", "train_resolution", "image_size"}
    return source if rows and all(isinstance(row, dict) and known & row.keys() for row in rows) else None
