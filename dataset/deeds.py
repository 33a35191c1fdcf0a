"""What was done to the files of a data set in one go: moved, renamed, made, captions changed; undone and done again.

A file is only ever moved, never deleted: into the bin, to another name, or, where undoing takes back one that was
made, aside. Each move is in the deed's record (`.loratory/deeds/<id>.jsonl`) before it happens, and undoing looks at
where the files are and not at what the record claims, so it doesn't matter where a killed deed broke off. Captions are
changed by an action of the journal, which the record names, and what a person has marked by the marks beside them.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from dataset.editor import marks
from dataset.files import FileError, alone, content, named, synced
from dataset.journal import FOLDER, Action, Journal, JournalError, Outcome, noting
from dataset.problem import Problem
from dataset.records import State, append, parsed, whole_lines
from settings.paths import absolute

VERSION = 1
BIN = f"{FOLDER}/bin"
ASIDE = f"{FOLDER}/deeds"
CHANGED = "it was changed since", "look at it; it was left as it is"


@dataclass(frozen=True)
class Told:
    """One deed, for a list of them."""

    id: str
    label: str
    time: float  # seconds since 1970
    files: int  # how many it moved, made or changed
    state: State  # interrupted: it was killed; what it did is known and can be undone


class Deeds:
    """What was done to the data set in `root`. Making one touches nothing."""

    def __init__(self, root: Path | str):
        self.root = absolute(root)
        self.folder = self.root / ASIDE

    def begin(self, label: str) -> Deed:
        """A new deed, to be used in a `with` block. JournalError if the folder can't be written."""
        with noting(self.root, self.folder) as (name, moment):
            return Deed(self, name, label, moment)

    def history(self) -> list[Told]:
        """Every deed that did something, newest first."""
        return [record.told() for record in self._records()]

    def undo(self, id: str | None = None) -> Outcome:
        """Put everything back that a deed did; None: the newest one that isn't undone."""
        return self._go(id, "undone")

    def redo(self, id: str | None = None) -> Outcome:
        """Do again what was undone; None: what was undone last."""
        return self._go(id, "done")

    def _go(self, id: str | None, to: Literal["done", "undone"]) -> Outcome:
        records = self._records()
        if id is not None:
            record = next((record for record in records if record.id == id), None)
            if record is None:
                raise JournalError(f"nothing of the name {id!r} was done to {self.root}")
        elif to == "undone":
            record = next((record for record in records if record.state() != "undone"), None)
        else:
            undone = (record for record in records if record.state() == "undone")
            record = max(undone, key=lambda record: record.moved, default=None)
        if record is None:
            return Outcome()
        with alone(record.path, patience=0.2) as mine:
            if not mine:
                raise JournalError("this is still going on; stop it first")
            return _Return(self, record, to).run()

    def _records(self) -> list[_Record]:
        try:
            names = sorted(os.listdir(self.folder))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except PermissionError as error:
            raise JournalError(f"{self.folder} can't be read ({error.strerror}); allow it") from error
        found = (_Record.read(self.folder / name) for name in names if name.endswith(".jsonl"))
        return sorted((record for record in found if record and record.lines), key=lambda r: (r.time, r.id),
                      reverse=True)


class Deed:
    """One deed as it is done. Leaving the `with` block by an exception leaves it "interrupted".

    A caption file is either changed or moved by one deed, not both: on the way back all changes are undone together."""

    def __init__(self, deeds: Deeds, id: str, label: str, moment: float):
        self.id, self.label = id, label
        self.root = deeds.root
        self._path = deeds.folder / f"{id}.jsonl"
        self._file = self._path.open("xb", buffering=0)
        self._lock = alone(self._path, patience=0)
        self._lock.__enter__()
        self._action: Action | None = None
        self._moved = 0
        append(self._file, {"version": VERSION, "id": id, "label": label, "time": moment})

    @property
    def files(self) -> int:
        return self._moved + (self._action.files if self._action else 0)

    def move(self, file: Path, to: Path) -> None:
        """Move or rename a file of the data set; never onto another. FileError where this one can't be."""
        facts = _facts(file)
        line = {"move": _relative(self.root, file), "to": _relative(self.root, to), **facts}
        self._noted(line, lambda: shift(file, to, self.root))

    def make(self, file: Path, data: bytes) -> None:
        """Make a file that isn't there yet. FileError where it is, or can't be."""
        line = {"make": _relative(self.root, file), "sha256": hashlib.sha256(data).hexdigest()}
        self._noted(line, lambda: _make(file, data, self.root))

    def change(self, file: Path, before: bytes | None, after: bytes | None) -> bool:
        """Change a caption file, as `journal.Action.change` does."""
        if self._action is None:
            self._action = Journal(self.root).begin(self.label)
            append(self._file, {"journal": self._action.id})
        return self._action.change(file, before, after)

    def exclude(self, files: Iterable[Path], excluded: bool, by: str) -> int:
        """Mark pictures as not to be trained on, or as to be. How many weren't marked like that."""
        known = marks.read(self.root)
        names = [name for name in (_relative(self.root, file) for file in files)
                 if known.get(name, marks.NONE).excluded != excluded]
        if names:
            line = {"excluded": excluded, "names": names, "by": by}
            self._noted(line, lambda: _mark(self.root, names, excluded, by))
            self._moved += len(names) - 1
        return len(names)

    def bin_of(self, file: Path) -> Path:
        """Where a file goes that this deed moves to the bin."""
        return self.root / BIN / self.id / _relative(self.root, file)

    def close(self) -> None:
        """End it well. One that did nothing leaves no trace."""
        if self._file.closed:
            return
        if self._action:
            self._action.close()
        if self.files:
            append(self._file, {"done": time.time(), "files": self.files})
        self._leave()

    def _noted(self, line: dict[str, Any], do: Callable[[], object]) -> None:
        start = self._file.tell()
        append(self._file, line)
        done = False
        try:
            do()
            done = True
            self._moved += 1
        finally:
            if not done:
                self._file.seek(start)
                self._file.truncate()

    def _leave(self) -> None:
        self._file.close()
        self._lock.__exit__(None, None, None)
        if not self.files:
            self._path.unlink(missing_ok=True)

    def __enter__(self) -> Deed:
        return self

    def __exit__(self, kind: type | None, *rest: object) -> None:
        if kind is None:
            return self.close()
        if not self._file.closed:
            if self._action:
                self._action.__exit__(kind, *rest)
            self._leave()


