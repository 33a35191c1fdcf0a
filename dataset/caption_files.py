"""Writing captions, in each of the places that they are read from, so that no word of a person's is lost on the way.

Whoever writes says what it believes to be there. If that isn't there any more, a person (or another program) was
quicker, and theirs stays. Each change is in the journal first, and a file is always the old or the new one.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dataset.caption_tables import TABLES_BY_NAME, Table, replaced
from dataset.captions import EXTENSIONS, MAX_BYTES, MAX_TABLE_BYTES, CaptionFinder, decode, dotted, lines_of, sidecar
from dataset.files import FileError, content, named, swap, sweep, writable
from dataset.journal import Action, Journal, real_file
from dataset.problem import Problem
from settings.paths import absolute

FORMATS = ("txt", "caption", "metadata.jsonl", "meta_cap.json")
EVERY = 2.0  # seconds between two writings of a table
BREAKS = re.compile(r"\s*[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]\s*")  # what any program might take for a new line

Put = Literal["written", "same", "kept"]
Mode = Literal["missing", "append", "prepend", "overwrite"]


def one_line(text: str) -> str:
    """A caption as it is written: one line, without what can't stand in a text file."""
    text = text.replace("\0", "").replace("\ufeff", "").encode(errors="replace").decode()
    return BREAKS.sub(" ", text.strip()).strip()


def read(picture: Path, format: str) -> str | None:
    """The caption in the place of one format, beside the picture or in the table of its folder; None: there is none."""
    return CaptionStore(picture.parent, format).own(picture) or None


def combined(existing: str, new: str, mode: Mode, separator: str = ", ") -> str:
    """The caption that a picture with an existing one gets. What is added leaves out its parts (between commas, or the
    separator) that are there already, whatever their case and underscores; what was there is never touched."""
    if mode == "overwrite":
        return new or existing
    if mode == "missing" or not existing or not new:
        return existing or new
    fresh = _fresh(existing, new, separator)
    if not fresh:
        return existing
    before, after = (existing, fresh) if mode == "append" else (fresh, existing)
    joint = separator.removeprefix(separator.strip()) if _ends_with(before, separator.strip()) else separator
    return f"{before}{joint}{after}"


class CaptionStore:
    """Writes the captions of the pictures below `root` in one format; from one thread. One run, one action.

    Without a journal nothing can be undone: good for looking only. With one, JournalError if it can't be written."""

    def __init__(self, root: Path | str, format: str, journal: Journal | None = None, label: str = ""):
        if format not in FORMATS:
            raise ValueError(f"no format of captions: {format!r}; known are {', '.join(FORMATS)}")
        self.root = absolute(root)
        self.problems: list[Problem] = []  # what was odd, for people; complete after `close`
        extension = dotted(format) if format not in TABLES_BY_NAME else EXTENSIONS[0]
        self._finder = CaptionFinder(self.root, extension)
        self._later = CaptionFinder(self.root, extension)  # looks again before writing; its remarks were made already
        self._folders: set[Path] = set()
        self._hidden: list[Path] = []  # caption files that are read before what was written
        self._action: Action | None = journal.begin(label) if journal else None
        self._place = _Tables(self, format) if format in TABLES_BY_NAME else _Sidecars(self, extension)

    @property
    def action_id(self) -> str | None:
        """The journal's name for what was done; None if nothing was."""
        return self._action.id if self._action and self._action.files else None

    def own(self, picture: Path) -> str:
        """The caption in this format's own place; "" for none. FileError where that can't be read."""
        return self._place.own(self._absolute(picture))

    def before(self, picture: Path) -> str:
        """The caption that is there: in this format's place, else in any other; "" for none."""
        picture = self._absolute(picture)
        self._folders.add(picture.parent)
        try:
            self._place.claim(picture)
            own = self._place.own(picture)
        except FileError:
            own = ""  # `put` will say so, and leave it
        if own:
            return own
        caption = self._finder.find(picture)
        return caption.text if caption else ""

    def put(self, picture: Path, text: str, expected: str) -> Put:
        """Give a picture a caption, if it still has the one that `before` told. "same": it has this one already.
        "kept": it was changed outside since, and nothing is touched. An empty text is never written.

        FileError where this picture's caption can't be written, OSError where none can (the disk is full). Waits for
        the disk, some milliseconds."""
        picture, text = self._absolute(picture), one_line(text)
        if not text:
            return "kept" if expected else "same"
        if len(text.encode()) >= MAX_BYTES:
            raise FileError(picture, "the new caption is too long", "ask for a shorter one")
        self._folders.add(picture.parent)
        return self._place.put(picture, text, expected)

    def close(self) -> None:
        """Write what waits, and end the action."""
        self._place.flush()
        if self._hidden:
            self.problems.append(Problem(
                self._hidden[0], f"the caption in it is read before the new one ({len(self._hidden):,} such files)",
                "move these files away, or write the format that they have", used=True))
            self._hidden = []
        if self._action:
            for folder in filter(os.path.isdir, self._folders):
                with named(folder):
                    sweep(folder)
            self._action.close()

    def __enter__(self) -> CaptionStore:
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        if kind is None:
            return self.close()
        try:
            self._place.flush()
        finally:
            if self._action:
                self._action.__exit__(kind, *rest)

    def _absolute(self, picture: Path) -> Path:
        picture = Path(os.path.abspath(picture))
        if not picture.is_relative_to(self.root):
            real = Path(os.path.realpath(picture.parent)) / picture.name
            root = os.path.realpath(self.root)
            if not real.is_relative_to(root):
                raise FileError(picture, f"it isn't in {self.root}", "choose the folder that it is in")
            return self.root / real.relative_to(root)
        return picture

    def _elsewhere(self, picture: Path) -> str:
        caption = self._later.find(picture)
        return caption.text if caption else ""

    def _change(self, file: Path, before: bytes | None, after: bytes,
                of: dict[Path, tuple[str, str]] | None = None) -> bool:
        if self._action:
            names = {picture.relative_to(self.root).as_posix(): texts for picture, texts in (of or {}).items()}
            return self._action.change(file, before, after, names)
        return swap(real_file(file, self.root), before, after)


