"""Captions as a fix would leave them, in whichever file each of them is: one step for each file that changes.

A table holds many captions, so its changes are collected; a text file beside a picture holds one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from dataset.caption_files import one_line
from dataset.caption_tables import TABLES_BY_NAME, Table, replaced
from dataset.captions import MAX_BYTES, MAX_TABLE_BYTES, CaptionFinder, decode, lines_of, sidecar
from dataset.doctor.steps import Step, Write
from dataset.editor.edits import Caption
from dataset.files import FileError, content
from dataset.problem import Problem
from dataset.scan import Item, folders, scan

Made = Iterator[Step | Problem]
STOPS = re.compile(r"[.,;:!?…]$")  # a line that ends like this needs no comma before the next


@dataclass
class _Open:
    """A table with changes."""

    table: Table
    texts: list[tuple[str, str]] = field(default_factory=list)
    picture: Path | None = None  # the first whose caption changes


class Drafts:
    """The captions of the data set in `root`."""

    def __init__(self, root: Path, extension: str = ".txt"):
        self._root, self._extension = root, extension
        self._finder = CaptionFinder(root, extension)
        self._copied: set[Path] = set()

    def pictures(self) -> list[Path]:
        """Every picture whose caption is its own and is trained on."""
        return [item.path for item in self._items.values() if item.caption_from and not item.regularisation]

    def edit(self, pictures: Iterable[Path], change: Callable[[Caption], str]) -> Made:
        """The captions of some pictures with an edit; of one that has none of its own, with the words of its folder as
        the scan reads them."""
        tables: dict[Path, _Open] = {}
        done: set[Path] = set()
        for picture in pictures:
            caption = self._finder.find(picture)
            text = caption.text if caption else self._folder_words(picture)
            after = one_line(change(Caption.of(text))) if text else ""
            source = caption.source if caption else sidecar(picture, self._extension)
            if not after or after == text or source in done:
                continue
            try:
                if source.name in TABLES_BY_NAME:
                    self._row(tables, source, picture, (text, after))
                else:
                    done.add(source)  # two pictures may share it
                    yield _sidecar(picture, source, text, after)
            except FileError as error:
                yield Problem(picture, error.reason, error.fix)
        for path, found in tables.items():
            yield Write(found.picture or path, path, found.table.data, found.table.bytes(), tuple(found.texts))

    def clean(self, file: Path, first: bool = False, encoding: str = "", foreign: bool = False) -> Made:
        """A caption file, or every caption of a table, as UTF-8 on one line. `first`: only the first line stays.
        `foreign`: only if it isn't UTF-8 now; `encoding` is then what it was written in, "" what it looks like."""
        try:
            table = file.name in TABLES_BY_NAME
            data = content(file, limit=MAX_TABLE_BYTES if table else MAX_BYTES)
            if data is None or (foreign and decode(data)[1] in ("utf-8", "utf-16")):
                return
            if table:
                found = TABLES_BY_NAME[file.name](file, data)
                found.each(lambda text: joined(text, first))
                after, texts = found.bytes(), ()
            else:
                before = decode(data)[0].strip()
                text = clean(data, first, encoding)
                after, texts = f"{text}\n".encode(), ((before, text),)
                if not text or (not foreign and len(lines_of(before)) < 2):
                    return
        except FileError as error:
            yield Problem(file, error.reason, error.fix)
        except UnicodeDecodeError:
            yield Problem(file, f"it isn't {encoding} either", "choose another encoding")
        else:
            if after != data:
                yield Write(file, file, data, after, texts)

    def copied(self, picture: Path, to: Path) -> Made:
        """The caption files that a picture shares with others of its name, once more for its new name."""
        for file in self._finder.sidecars(picture):
            data, copy = content(file, limit=MAX_BYTES), to.with_name(f"{to.stem}{file.suffix}")
            if data:
                text = clean(data)
                yield Write(to, copy, None, data, (("", text),))

    def _row(self, tables: dict[Path, _Open], path: Path, picture: Path, text: tuple[str, str]) -> None:
        if path not in tables:
            tables[path] = _Open(TABLES_BY_NAME[path.name](path, content(path, limit=MAX_TABLE_BYTES)))
        found = tables[path]
        if found.table.text(picture) == text[1]:
            return  # its row is another picture's too
        found.table.put(picture, text[1])
        found.texts.append(text)
        found.picture = found.picture or picture

    def _folder_words(self, picture: Path) -> str:
        item = self._items.get(picture)
        return item.caption if item else ""

    @cached_property
    def _items(self) -> dict[Path, Item]:
        return {item.path: item for item in scan(folders(self._root), self._extension).items}


def joined(text: str, first: bool = False) -> str:
    """A text of several lines on one, with commas where a line doesn't end with a sign of its own."""
    lines = lines_of(text)
    if len(lines) < 2:
        return text
    if first:
        return lines[0]
    return " ".join([*(line if STOPS.search(line) else f"{line}," for line in lines[:-1]), lines[-1]])


def clean(data: bytes, first: bool = False, encoding: str = "") -> str:
    """What a caption file says, on one line. UnicodeDecodeError where it isn't in the encoding that it is said to be.
    """
    text = data.decode(encoding) if encoding else decode(data)[0]
    return one_line(joined(text, first))


def _sidecar(picture: Path, file: Path, before: str, after: str) -> Step:
    data = content(file, limit=MAX_BYTES)
    old = decode(data)[0] if data else ""
    return Write(picture, file, data, f"{replaced(old, after, before)}\n".encode(), ((before, after),))