def shift(file: Path, to: Path, root: Path) -> None:
    """Move a file within a data set without ever replacing another. FileError where it can't be."""
    inside(file, root)
    inside(to, root)
    taken = FileError(to, "there is another file of this name", "move or rename that one first")
    with named(file):
        to.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(to):
            if not os.path.samefile(file, to):
                raise taken
            return os.unlink(file) if _twice(file, to) else os.rename(file, to)
        try:
            os.link(file, to, follow_symlinks=False)  # unlike a rename it never replaces what came in between
        except FileExistsError:
            raise taken from None
        except (OSError, NotImplementedError):  # a file system without links, or somebody else's file
            return os.rename(file, to)
        os.unlink(file)


def _twice(file: Path, to: Path) -> bool:
    """Whether these are two names of one file, because a move was killed half-way; and not one name in two spellings,
    where the disk doesn't tell `A.JPG` from `a.jpg`."""
    return file.name in os.listdir(file.parent) and to.name in os.listdir(to.parent) and os.lstat(file).st_nlink > 1


def inside(file: Path, root: Path) -> None:
    """FileError unless a path is in the data set, links on the way followed: a record may have come with it from
    anywhere, and a folder of the data set may be a link to another disk."""
    parent = file.parent
    while not os.path.lexists(parent):
        parent = parent.parent
    if not file.is_relative_to(root) or ".." in file.parts or "\0" in str(file):
        raise FileError(file, f"it isn't in {root}", "open the folder that it is in")
    if not Path(os.path.realpath(parent)).is_relative_to(os.path.realpath(root)):
        raise FileError(file, "its folder is a link out of the data set", "open that folder instead")


@dataclass
class _Record:
    """A deed as its file tells it."""

    path: Path
    id: str
    label: str
    time: float
    lines: list[dict[str, Any]] = field(default_factory=list)
    last: Literal["done", "undone", ""] = ""
    moved: float = 0.0
    files: int | None = None  # None: it never came to its end

    def told(self) -> Told:
        files = self.files
        if files is None:
            files = sum(len(line.get("names", "1")) for line in self.lines if "journal" not in line)
            files += sum(self._changed())
        return Told(self.id, self.label, self.time, files, self.state())

    def state(self) -> State:
        if self.last:
            return self.last
        with alone(self.path, patience=0) as free:
            return "interrupted" if free else "running"

    def _changed(self) -> Iterator[int]:
        actions = [line["journal"] for line in self.lines if "journal" in line]
        if actions:
            root = self.path.parents[2]
            yield from (entry.files for entry in Journal(root).history() if entry.id in actions)

    @classmethod
    def read(cls, path: Path) -> _Record | None:
        """None for a file that is no deed of ours; a torn last line is one that was never acted upon."""
        try:
            lines = [parsed(line) for line in path.read_bytes().split(b"\n")]
        except OSError:
            return None
        head = lines[0]
        if head.get("version") != VERSION or not isinstance(head.get("label"), str):
            return None
        if not isinstance(head.get("time"), int | float):
            return None
        record = cls(path, path.stem, head["label"], float(head["time"]))
        for line in lines[1:]:
            for word in ("done", "undone", "moving"):
                if isinstance(line.get(word), int | float):
                    record.last, record.moved = "" if word == "moving" else word, float(line[word])
            if isinstance(line.get("files"), int):
                record.files = line["files"]
            if any(isinstance(line.get(word), str) for word in ("move", "make", "journal")) or _marks(line):
                record.lines.append(line)
        return record


