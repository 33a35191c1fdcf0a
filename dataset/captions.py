"""Which caption belongs to a picture, read whatever its encoding.

A caption is looked for beside the picture first (a text file of the same name), then in a table of the folder or of one
above it (`metadata.jsonl`, kohya's `meta_cap.json`). It is one line; of more, the first counts, as in sd-scripts.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from dataset.problem import Problem, counted

EXTENSIONS = (".txt", ".caption")
TABLES = ("metadata.jsonl", "meta_cap.json")
MAX_BYTES = 65_536  # a caption; anything longer is some other text
MAX_TABLE_BYTES = 256_000_000

EMPTY = ("the caption file is empty", "write a caption, or delete the file")


@dataclass(frozen=True)
class Caption:
    text: str  # one line, never empty
    source: Path  # the file it was read from


def decode(data: bytes) -> tuple[str, str]:
    """(text, encoding). UTF-8 and UTF-16 with or without their marks are certain; otherwise Western Windows text is
    assumed, which every sequence of bytes can be."""
    if data.isascii() and b"\0" not in data:
        return data.decode("ascii"), "utf-8"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ["utf-16"]
    elif b"\0" in data:  # no text in UTF-8 has these; UTF-16 of Western text has one in every pair
        encodings = ["utf-16-le" if data[1::2].count(0) >= data[::2].count(0) else "utf-16-be"]
    else:
        encodings = ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            return data.decode(encoding), encoding.removesuffix("-sig")
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1"), "latin-1"


def lines_of(text: str) -> list[str]:
    """The lines of a caption file that say something; the first is the caption."""
    if "\0" not in text:
        text = text.strip()
        if "\n" not in text and "\r" not in text:  # nearly always
            return [text] if text else []
    return [line.strip() for line in re.split(r"[\r\n]+", text.replace("\0", "")) if line.strip()]


def jsonl_text(entry: dict[str, Any]) -> tuple[str, str]:
    """(key, text) of the caption in a row of `metadata.jsonl`; ("text", "") where it has none."""
    found = ((key, entry.get(key)) for key in ("text", "caption"))
    return next(((key, text) for key, text in found if isinstance(text, str) and text.strip()), ("text", ""))


def meta_cap_parts(entry: object) -> dict[str, str]:
    """What a row of `meta_cap.json` says, by key, in the order in which it makes the caption. Some programs write tags
    as a list."""
    parts = {}
    for key in ("caption", "tags") if isinstance(entry, dict) else ():
        value = entry.get(key)
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            value = ", ".join(item.strip() for item in value if item.strip())
        if isinstance(value, str) and value.strip():
            parts[key] = value.strip()
    return parts


@lru_cache(maxsize=8)  # asked several times for one picture after the other
def row_keys(picture: Path, folder: Path) -> tuple[str, ...]:
    """What a picture may be called in a table of this folder; the surest first."""
    relative, stem = picture.relative_to(folder).as_posix(), picture.stem
    bare = relative.removesuffix(picture.suffix)
    return relative, bare, Path(os.path.abspath(picture)).as_posix(), stem, f"*/{picture.name}", f"*/{stem}"


def bare_name(key: str) -> str:
    """By which of `row_keys` a row of `meta_cap.json` is found when the pictures have moved since: by the last part of
    its path, which is the picture's name with or without extension."""
    return "*/" + Path(key.replace("\\", "/")).name


def sidecar(picture: Path, extension: str = ".txt") -> Path:
    """Where the caption of a picture is written: beside it, with its own name and this extension."""
    return picture.with_name(f"{picture.stem}{dotted(extension)}")


def dotted(extension: str) -> str:
    return "." + extension.strip(". ")


def read_caption(picture: Path, extension: str = ".txt") -> Caption | None:
    """The caption of one picture, from beside it or from a table in its folder; None if it has none."""
    return CaptionFinder(picture.parent, extension).find(picture)


