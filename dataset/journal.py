"""What was changed in a data set's captions, kept beside it, so that any bulk change can be undone, also after a crash.

An action is one file, `.loratory/journal/<id>.jsonl`: who it is, then each change, on the disk before the caption is
changed, then how it ended. Undoing trusts the journal never and the captions always: a file is put back only while it
holds what the action wrote, so it doesn't matter where a killed action, undo or redo broke off.
"""

from __future__ import annotations

import base64
import errno
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dataset.captions import EXTENSIONS, TABLES
from dataset.files import FileError, Swap, Unfinished, alone, content, named, swap, swap_all, sweep, synced
from dataset.problem import Problem
from dataset.records import VERSION, Content, Entry, Record, Span, State, Told, append, digest_of, whole_lines
from settings.paths import absolute

FOLDER = ".loratory"
INLINE = 8192  # bytes; longer contents, which are tables, are kept as files, once each and not for every change
MANY = 500  # changes that are noted at once

EACH_LASTING = not hasattr(os, "sync")
"""An undo needn't wait for the disk with every file, which takes minutes for thousands: the journal has all of it until
the end, when it waits once, where the system can do that."""

class JournalError(OSError):
    """Nothing can be noted here, or this action can't be undone now; the message says why and what to do."""


@dataclass(frozen=True)
class Outcome:
    """What undoing or redoing did. `kept` are files that were changed outside since and stay as they are."""

    changed: int = 0
    kept: list[Problem] = field(default_factory=list)
    id: str | None = None  # None: there was nothing to undo or redo


class Journal:
    """The journal of the data set in `root`. Making one touches nothing."""

    def __init__(self, root: Path | str):
        self.root = absolute(root)
        self.folder = self.root / FOLDER / "journal"

    def begin(self, label: str) -> Action:
        """A new action, to be used in a `with` block. JournalError if the folder can't be written."""
        with noting(self.root, self.folder) as (name, moment):
            for folder in filter(Path.is_dir, self.folder.iterdir()):  # a killed action may have left half a table
                sweep(folder)
            return Action(self, name, label, moment)

    def history(self) -> list[Entry]:
        """Every action that changed something, newest first."""
        return [record.entry() for record in self._records()]

    def undo(self, id: str | None = None) -> Outcome:
        """Put back what was there before an action; None: the newest one that isn't undone."""
        return self._move(id, "undone", lambda states: next((r for r, state in states if state != "undone"), None))

    def redo(self, id: str | None = None) -> Outcome:
        """Do again what was undone; None: what was undone last."""
        return self._move(id, "done", lambda states: max(
            (r for r, state in states if state == "undone"), key=lambda record: record.moved, default=None))

    def _move(self, id: str | None, to: Literal["done", "undone"],
              choose: Callable[[list[tuple[Told, State]]], Told | None]) -> Outcome:
        records = self._records()
        if id is None:
            told = choose([(record, record.state()) for record in records])
            if told is None:
                return Outcome()
        else:
            told = next((record for record in records if record.id == id), None)
            if told is None:
                raise JournalError(f"{self.folder} knows no action {id!r}")
        try:
            with alone(told.path, patience=0.2) as mine:
                if not mine:
                    raise JournalError("this action is still going on; stop it first")
                record = Record.read(told.path)
                return _Move(self, record, to).run() if record else Outcome()
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            raise JournalError(f"{told.path} can't be written ({error.strerror}); allow it and try again") from error

    def _records(self) -> list[Told]:
        """What the ends of all records tell, newest first: there may be hundreds, and megabytes in each."""
        try:
            names = os.listdir(self.folder)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except PermissionError as error:
            raise JournalError(f"{self.folder} can't be read ({error.strerror}); allow it") from error
        found = (Told.read(self.folder / name) for name in names if name.endswith(".jsonl"))
        return sorted((record for record in found if record and record.files), key=lambda r: (r.time, r.id),
                      reverse=True)


