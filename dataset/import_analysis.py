"""Making a training folder of what a language model wrote about pictures: records of a picture, a text, a confidence.

Such files have no format: a list, a list somewhere inside, a record a line, a table by file name, and as many names for
the fields as there are prompts. So the records are looked for, the fields are guessed unless they are named, and every
record that can't be used is listed with its reason. Pictures are copied as they are, and only from below one folder.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from statistics import median
from typing import Any

from dataset import pictures
from dataset.caption_files import one_line
from dataset.captions import MAX_TABLE_BYTES, decode
from dataset.pictures import PictureError
from settings.errors import SettingsError

IMAGES = ("image_path", "image_file", "file_name", "filename", "image", "img_path", "img", "picture", "photo", "path",
          "file", "image_id", "source", "src", "url", "name", "id")
CAPTIONS = ("caption", "description", "text", "detailed_description", "detailed_caption", "long_caption", "prompt",
            "summary", "analysis", "response", "output", "content", "answer")
CONFIDENCES = ("confidence", "confidence_score", "overall_confidence", "score", "probability", "certainty",
               "quality_score", "conf")
WORDS = {"very high": 0.95, "high": 0.9, "medium": 0.6, "moderate": 0.6, "low": 0.3, "very low": 0.1, "none": 0.0}
DEPTH = 60  # lists and tables inside each other
LONG = 4000  # characters: a caption is no essay
ROUNDED = 1.001  # what a sum of floats may make of 1


@dataclass(frozen=True)
class Fields:
    """What the fields are called, with dots for fields inside others ("analysis.score"); "" lets it be guessed."""

    image: str = ""
    caption: str = ""
    confidence: str = ""


@dataclass(frozen=True)
class Record:
    """One record as it was found; `where` tells a person its place in the file."""

    where: str
    value: Any
    name: str = ""  # of the picture, where the record stood under it


@dataclass(frozen=True)
class Kept:
    source: Path
    name: str  # of the copy
    caption: str
    confidence: float | None


@dataclass(frozen=True)
class Dropped:
    where: str
    image: str
    reason: str
    kind: str  # for counting: "broken record", "missing picture", …


@dataclass
class Analysis:
    """What is to be made of the file."""

    records: int = 0
    kept: list[Kept] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    confidences: list[float] = field(default_factory=list)  # of every record that says one
    scale: float = 1.0  # what the file's confidences were divided by
    used: dict[str, dict[str, int]] = field(default_factory=dict)  # which fields held what, and how often


def analyse(file: Path, root: Path, minimum: float, fields: Fields) -> Analysis:
    """Read the file and judge every record; pictures are looked for below `root`. Writes nothing. SettingsError where
    there is nothing in it that could be used."""
    records = list(_records(_values(file), fields))
    if not records:
        raise SettingsError({"FILE": "there are no records with a picture in it; --image-field names the field"})
    return _Judge(root, minimum, fields).judge(records)


# --- finding the records


def _values(file: Path) -> Iterator[tuple[str, Any]]:
    """(place, JSON value): one for a JSON file, one for each line of JSON lines; a broken line as itself, a text."""
    try:
        if file.stat().st_size > MAX_TABLE_BYTES:
            raise SettingsError({"FILE": f"is larger than {MAX_TABLE_BYTES / 1e6:.0f} MB; split it"})
        text = decode(file.read_bytes())[0].strip()
    except OSError as error:
        raise SettingsError({"FILE": f"can't be read: {error.strerror} ({file})"}) from error
    text = re.sub(r"\A```\w*\s*\n|\n```\s*\Z", "", text)  # models like to put their answer into a fence
    try:
        yield "", json.loads(text)
        return
    except RecursionError:
        raise SettingsError({"FILE": "its lists are too deep inside each other"}) from None
    except ValueError as error:
        lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
        values = [(f"line {number}", _value(line)) for number, line in lines]
        if not any(isinstance(value, dict) for _, value in values):
            raise SettingsError({"FILE": f"is no JSON: {error}"}) from None
    yield from values


def _value(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return line


def _records(values: Iterable[tuple[str, Any]], fields: Fields) -> Iterator[Record]:
    for where, value in values:
        if where and not isinstance(value, (dict, list)):
            yield Record(where, value)  # a broken line
            continue
        found = list(_walk(where, value, fields, DEPTH))
        yield from found or ([Record(where, value)] if where else [])


def _walk(where: str, value: Any, fields: Fields, depth: int) -> Iterator[Record]:
    """Every record in a value. In a list with one record everything else is a broken one."""
    if depth == 0 or not isinstance(value, (dict, list)):
        return
    if isinstance(value, dict):
        if _image(value, fields):
            yield Record(where or "the file", value)
            return
        named = {key: inner for key, inner in value.items() if _is_picture(key)}
        yield from (Record(_at(where, key), inner, key) for key, inner in named.items())
        for key, inner in value.items():
            if key not in named:
                yield from _walk(_at(where, key), inner, fields, depth - 1)
        return
    of_records = any(isinstance(inner, dict) and _image(inner, fields) for inner in value)
    for index, inner in enumerate(value):
        place = f"{where}[{index}]"
        if of_records and not isinstance(inner, list):
            yield Record(place, inner)
        else:
            yield from _walk(place, inner, fields, depth - 1)


def _at(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


# --- reading a record


def _image(record: dict[str, Any], fields: Fields) -> tuple[str, str] | None:
    """(field, what it says) of the picture; None where there is none. A guessed field must look like a picture."""
    if fields.image:
        value = _inside(record, fields.image)
        return (fields.image, value.strip()) if isinstance(value, str) and value.strip() else None
    lowered = {key.lower(): key for key in record}
    for name in IMAGES:
        key = lowered.get(name)
        value = record.get(key) if key else None
        if isinstance(value, dict) and (inner := _image(value, fields)):
            return f"{key}.{inner[0]}", inner[1]
        if isinstance(value, str) and _is_picture(value):
            return key, value.strip()
    return None


def _is_picture(text: str) -> bool:
    return PurePosixPath(text.strip()).suffix.lower() in pictures.EXTENSIONS | pictures.FOREIGN


def _inside(record: Any, path: str) -> Any:
    """The value at a dotted path; a key that has the dots itself comes first."""
    if not isinstance(record, dict) or path in record:
        return record.get(path) if isinstance(record, dict) else None
    first, _, rest = path.partition(".")
    return _inside(record.get(first), rest) if rest else None


def _guess(record: dict[str, Any], names: tuple[str, ...], fits: Callable[[Any], bool]) -> tuple[str, Any]:
    """(field, value) of the first fitting field of these names, in the record and then in the tables inside it."""
    level, depth = [("", record)], 4
    while level and depth:
        for prefix, table in level:
            lowered = {key.lower(): key for key in table}
            for name in names:
                if name in lowered and fits(table[lowered[name]]):
                    return prefix + lowered[name], table[lowered[name]]
        level = [(f"{prefix}{key}.", value) for prefix, table in level for key, value in table.items()
                 if isinstance(value, dict)]
        depth -= 1
    return "", None


def _caption(record: dict[str, Any], fields: Fields) -> tuple[str, str]:
    """(field, text); a list of texts is joined, as tags are."""
    field_, value = fields.caption, _inside(record, fields.caption)
    if not field_:
        field_, value = _guess(record, CAPTIONS, lambda value: bool(_text(value)) and not _is_picture(_text(value)))
    return field_, _text(value)


def _text(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        value = ", ".join(item.strip() for item in value if item.strip())
    return one_line(value) if isinstance(value, str) else ""


def _confidence(record: dict[str, Any], fields: Fields) -> tuple[str, Any]:
    if fields.confidence:
        return fields.confidence, _inside(record, fields.confidence)
    return _guess(record, CONFIDENCES, lambda value: not isinstance(value, (dict, list)) and value is not None)


def _number(value: Any) -> tuple[float, bool] | None:
    """(number, whether it is certainly 0..1 already); None for what is no confidence."""
    if isinstance(value, str):
        text = value.strip().casefold()
        if text in WORDS:
            return WORDS[text], True
        match = re.fullmatch(r"([\d.]+)\s*(%|/\s*(\d+))?", text)
        if not match or not re.fullmatch(r"\d*\.?\d+|\d+\.", match[1]):
            return None
        of = 100.0 if match[2] == "%" else float(match[3] or 0)
        return (float(match[1]) / of, True) if of else None if match[2] else (float(match[1]), False)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        value = float(value)
    except OverflowError:
        return None
    return (value, False) if math.isfinite(value) and value >= 0 else None


# --- judging


@dataclass(frozen=True)
class _Read:
    record: Record
    image: str
    caption: str
    said: Any  # the confidence as it stands there
    number: tuple[float, bool] | None


@dataclass
class _Judge:
    root: Path
    minimum: float
    fields: Fields
    analysis: Analysis = field(default_factory=Analysis)

    def judge(self, records: list[Record]) -> Analysis:
        self.analysis.records = len(records)
        read = [good for record in records if (good := self._read(record))]
        self.analysis.scale = _scale([one.number[0] for one in read if one.number and not one.number[1]])
        candidates = [(one, confidence) for one in read if (confidence := self._judged(one)) is not False]
        candidates.sort(key=lambda pair: -(pair[1] or 0))  # of two about one picture the surer one stays; stable
        self._keep(candidates, {id(record): place for place, record in enumerate(records)})
        return self.analysis

    def _read(self, record: Record) -> _Read | None:
        value = {"caption": record.value} if record.name and isinstance(record.value, str) else record.value
        if not isinstance(value, dict):
            return self._drop(record, "", "it is no record", "broken record")
        named = ("(name)", record.name) if record.name else _image(value, self.fields)
        if not named:
            return self._drop(record, "", "it names no picture", "broken record")
        field_, image = named
        self._count("image", field_)
        field_, caption = _caption(value, self.fields)
        if not caption:
            return self._drop(record, image, "it has no caption or description", "no caption")
        self._count("caption", field_)
        if len(caption) > LONG:
            return self._drop(record, image, f"its caption has {len(caption):,} characters", "caption too long")
        field_, said = _confidence(value, self.fields)
        if said is not None:
            self._count("confidence", field_)
        return _Read(record, image, caption, said, _number(said))

    def _judged(self, one: _Read) -> float | None | bool:
        """The record's confidence, None where it has none and needs none; False if it is dropped."""
        if one.number is None:
            if one.said is None and self.minimum <= 0:
                return None
            what = "it says no confidence" if one.said is None else f"its confidence is {_shown(one.said)}"
            return bool(self._drop(one.record, one.image, what, "no confidence"))
        confidence = one.number[0] / (1 if one.number[1] else self.analysis.scale)
        if confidence > ROUNDED:
            what = f"its confidence is {_shown(one.said)}"
            return bool(self._drop(one.record, one.image, what, "no confidence"))
        confidence = min(confidence, 1.0)
        self.analysis.confidences.append(confidence)
        if confidence < self.minimum:
            what = f"its confidence is {confidence:.2f}, below {self.minimum:g}"
            return bool(self._drop(one.record, one.image, what, "low confidence"))
        return confidence

    def _keep(self, candidates: list[tuple[_Read, float | None]], places: dict[int, int]) -> None:
        found: dict[Path, _Read] = {}
        kept = []
        for one, confidence in candidates:
            try:
                path = _picture(self.root, one.image)
                if path in found:
                    where = found[path].record.where
                    self._drop(one.record, one.image, f"{where} is about the same picture", "second record")
                    continue
                _check(path)
            except PictureError as error:
                kind = "missing picture" if isinstance(error, _Missing) else (
                    "outside the folder" if isinstance(error, _Outside) else "broken picture")
                self._drop(one.record, one.image, f"{error.reason}; {error.fix}", kind)
                continue
            found[path] = one
            kept.append((places[id(one.record)], path, one, confidence))
        names = _Names()
        for _, path, one, confidence in sorted(kept, key=lambda entry: entry[0]):
            self.analysis.kept.append(Kept(path, names.free(path.name), one.caption, confidence))

    def _drop(self, record: Record, image: str, reason: str, kind: str) -> None:
        self.analysis.dropped.append(Dropped(record.where, image, reason, kind))

    def _count(self, what: str, name: str) -> None:
        counts = self.analysis.used.setdefault(what, {})
        counts[name] = counts.get(name, 0) + 1