class _Sidecars:
    """A text file beside each picture."""

    def __init__(self, store: CaptionStore, extension: str):
        self.store, self.extension = store, extension
        self.owners: dict[Path, Path] = {}

    def own(self, picture: Path) -> str:
        data = content(self.file(picture), limit=MAX_BYTES)
        return next(iter(lines_of(decode(data or b"")[0])), "")

    def file(self, picture: Path) -> Path:
        """The one that is there, however its extension is written, else the one to be."""
        there = (path for path in self.store._finder.sidecars(picture) if path.suffix.lower() == self.extension)
        return next(there, sidecar(picture, self.extension))

    def claim(self, picture: Path) -> Path:
        return self.owners.setdefault(self.file(picture), picture)

    def put(self, picture: Path, text: str, expected: str) -> Put:
        file, owner = self.file(picture), self.claim(picture)
        if owner != picture:
            raise FileError(picture, f"it shares the caption file {file.name} with {owner.name}",
                            "rename one of the two")
        data = content(file, limit=MAX_BYTES)
        old = decode(data)[0] if data else ""
        there = next(iter(lines_of(old)), "")
        if there == text:
            return "same"
        if (there or self.store._elsewhere(picture)) != expected:
            return "kept"
        after = f"{replaced(old, text, there)}\n".encode()
        if not self.store._change(file, data, after):
            return "kept"
        if self.extension != EXTENSIONS[0] and os.path.isfile(sidecar(picture)):
            self.store._hidden.append(sidecar(picture))
        return "written"

    def flush(self) -> None:
        """Nothing waits here."""


@dataclass
class _Open:
    """A table with changes that wait to be written."""

    table: Table
    stamp: tuple[int, int] | None
    waiting: dict[Path, tuple[str, str]] = field(default_factory=dict)  # picture -> (new text, what its row said)