@dataclass
class _Return:
    """A deed on the way back, or forth again."""

    deeds: Deeds
    record: _Record
    to: Literal["done", "undone"]

    def run(self) -> Outcome:
        changed, kept = 0, []
        back = self.to == "undone"
        with self.record.path.open("r+b", buffering=0) as file:
            whole_lines(file)
            append(file, {"moving": time.time()})
            for line in reversed(self.record.lines) if back else self.record.lines:
                try:
                    outcome = self._line(line, back)
                    changed += outcome.changed
                    kept += outcome.kept
                except FileError as error:
                    kept.append(Problem(error.path, error.reason, error.fix))
            end = self.to if changed or not kept else self.record.last  # nothing could be done: it is what it was
            if end:
                append(file, {end: time.time()})
        self._tidy()
        return Outcome(changed, kept, self.record.id)

    def _line(self, line: dict[str, Any], back: bool) -> Outcome:
        if "journal" in line:
            return self._journal(line["journal"])
        if "names" in line:
            return Outcome(_mark(self.deeds.root, line["names"], line["excluded"] != back, str(line.get("by", ""))))
        return Outcome(self._file(line, back))

    def _journal(self, id: str) -> Outcome:
        journal = Journal(self.deeds.root)
        if not (journal.folder / f"{id}.jsonl").is_file():
            return Outcome()  # it changed nothing
        return journal.undo(id) if self.to == "undone" else journal.redo(id)

    def _file(self, line: dict[str, Any], back: bool) -> bool:
        name = line.get("move", line.get("make"))
        place = self._path(name)
        other = self._path(line.get("to")) if "move" in line else self.deeds.folder / self.record.id / name
        now, goal = (other, place) if back == ("move" in line) else (place, other)
        if not os.path.lexists(now):
            if os.path.lexists(goal):
                return False  # it is there already
            raise FileError(place, "it isn't where it was put any more", "restore it from a backup of your own")
        if os.path.lexists(goal) and not os.path.samefile(now, goal):
            raise FileError(goal, "there is another file of this name by now",
                            "move that one away and try again, if you want the old one")
        if not now.is_relative_to(self.deeds.root / FOLDER) and not _same(now, line):
            raise FileError(now, *CHANGED)
        shift(now, goal, self.deeds.root)
        return True

    def _path(self, name: object) -> Path:
        """A path that a record names, if it is one of the data set's, or in its bin."""
        parts = PurePosixPath(str(name)).parts
        path = self.deeds.root.joinpath(*parts)
        if not isinstance(name, str) or not parts or not path.is_relative_to(self.deeds.root):
            raise FileError(path, "it isn't in this data set", "leave it")
        if ".." in parts or "\0" in name or FOLDER in parts and not name.startswith(f"{BIN}/"):
            raise FileError(path, "it isn't in this data set", "leave it")
        return path

    def _tidy(self) -> None:
        """Empty folders of this deed in the bin go."""
        prune(self.deeds.root / BIN / self.record.id)


def prune(folder: Path) -> None:
    """Remove a folder and those in it, as far as there is nothing in them."""
    for path, _, files in sorted(os.walk(folder), reverse=True):
        if not files and not os.listdir(path):
            os.rmdir(path)


def _facts(file: Path) -> dict[str, int]:
    with named(file):
        facts = os.lstat(file)
        return {"size": facts.st_size, "time": facts.st_mtime_ns}


def _same(file: Path, line: dict[str, Any]) -> bool:
    """Whether a file is still the one that a line tells of."""
    if "sha256" in line:
        return hashlib.sha256(content(file) or b"").hexdigest() == line["sha256"]
    facts = _facts(file)
    return all(line.get(name) == value for name, value in facts.items())


def _mark(root: Path, names: list[str], excluded: bool, by: str) -> int:
    """How many changed: those that are marked like that already, by whomever, don't count."""
    known = marks.read(root)
    wanted = [name for name in names if known.get(name, marks.NONE).excluded != excluded]
    if wanted:
        marks.change(root, wanted, marks.Change(excluded=excluded, by=by))
    return len(wanted)


def _marks(line: dict[str, Any]) -> bool:
    names = line.get("names")
    return isinstance(names, list) and isinstance(line.get("excluded"), bool) and all(type(n) is str for n in names)


def _make(file: Path, data: bytes, root: Path) -> None:
    inside(file, root)
    aside = file.with_name(f".loratory-{secrets.token_hex(8)}.part")  # swept by `files.sweep` if we are killed
    with named(file):
        try:
            with aside.open("xb") as new:
                new.write(data)
                new.flush()
                synced(new.fileno())
            shift(aside, file, root)
        finally:
            aside.unlink(missing_ok=True)


def _relative(root: Path, file: Path) -> str:
    path = Path(os.path.abspath(file))
    if not path.is_relative_to(root):
        raise FileError(file, f"it isn't in {root}", "open the folder that it is in")
    return path.relative_to(root).as_posix()