def _scale(numbers: list[float]) -> float:
    """What the file's confidences are out of: 1 where most are at most that, whatever slip is among them; else 10 or
    100, the smallest that none of them is above."""
    if not numbers or median(numbers) <= ROUNDED:
        return 1.0
    return 10.0 if max(numbers) <= 10 else 100.0


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


# --- finding the pictures


class _Missing(PictureError):
    pass


class _Outside(PictureError):
    pass


def _picture(root: Path, said: str) -> Path:
    """The picture that a record means, below `root`, links resolved. An absolute path from elsewhere, another machine
    perhaps, is looked for by its last parts. Raises PictureError."""
    windows = "\\" in said or PureWindowsPath(said).drive != ""
    pure = PureWindowsPath(said) if windows else PurePosixPath(said)
    parts = [part for part in pure.parts if part not in (pure.anchor, ".")]
    if "\0" in said or ".." in parts or not parts:
        raise _Outside("the path leads out of the pictures' folder", "write it without .. in it")
    absolute = bool(pure.anchor)
    tries = [Path(said)] if absolute and not windows else []
    tries += [root.joinpath(*parts[index:]) for index in (range(len(parts)) if absolute else (0,))]
    home, outside = os.path.realpath(root), False
    for path in tries:
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(home):
            outside = True
        elif os.path.isfile(real):
            return real
    if outside:
        raise _Outside(f"the picture isn't below {root}", "say where the pictures are with --images")
    raise _Missing("the picture isn't there", "say where the pictures are with --images")


def _check(path: Path) -> None:
    """Raises PictureError for what no training could read."""
    if path.suffix.lower() not in pictures.EXTENSIONS:
        raise PictureError(f"pictures of the kind {path.suffix or '(none)'} can't be read", "save it as JPEG or PNG")
    pictures.read(path)


class _Names:
    """Names for the copies, which come from several folders into one: no two with the same stem, whatever their case,
    because a stem is what a caption is found by."""

    def __init__(self) -> None:
        self.taken: set[str] = set()

    def free(self, name: str) -> str:
        stem, suffix = os.path.splitext(name.lstrip(".") or "picture")
        stem = stem.encode(errors="replace").decode()
        free, number = stem, 2
        while free.casefold() in self.taken:
            free, number = f"{stem}_{number}", number + 1
        self.taken.add(free.casefold())
        return free + suffix