@dataclass
class CaptionFinder:
    """Finds the captions of the pictures below `root`; `problems` collects what was odd on the way."""

    root: Path
    extension: str = ".txt"
    problems: list[Problem] = field(default_factory=list)
    _names: dict[str, dict[str, str]] = field(default_factory=dict)
    _tables: dict[Path, dict[str, Caption]] = field(default_factory=dict)

    def find(self, picture: Path) -> Caption | None:
        """The picture's caption; own extension first, then the other usual ones, then tables, nearest folder first."""
        if caption := self.beside(picture):
            return caption
        for folder in self._folders(picture):
            table = self._table(folder)
            for key in row_keys(picture, folder):
                if caption := table.get(key):
                    return caption
        return None

    def beside(self, picture: Path) -> Caption | None:
        """The caption in a text file beside the picture, whatever tables say."""
        for path in self._sidecars(picture):
            if text := self._text_of(path):
                return Caption(text, picture.with_name(os.path.basename(path)))
        return None

    def sidecars(self, picture: Path) -> list[Path]:
        """The caption files beside a picture that exist; the one that counts first."""
        return [picture.with_name(os.path.basename(path)) for path in self._sidecars(picture)]

    def _sidecars(self, picture: Path) -> Iterator[str]:
        # as strings, because a folder may have 50,000 pictures
        folder, name = os.path.split(picture)
        names, stem = self._listing(folder), picture.stem
        for extension in self._wanted:
            if found := names.get(stem + extension):
                yield os.path.join(folder, found)

    @cached_property
    def _wanted(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((dotted(self.extension).lower(), *EXTENSIONS)))

    def _listing(self, folder: str) -> dict[str, str]:
        """File names by their name with the extension in lower case: `a.TXT` is a caption too."""
        if folder not in self._names:
            try:
                names = sorted(os.listdir(folder or "."))
            except OSError as error:
                self._say(Path(folder), f"the folder can't be read ({error.strerror})", "check its permissions")
                names = []
            self._names[folder] = {_lower_extension(name): name for name in names}
        return self._names[folder]

    def _folders(self, picture: Path) -> Iterator[Path]:
        for folder in picture.parents:
            yield folder
            if folder == self.root:
                return

    def _text_of(self, name: str) -> str:
        try:
            data = _beginning(name)
        except OSError as error:
            self._say(Path(name), f"the caption can't be read ({error.strerror})", "check the file and its permissions")
            return ""
        if data is None:
            self._say(Path(name), "this isn't a file", "move it away")
            return ""
        if len(data) > MAX_BYTES:
            self._say(Path(name), "the file is too long for a caption",
                      "keep it to one line, or give it another extension")
            return ""
        text, encoding = decode(data)
        if encoding not in ("utf-8", "utf-16"):
            self._say(Path(name), f"the caption isn't UTF-8; it was read as {encoding}",
                      "check it and save it as UTF-8", "encoding")
        return self._line(name, text, EMPTY)

    def _line(self, name: str | Path, text: str, empty: tuple[str, str] | None = None) -> str:
        lines = lines_of(text)
        if len(lines) > 1:
            self._say(Path(name), f"the caption has {len(lines)} lines; only the first is used", "put it on one line",
                      "lines")
        if not lines and empty:
            self._say(Path(name), *empty, "empty")
        return lines[0] if lines else ""

    def _table(self, folder: Path) -> dict[str, Caption]:
        if folder not in self._tables:
            table: dict[str, Caption] = {}
            for name, entries in (("metadata.jsonl", self._from_jsonl), ("meta_cap.json", self._from_meta_cap)):
                if name in self._listing(os.fspath(folder)):
                    for key, caption in entries(folder / name):
                        table.setdefault(key, caption)
            self._tables[folder] = table
        return self._tables[folder]

    def _from_jsonl(self, path: Path) -> Iterable[tuple[str, Caption]]:
        """Hugging Face's imagefolder: one {"file_name": …, "text": …} a line, file names relative to the table."""
        wrong = []
        for number, line in enumerate(self._table_text(path).split("\n"), start=1):
            if not line.strip():
                continue
            entry = _parsed(line)
            name = entry.get("file_name") if isinstance(entry, dict) else None
            if not isinstance(name, str):
                wrong.append(str(number))
                continue
            if line := self._line(path, jsonl_text(entry)[1]):
                yield name.replace("\\", "/").removeprefix("./"), Caption(line, path)
        if wrong:
            lines = ", ".join(wrong[:5]) + (", …" if len(wrong) > 5 else "")
            self._say(path, f"{counted(len(wrong), 'line')} without a picture's name (line {lines})",
                      'each line must look like {"file_name": "a.jpg", "text": "a caption"}')

    def _from_meta_cap(self, path: Path) -> Iterable[tuple[str, Caption]]:
        """kohya's finetune table: {picture: {"caption": …, "tags": …}}; a picture is its name without extension, or
        a path of any kind."""
        entries = _parsed(self._table_text(path))
        if not isinstance(entries, dict):
            self._say(path, "this isn't a table of captions", "make it again, or delete it")
            return
        by_name: dict[str, Caption | None] = {}
        for key, entry in entries.items():
            if not (text := self._line(path, ", ".join(meta_cap_parts(entry).values()))):
                continue
            name, caption = bare_name(key), Caption(text, path)
            yield key.replace("\\", "/"), caption
            by_name[name] = None if name in by_name and by_name[name] != caption else caption
        yield from ((name, caption) for name, caption in by_name.items() if caption)

    def _table_text(self, path: Path) -> str:
        try:
            if path.stat().st_size <= MAX_TABLE_BYTES:
                return decode(path.read_bytes())[0]
            self._say(path, "the table is too large", "split it, a table in each folder")
        except OSError as error:
            self._say(path, f"the table can't be read ({error.strerror})", "check the file and its permissions")
        return ""

    def _say(self, path: Path, reason: str, fix: str, kind: str = "") -> None:
        self.problems.append(Problem(path, reason, fix, used=True, kind=kind))


def _beginning(name: str) -> bytes | None:
    """As much of a file as a caption may have, and a byte more; None: it isn't a file. Opening a pipe would wait for
    ever, but for the flag."""
    if sys.platform == "win32" and os.path.isdir(name):
        return None  # which it would refuse to open
    handle = os.open(name, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return None
        data = os.read(handle, MAX_BYTES + 1)
        while data and len(data) <= MAX_BYTES and (more := os.read(handle, MAX_BYTES + 1 - len(data))):
            data += more
        return data
    finally:
        os.close(handle)


def _lower_extension(name: str) -> str:
    stem, dot, extension = name.rpartition(".")
    return f"{stem}.{extension.lower()}" if dot else name


def _parsed(text: str) -> object:
    """The JSON value, or None; a table that is deeper than any table of captions is none either."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