@contextmanager
def noting(root: Path, folder: Path) -> Iterator[tuple[str, float]]:
    """A name and the time for what is about to be noted in a folder of the data set, which is made. JournalError for
    whatever keeps it from being noted."""
    moment = time.time()
    try:
        if not root.is_dir():
            raise JournalError(f"there is no folder {root}")
        folder.mkdir(parents=True, exist_ok=True)
        yield f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(moment))}-{secrets.token_hex(4)}", moment
    except JournalError:
        raise
    except OSError as error:
        raise JournalError(f"nothing can be written in {folder} ({error.strerror}), so nothing could be undone; allow "
                           "writing there, or work on a copy of the data set") from error


class Action:
    """One bulk change as it happens. Leaving the `with` block by an exception leaves it "interrupted"."""

    def __init__(self, journal: Journal, id: str, label: str, moment: float):
        self.id = id
        self._journal = journal
        self._path = journal.folder / f"{id}.jsonl"
        self._files: set[str] = set()
        self._written: dict[str, set[str]] = {}  # of tables: what this action made of them
        self._swept: set[Path] = set()
        self._file = self._path.open("xb", buffering=0)
        self._lock = alone(self._path, patience=0)
        self._lock.__enter__()
        self._append({"version": VERSION, "id": id, "label": label, "time": moment})
        _sync_folder(journal.folder)

    @property
    def files(self) -> int:
        """How many files it has changed."""
        return len(self._files)

    def change(self, file: Path, before: str | bytes | None, after: str | bytes | None,
               of: Mapping[str, tuple[str, str]] | None = None) -> bool:
        """Make `after` of a file that holds `before`; None: no such file. The change is in the journal before it is
        made. False: the file holds something else by now and stays as it is. `of` says whose captions are changed in a
        table, for those who ask about one picture: by its path below the root, the caption before and after.

        FileError where this file can't be changed, and OSError where no file could (the disk is full)."""
        old, new = _bytes(before), _bytes(after)
        name, real = self._journal_name(file), real_file(file, self._journal.root)
        if real.parent not in self._swept:
            with named(real):
                sweep(real.parent)
            self._swept.add(real.parent)
        start = self._file.tell()

        def note() -> None:
            line = {"file": name, "before": self._kept(name, old), "after": self._described(name, new)}
            self._append({**line, "of": of} if of else line)

        done = False
        try:
            done = swap(real, old, new, note)
        finally:
            if not done:
                self._take_back(start)
        if old != new and done:
            self._files.add(name)
        return done

    def change_all(self, changes: Sequence[tuple[Path, bytes | None, bytes | None]]) -> list[bool | FileError]:
        """Many changes of as many files, several at once; each is told what `change` would return or raise for it.
        They are in the journal, which waits for the disk once for many, before the first of them is made.

        OSError where no file can be changed any more (the disk is full); what was changed until then is noted."""
        results: list[bool | FileError] = [False] * len(changes)
        folders: dict[Path, list[tuple[int, str, Swap]]] = {}
        for number, (file, before, after) in enumerate(changes):
            try:
                real = real_file(file, self._journal.root)
                folders.setdefault(real.parent, []).append((number, self._journal_name(file), (real, before, after)))
            except FileError as error:
                results[number] = error
        for folder, found in folders.items():
            for start in range(0, len(found), MANY):
                part = found[start : start + MANY]
                try:
                    done = self._change_part(folder, [(name, swap) for _, name, swap in part])
                except FileError as error:
                    done = [error] * len(part)
                for (number, _, _), result in zip(part, done):
                    results[number] = result
        return results

    def _change_part(self, folder: Path, changes: list[tuple[str, Swap]]) -> list[bool | FileError]:
        noted: list[int] = []

        def note(numbers: list[int]) -> None:
            lines = []
            for number in numbers:
                name, (_, old, new) = changes[number]
                lines.append({"file": name, "before": self._kept(name, old), "after": self._described(name, new)})
            self._append(*lines)
            noted.extend(numbers)

        if folder not in self._swept:
            with named(folder):
                sweep(folder)
            self._swept.add(folder)
        try:
            results = swap_all(folder, [swap for _, swap in changes], note)
        except Unfinished as error:
            self._noted(changes, noted, error.done)
            raise
        self._noted(changes, noted, [result is True for result in results])
        return results

    def _noted(self, changes: list[tuple[str, Swap]], noted: list[int], done: list[bool]) -> None:
        """Say of which noted changes nothing came."""
        self._files |= {changes[number][0] for number in noted if done[number]}
        left = [{"left": changes[number][0]} for number in noted if not done[number]]
        self._append(*left)

    def close(self) -> None:
        """End it well. One that changed nothing leaves no trace."""
        if self._file.closed:
            return
        try:
            if self._files:
                self._append({"done": time.time(), "files": self.files})
        finally:
            self._leave()

    def _leave(self) -> None:
        self._file.close()
        self._lock.__exit__(None, None, None)
        if not self._files:
            self._path.unlink(missing_ok=True)
            shutil.rmtree(self._path.with_suffix(""), ignore_errors=True)

    def __enter__(self) -> Action:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.close()
        elif not self._file.closed:
            self._leave()

    def _journal_name(self, file: Path) -> str:
        root, path = self._journal.root, Path(os.path.abspath(file))
        above = os.path.join(root, "")
        if str(path).startswith(above):  # nearly always, and there may be thousands
            return str(path)[len(above) :].replace(os.sep, "/")
        if not path.is_relative_to(root):  # one of them may be written by way of a link
            root, path = Path(os.path.realpath(root)), Path(os.path.realpath(path.parent)) / path.name
        if not path.is_relative_to(root):
            raise FileError(file, f"it isn't in {self._journal.root}", "choose the folder that it is in")
        return path.relative_to(root).as_posix()

    def _kept(self, name: str, data: bytes | None) -> Any:
        """A content in a form that brings it back: long ones as a file of their own, unless this action made them."""
        if data is None or len(data) <= INLINE:
            return _written(data)
        digest = digest_of(data)
        if digest not in self._written.get(name, ()):
            _keep(self._path.with_suffix(""), digest, data)
        return {"sha256": digest}

    def _described(self, name: str, data: bytes | None) -> Any:
        """A content in a form that recognises it: long ones are in the file itself, as long as they matter."""
        if data is None or len(data) <= INLINE:
            return _written(data)
        self._written.setdefault(name, set()).add(digest_of(data))
        return {"sha256": digest_of(data)}

    def _append(self, *lines: dict[str, Any]) -> None:
        """All of them, or none."""
        start = self._file.tell()
        try:
            if lines:
                append(self._file, *lines)
        except OSError:
            self._take_back(start)
            raise

    def _take_back(self, start: int) -> None:
        """Forget a change that was not made, or half a line that the disk had no room for."""
        if os.fstat(self._file.fileno()).st_size > start:
            self._file.seek(start)
            self._file.truncate()


