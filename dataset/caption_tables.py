"""Tables of captions as they are changed: a row gets a new text, and everything else in the file stays as it is.

Which row is a picture's is decided as `captions.CaptionFinder` decides when it reads; a new row comes last.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataset.captions import bare_name, decode, jsonl_text, lines_of, meta_cap_parts, row_keys
from dataset.files import FileError
from dataset.pictures import EXTENSIONS as PICTURES


def replaced(old: str, text: str, expected: str) -> str:
    """What becomes of an old text of which `expected` was read as the caption. A caption that was only added to leaves
    the lines below it, which a person wrote for whatever reason; another caption replaces them all."""
    old = old.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    if not expected or expected not in text or len(lines_of(old)) < 2:
        return text
    lines = old.split("\n")
    first = next(number for number, line in enumerate(lines) if line.strip())
    return "\n".join([text, *lines[first + 1 :]]).rstrip("\n")


@dataclass
class JsonLines:
    """Hugging Face's `metadata.jsonl`: {"file_name": …, "text": …} a line. Lines that aren't changed keep each byte
    of their text, also those that nobody can read."""

    path: Path
    data: bytes | None  # as it was read; None: there is no such file
    _lines: list[str] = field(default_factory=list)
    _rows: dict[str, int] = field(default_factory=dict)  # name -> line that says something
    _bare: dict[str, int] = field(default_factory=dict)  # name -> line without a caption

    def __post_init__(self) -> None:
        self._lines = decode(self.data or b"")[0].split("\n")
        for number, line in enumerate(self._lines):
            entry = _parsed(line)
            name = entry.get("file_name") if isinstance(entry, dict) else None
            if isinstance(name, str):
                rows = self._rows if jsonl_text(entry)[1] else self._bare
                rows.setdefault(name.replace("\\", "/").removeprefix("./"), number)

    def row(self, picture: Path) -> int | None:
        """Which row is the picture's, if it says something."""
        return next((self._rows[key] for key in row_keys(picture, self.path.parent) if key in self._rows), None)

    def text(self, picture: Path) -> str:
        """The picture's caption; "" if it has none."""
        row = self.row(picture)
        return "" if row is None else _first_line(jsonl_text(json.loads(self._lines[row]))[1])

    def put(self, picture: Path, text: str) -> None:
        name = picture.relative_to(self.path.parent).as_posix()
        if "\\" in name:
            raise FileError(picture, "a name with a backslash can't stand in a table", "rename it, or write text files")
        row = self.row(picture)
        if row is None:
            row = next((self._bare[key] for key in row_keys(picture, self.path.parent) if key in self._bare), None)
        if row is None:
            row = len(self._lines) - (not self._lines[-1].strip())
            self._lines[row:] = ["{}", ""]
            entry: dict[str, Any] = {"file_name": name}
        else:
            entry = json.loads(self._lines[row])
        key, old = jsonl_text(entry)
        entry[key] = replaced(old, text, _first_line(old))
        self._put(row, entry)
        self._rows.setdefault(name, row)

    def clear(self, picture: Path) -> None:
        """Take away the picture's caption; all else that its rows say stays."""
        while (row := self.row(picture)) is not None:
            entry = json.loads(self._lines[row])
            entry |= {key: "" for key in ("text", "caption") if isinstance(entry.get(key), str)}
            end = "\r" if self._lines[row].endswith("\r") else ""
            self._lines[row] = json.dumps(entry, ensure_ascii=not _encodable(entry)) + end
            for name in [name for name, number in self._rows.items() if number == row]:
                self._bare.setdefault(name, self._rows.pop(name))

    def rename(self, old: Path, new: Path) -> bool:
        """Call a row after its picture's new name; whether there is one that has the old name in full."""
        name, after = (path.relative_to(self.path.parent).as_posix() for path in (old, new))
        rows = [rows[name] for rows in (self._rows, self._bare) if name in rows]
        for row in rows:
            self._put(row, json.loads(self._lines[row]) | {"file_name": after})
        return bool(rows)

    def each(self, change: Callable[[str], str]) -> None:
        """Change every caption in it."""
        for row in self._rows.values():
            entry = json.loads(self._lines[row])
            key, text = jsonl_text(entry)
            if change(text) != text:
                self._put(row, entry | {key: change(text)})

    def _put(self, row: int, entry: dict[str, Any]) -> None:
        end = "\r" if self._lines[row].endswith("\r") else ""
        self._lines[row] = json.dumps(entry, ensure_ascii=not _encodable(entry)) + end

    def bytes(self) -> bytes:
        """The whole table as it should be."""
        text = "\n".join(self._lines)
        return (text if text.endswith("\n") else text + "\n").encode()


