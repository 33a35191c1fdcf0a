"""diffusion-pipe's folders: `captions.json` in each, {"a.png": ["a caption"]}, and a `dataset.toml` that lists them."""

from __future__ import annotations

import json
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import toml

from dataset import masks
from dataset.exchange.names import Names, below, is_picture, walk
from dataset.exchange.reading import json_of, number, relative, usable
from dataset.exchange.record import Found, Record
from dataset.exchange.settings import ExportSettings, ImportSettings
from dataset.exchange.target import Target, picture, text
from dataset.problem import counted
from settings.errors import SettingsError

name = "diffusion_pipe"
label = "diffusion-pipe"
help = "captions.json in each folder, and a dataset.toml with the repeats."
order = 70
keeps = {"folders", "repeats", "masks"}

CAPTIONS, LIST = "captions.json", "dataset.toml"


def fits(source: Path) -> int:
    return 72 if _files(source) else 0


def _files(source: Path) -> list[Path]:
    if source.is_dir():
        return [path for path in walk(source) if path.name == CAPTIONS]
    return [source] if source.name == CAPTIONS and source.is_file() else []


def read(source: Path, options: ImportSettings) -> Found:
    found, files = Found(), _files(source)
    if not files:
        raise SettingsError({"source": f"there is no {CAPTIONS} in it"})
    base = source if source.is_dir() else source.parent
    repeats = _repeats(base)
    for file in files:
        _read(file, base, repeats.get(file.parent.name if file.parent != base else "", 1), found)
    return found


def _read(file: Path, base: Path, repeats: int, found: Found) -> None:
    table = json_of(file)
    if not isinstance(table, dict):
        return found.leave_out(file, "this isn't a table of captions", 'it must look like {"a.png": ["a caption"]}')
    several = 0
    for name, said in table.items():
        said = [said] if isinstance(said, str) else said if isinstance(said, list) else []
        texts = [words for words in said if isinstance(words, str)]
        several += len(texts) > 1
        path = below(file.parent, name)
        if path is None or not is_picture(path.name):
            found.leave_out(file, f"it names a picture that isn't there: {name[:200]}", "put it there")
        elif usable(path, found):
            found.records.append(Record(relative(path, base), path, texts[0] if texts else "", repeats))
    if several:
        found.remark(file, f"{counted(several, 'picture')} with several captions; the first is taken",
                     "choose another in the tag editor")
    return None


def _repeats(base: Path) -> dict[str, int]:
    """Folder's name -> repeats, as `dataset.toml` says; the folder itself is ""."""
    try:
        listed = tomllib.loads((base / LIST).read_text(encoding="utf-8")).get("directory")
    except (OSError, ValueError):
        return {}
    folders = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    known = {Path(str(one.get("path", ""))).name: number(one.get("num_repeats")) for one in folders}
    return known | {"": known.get(base.name, known.get("", 1))}


def write(records: Iterable[Record], target: Target, options: ExportSettings) -> Iterator[Record]:
    tables: dict[str, dict[str, list[str]]] = defaultdict(dict)
    counts: dict[str, int] = {}
    masked: set[str] = set()
    names = Names()
    for record in records:
        folder = _folder(record, counts)
        masked |= {folder} if record.mask else set()
        free = names.free(f"{folder}/{record.file}" if folder else record.file)
        picture(target, free, record)
        tables[folder][Path(free).name] = [record.caption]
        yield record
    for folder, table in tables.items():
        path = f"{folder}/{CAPTIONS}" if folder else CAPTIONS
        text(target, path, json.dumps(table, indent=2, ensure_ascii=False) + "\n")
    text(target, LIST, _listed(counts, masked, target.place, options.resolution))


def _folder(record: Record, counts: dict[str, int]) -> str:
    """The folder that a record goes into: its own, or one beside it where pictures in there have other repeats."""
    folder = record.folder
    if counts.setdefault(folder, record.repeats) != record.repeats:
        folder = f"{folder}_{record.repeats}".lstrip("_")
        counts.setdefault(folder, record.repeats)
    return folder


def _listed(counts: dict[str, int], masked: set[str], place: str, resolution: int) -> str:
    folders = []
    for folder, repeats in counts.items():
        path = "/".join(filter(None, (Path(place).as_posix() if place else "", folder))) or "."
        folders.append({"path": path, "num_repeats": repeats})
        if folder in masked:
            folders[-1]["mask_path"] = f"{path}/{masks.FOLDER}"
    settings = {"resolutions": [resolution], "enable_ar_bucket": True, "min_ar": 0.5, "max_ar": 2.0,
                "num_ar_buckets": 7, "directory": folders}
    note = "" if place else "# The paths are as seen from the unpacked folder; diffusion-pipe wants whole ones.\n"
    return note + toml.dumps(settings)