class _Tables:
    """A table in each folder. A caption goes where the picture's row is, else into the nearest table, else into a new
    one in its folder. Tables are written every few seconds: each time the whole of it."""

    def __init__(self, store: CaptionStore, name: str):
        self.store, self.name = store, name
        self.open: dict[Path, _Open] = {}
        self.owners: dict[tuple[Path, object], Path] = {}
        self.flushed = time.monotonic()

    def own(self, picture: Path) -> str:
        found = self._row(picture)
        return found.table.text(picture) if found else ""

    def claim(self, picture: Path) -> Path:
        found = self._row(picture)
        return self.owners.setdefault((found.table.path, found.table.row(picture)), picture) if found else picture

    def put(self, picture: Path, text: str, expected: str) -> Put:
        owner = self.claim(picture)
        if owner != picture:
            raise FileError(picture, f"it shares its row in {self.name} with {owner.name}",
                            "give each its own row, or rename one of the two")
        found = self._row(picture) or self._nearest(picture)
        if found.stamp:  # told now for this picture, rather than later for all that wait
            writable(real_file(found.table.path, self.store.root))
        there = found.table.text(picture)
        if there == text:
            return "same"
        if (there or self.store._elsewhere(picture)) != expected:
            return "kept"
        found.table.put(picture, text)
        self.claim(picture)
        _, before = found.waiting.get(picture, ("", there))
        found.waiting[picture] = (text, before)
        self.store._hidden += [path for path in self.store._finder.sidecars(picture) if path.stat().st_size][:1]
        if time.monotonic() - self.flushed > EVERY:
            self.flush()
        return "written"

    def flush(self) -> None:
        for found in self.open.values():
            self._write(found)
        self.flushed = time.monotonic()

    def _write(self, found: _Open) -> None:
        for _ in range(10):
            self._refresh(found)
            if not found.waiting:
                return
            after = found.table.bytes()
            of = {picture: (before, text) for picture, (text, before) in found.waiting.items()}
            if self.store._change(found.table.path, found.table.data, after, of):
                found.table.data, found.stamp, found.waiting = after, _stamp(found.table.path), {}
                return
            found.stamp = (-1, -1)  # someone was quicker: read it again
        raise FileError(found.table.path, "another program changes it all the time", "close that one and try again")

    def _row(self, picture: Path) -> _Open | None:
        tables = (self._table(folder) for folder in self._folders(picture))
        return next((found for found in tables if found and found.table.row(picture) is not None), None)

    def _nearest(self, picture: Path) -> _Open:
        tables = (self._table(folder) for folder in self._folders(picture))
        found = next((found for found in tables if found), None)
        if found is None:
            path = picture.parent / self.name
            found = self.open[path] = _Open(TABLES_BY_NAME[self.name](path, None), None)
        return found

    def _folders(self, picture: Path) -> Iterator[Path]:
        for folder in picture.parents:
            yield folder
            if folder == self.store.root:
                return

    def _table(self, folder: Path) -> _Open | None:
        path = folder / self.name
        found = self.open.get(path)
        if found is None:
            stamp = _stamp(path)
            if stamp is None:
                return None
            found = self.open[path] = _Open(self._read(path), stamp)
        self._refresh(found)
        return found

    def _refresh(self, found: _Open) -> None:
        """Read a table again that was changed outside, and lay over it what waits, but for rows that were changed."""
        stamp = _stamp(found.table.path)
        if stamp == found.stamp:
            return
        found.stamp, found.table = stamp, self._read(found.table.path)
        for picture, (text, before) in list(found.waiting.items()):
            if found.table.text(picture) == before:
                found.table.put(picture, text)
            else:
                del found.waiting[picture]
                self.store.problems.append(Problem(
                    picture, f"its row in {self.name} was changed outside in the last moment; it was left as it is",
                    "run again if you want the new one"))

    def _read(self, path: Path) -> Table:
        return TABLES_BY_NAME[self.name](path, content(path, limit=MAX_TABLE_BYTES))


def _stamp(path: Path) -> tuple[int, int] | None:
    """What changes when a file does; None: there is none."""
    try:
        facts = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return facts.st_mtime_ns, facts.st_size


def _fresh(existing: str, new: str, separator: str) -> str:
    """The new text without the parts that the existing one has."""
    known = _atoms(existing, separator) | {_same(part) for part in existing.split(",")}
    known |= {_same(piece) for part in existing.split(",") for piece in part.split(separator or ",")}
    parts, whole = [], new.split(",")
    for part in whole:
        atoms = _atoms(part, separator) or {_same(part)}
        if _same(part) and not atoms <= known:
            parts.append(part.strip())
            known |= atoms
    return new if len(parts) == len(whole) else ", ".join(parts)


def _atoms(text: str, separator: str) -> set[str]:
    mark = separator.strip()
    pieces = (piece for part in text.split(",") for piece in (part.split(mark) if mark else [part]))
    return {same for same in map(_same, pieces) if same}


def _same(part: str) -> str:
    return " ".join(part.replace("_", " ").split()).casefold()


def _ends_with(text: str, mark: str) -> bool:
    return bool(mark) and text.endswith(mark)
