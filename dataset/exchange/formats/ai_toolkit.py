"""ai-toolkit's captions: a JSON file beside each picture, {"caption": …}, or one table {"path": {"caption": …}}."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from dataset.exchange.names import Names, is_picture
from dataset.exchange.reading import below_folder, json_of, located, relative, usable
from dataset.exchange.record import Found, Record
from dataset.exchange.settings import ExportSettings, ImportSettings
from dataset.exchange.target import Target, picture, text
from settings.errors import SettingsError

name = "ai_toolkit"
label = "ai-toolkit"
help = 'a.png and a.json with {"caption": …}: set caption_ext to json there.'
order = 80
keeps = {"folders", "masks"}


def fits(source: Path) -> int:
    if source.is_dir():
        return 50 if any(_said(json_of(file)) for file in _beside(source)[:3]) else 0
    return 45 if source.suffix.lower() == ".json" and _table(json_of(source)) else 0


def _beside(source: Path) -> list[Path]:
    files = (path.with_suffix(".json") for path in below_folder(source))
    return [file for file in files if file.is_file()]


def read(source: Path, options: ImportSettings) -> Found:
    found = Found()
    if source.is_dir():
        for path in below_folder(source):
            if usable(path, found):
                found.records.append(Record(relative(path, source), path, _caption(path.with_suffix(".json"), found)))
        return found
    table = _table(json_of(source))
    if not table:
        raise SettingsError({"source": 'it is no table of {"path": {"caption": …}}'})
    root = Path(options.images or source.parent)
    for key, caption in table.items():
        path = located(root, key)
        if path is None or not is_picture(path.name):
            found.leave_out(source, f"it names a picture that isn't there: {key[:200]}", "say where the pictures are")
        elif usable(path, found):
            found.records.append(Record(relative(path, root), path, caption))
    return found


def write(records: Iterable[Record], target: Target, options: ExportSettings) -> Iterator[Record]:
    names = Names(stems=True)
    for record in records:
        free = names.free(record.name)
        picture(target, free, record)
        beside = PurePosixPath(free).with_suffix(".json").as_posix()
        text(target, beside, json.dumps({"caption": record.caption}, ensure_ascii=False) + "\n")
        yield record


def _caption(file: Path, found: Found) -> str:
    if not file.is_file():
        return ""
    said = _said(json_of(file))
    if said is None:
        found.remark(file, "there is no caption in it", 'it must look like {"caption": "a caption"}')
    return said or ""


def _said(value: Any) -> str | None:
    caption = value.get("caption") if isinstance(value, dict) else None
    return caption if isinstance(caption, str) else None


def _table(value: Any) -> dict[str, str]:
    rows = value.items() if isinstance(value, dict) else ()
    return {key: said for key, row in rows if is_picture(key) and (said := _said(row)) is not None}