@dataclass
class _Move:
    """An undo or a redo of one action."""

    journal: Journal
    record: Record
    to: Literal["done", "undone"]
    changed: int = 0
    kept: list[Problem] = field(default_factory=list)
    swept: set[Path] = field(default_factory=set)
    waiting: dict[Path, dict[Path, tuple[Path, Swap]]] = field(default_factory=dict)  # folder -> real file -> its swap

    def run(self) -> Outcome:
        spans = list(self.record.spans.values())
        with self.record.path.open("r+b", buffering=0) as file:
            whole_lines(file)
            append(file, {"moving": time.time()})
            for span in reversed(spans) if self.to == "undone" else spans:
                try:
                    self._plan(span)
                except FileError as error:
                    self._keep(error)
            for folder in list(self.waiting):
                self._flush(folder)
            if not EACH_LASTING:
                os.sync()
            end = self.to if self.changed or not self.kept else self.record.last  # nothing could be done: as it was
            if end:
                append(file, {end: time.time(), "files": len(spans)})
        return Outcome(self.changed, self.kept, self.record.id)

    def _keep(self, error: FileError) -> None:
        self.kept.append(Problem(error.path, error.reason, error.fix))

    def _plan(self, span: Span) -> None:
        """Find out what is to be done to a file, and do it when there are enough in its folder."""
        file = self.journal.root / span.file
        real = self._allowed(file)
        if not real.parent.is_dir():
            raise FileError(file, "its folder isn't there any more", "put it back and try again")
        self._sweep(real.parent)
        waiting = self.waiting.setdefault(real.parent, {})
        if real in waiting or len(waiting) == MANY:  # by another name; or enough
            self._flush(real.parent)
        now = content(real)
        there = digest_of(now)
        goal, from_ = (span.before, span.afters) if self.to == "undone" else (span.afters[-1], [span.before])
        if there == goal.digest:
            return
        if there not in {state.digest for state in from_} and not self._torn(now):
            raise FileError(file, _changed(now), "look at it; it was left as it is")
        if now is not None and len(now) > INLINE:
            _keep(self.record.path.with_suffix(""), there, now)  # for going back again
        waiting[real] = (file, (real, now, self._data(file, goal)))

    def _flush(self, folder: Path) -> None:
        waiting = list(self.waiting[folder].values())
        self.waiting[folder].clear()
        try:
            results = swap_all(folder, [swap for _, swap in waiting], lasting=EACH_LASTING) if waiting else []
        except FileError as error:
            results = [error] * len(waiting)
        for (file, (_, now, _)), result in zip(waiting, results):
            if result is True:
                self.changed += 1
            else:
                self._keep(result or FileError(file, _changed(now), "look at it; it was left as it is"))

    def _torn(self, now: bytes | None) -> bool:
        """Whether a power failure in the middle of an earlier undo has left a file without words."""
        return now is not None and not self.record.last and not now.strip(b"\0")

    def _sweep(self, folder: Path) -> None:
        if folder not in self.swept:
            with named(folder):
                sweep(folder)
            self.swept.add(folder)

    def _data(self, file: Path, state: Content) -> bytes | None:
        if not state.digest or state.data is not None:
            return state.data
        data = content(self.record.path.with_suffix("") / state.digest)
        if data is None or digest_of(data) != state.digest:
            raise FileError(file, "what it was is missing in the journal", "restore it from a backup of your own")
        return data

    def _allowed(self, file: Path) -> Path:
        """A journal may have come with a data set from anywhere: it must not reach files outside, or programs."""
        root = self.journal.root
        stranger = FileError(file, "it isn't a caption of this data set", "undo it by hand if it should be")
        if not file.is_relative_to(root) or {"..", FOLDER} & set(file.parts[len(root.parts) :]) or "\0" in str(file):
            raise stranger
        real = real_file(file, root)
        if not (real.is_relative_to(os.path.realpath(root)) or _is_caption(file)):
            raise stranger
        return real