@dataclass
class MetaCap:
    """kohya's `meta_cap.json`: {picture: {"caption": …, "tags": …, …}}, where a picture is its name without extension,
    or its whole path where names are not enough."""

    path: Path
    data: bytes | None
    _entries: dict[str, Any] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)  # name with slashes -> the key as it stands there
    _bare: dict[str, list[str]] = field(default_factory=dict)  # bare name -> the keys that have it
    _pictures: Counter[str] | None = None  # how many pictures of the folder have a stem; None: not counted yet

    def __post_init__(self) -> None:
        entries = _parsed(decode(self.data or b"{}")[0])
        if not isinstance(entries, dict):
            raise FileError(self.path, "this isn't a table of captions", "mend it, or move it away")
        self._entries = entries
        for key in entries:
            self._name(key)

    def row(self, picture: Path) -> str | None:
        key = self._key(picture)
        return key if key is not None and meta_cap_parts(self._entries[key]) else None

    def text(self, picture: Path) -> str:
        key = self._key(picture)
        return "" if key is None else _first_line(", ".join(meta_cap_parts(self._entries[key]).values()))

    def put(self, picture: Path, text: str) -> None:
        key = self._key(picture)
        if key is None:
            key = self._new_key(picture)
            if "\\" in key:
                raise FileError(picture, "a name with a backslash can't stand in a table",
                                "rename it, or write text files")
            self._entries[key] = {}
            self._name(key)
        entry = self._entries[key]
        self._entries[key] = _with_text(entry if isinstance(entry, dict) else {}, text)

    def clear(self, picture: Path) -> None:
        while (key := self.row(picture)) is not None:
            self._entries[key] = {name: value for name, value in self._entries[key].items()
                                  if name not in ("caption", "tags")}

    def rename(self, old: Path, new: Path) -> bool:
        """Call a row after its picture's new name; whether there is one that has the old name, with its extension."""
        folder = self.path.parent
        keys = {old.relative_to(folder).as_posix(): new.relative_to(folder).as_posix(),
                old.absolute().as_posix(): new.absolute().as_posix()}
        meant = {key: keys[key.replace("\\", "/")] for key in self._entries if key.replace("\\", "/") in keys}
        self._entries = {meant.get(key, key): entry for key, entry in self._entries.items()}
        return bool(meant)

    def each(self, change: Callable[[str], str]) -> None:
        """Change every caption in it."""
        for key, entry in self._entries.items():
            if isinstance(entry, dict):
                texts = {name: change(entry[name]) for name in ("caption", "tags") if isinstance(entry.get(name), str)}
                self._entries[key] = entry | texts

    def bytes(self) -> bytes:
        plain = _encodable(self._entries)
        return (json.dumps(self._entries, indent=2, ensure_ascii=not plain) + "\n").encode()

    def _name(self, key: str) -> None:
        name = key.replace("\\", "/")
        self._names.setdefault(name, key)
        self._bare.setdefault(bare_name(key), []).append(key)

    def _key(self, picture: Path) -> str | None:
        """The first of the picture's rows that says something, else the first one."""
        keys = list(self._keys(picture))
        return next((key for key in keys if meta_cap_parts(self._entries[key])), keys[0] if keys else None)

    def _keys(self, picture: Path) -> Iterator[str]:
        for name in row_keys(picture, self.path.parent):
            if name in self._names:
                yield self._names[name]
            keys = self._bare.get(name, [])
            said = [key for key in keys if meta_cap_parts(self._entries[key])]
            if len(said or keys) == 1:
                yield (said or keys)[0]

    def _new_key(self, picture: Path) -> str:
        if self._pictures is None:
            paths = map(Path, os.listdir(self.path.parent))
            self._pictures = Counter(path.stem for path in paths if path.suffix.lower() in PICTURES)
        alone = self._pictures[picture.stem] < 2 and f"*/{picture.stem}" not in self._bare
        if picture.parent == self.path.parent and alone:
            return picture.stem
        return picture.absolute().as_posix()


Table = JsonLines | MetaCap
TABLES_BY_NAME: dict[str, type[Table]] = {"metadata.jsonl": JsonLines, "meta_cap.json": MetaCap}


def _with_text(entry: dict[str, Any], text: str) -> dict[str, Any]:
    """The row with another caption: in its caption, in its tags, or in both if the caption's part stays the same."""
    parts = meta_cap_parts(entry)
    caption, now = parts.get("caption", ""), ", ".join(parts.values())
    text = replaced(now, text, _first_line(now))
    entry = dict(entry)
    if "tags" in parts and not caption:
        entry["tags"] = _like(entry["tags"], text)
    elif "tags" in parts and text.startswith(f"{caption}, "):
        entry["tags"] = _like(entry["tags"], text.removeprefix(f"{caption}, "))
    else:
        entry["caption"] = text
        if "tags" in parts:
            del entry["tags"]  # or they would be read behind the caption that replaces them
    return entry


def _like(old: object, text: str) -> str | list[str]:
    return [part.strip() for part in text.split(",") if part.strip()] if isinstance(old, list) else text


def _first_line(text: str) -> str:
    return next(iter(lines_of(text)), "")


def _encodable(value: object) -> bool:
    """Half characters, which JSON can escape, have no place in UTF-8."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