def real_file(file: Path, root: Path) -> Path:
    """The file that a path means. A link is followed inside the data set; FileError for one that leads elsewhere."""
    file = Path(os.path.abspath(file))
    if not file.is_symlink():
        return file
    real = Path(os.path.realpath(file))
    if not real.is_relative_to(os.path.realpath(root)):
        raise FileError(file, f"it is a link to {real}, outside of the data set",
                        "open that folder instead, or put the file itself here")
    if not real.is_file():
        raise FileError(file, f"it is a link to {real}, which isn't there", "put the file back, or delete the link")
    return real


def _is_caption(file: Path) -> bool:
    return file.suffix.lower() in EXTENSIONS or file.name in TABLES


def _changed(now: bytes | None) -> str:
    return "it was deleted or renamed since" if now is None else "it was changed outside since"


def _bytes(text: str | bytes | None) -> bytes | None:
    return text.encode() if isinstance(text, str) else text


def _written(data: bytes | None) -> Any:
    """As JSON: text as it is, whatever its line ends and marks, and other bytes so that they come back exactly."""
    try:
        return data if data is None else data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _keep(folder: Path, digest: str, data: bytes) -> None:
    """Keep a long content as a file that is named after it."""
    if content(folder / digest) == data:
        return
    folder.mkdir(exist_ok=True)
    sweep(folder)
    swap(folder / digest, content(folder / digest), data)
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    """So that a new file is still in its folder after a power failure."""
    if os.name != "posix":
        return  # Windows sees to that itself, and opens no folders
    handle = os.open(folder, os.O_RDONLY)
    try:
        synced(handle)
    finally:
        os.close(handle)
