"""Writing captions for the editor: each goes where it was read from, through the journal, if nobody was quicker."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dataset.caption_files import one_line
from dataset.caption_tables import TABLES_BY_NAME, replaced
from dataset.captions import MAX_BYTES, MAX_TABLE_BYTES, CaptionFinder, decode, lines_of, sidecar
from dataset.editor.conflicts import Conflict
from dataset.files import FileError, Swap, content
from dataset.journal import Action
from dataset.problem import Problem


@dataclass(frozen=True)
class Task:
    """A picture that is to get a caption."""

    number: int
    picture: Path
    finder: CaptionFinder  # a fresh one: it remembers what is in a folder
    table: str  # the sort of table that a new caption goes into; "": a text file beside the picture
    text: str
    expected: str


@dataclass
class Written:
    """What became of it: numbers of pictures that have the wanted caption now, those whose own was kept because it had
    been changed, and files that couldn't be changed."""

    written: list[int] = field(default_factory=list)
    kept: list[Conflict] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    id: str | None = None  # the journal's name for it; None: there was nothing to change


@dataclass
class Writing:
    """One bulk change. `run` once."""

    root: Path
    action: Action
    result: Written = field(default_factory=Written)
    touched: set[Path] = field(default_factory=set)  # files that may have been changed
    _failed: set[int] = field(default_factory=set)
    _tables: dict[Path, list[tuple[Task, str]]] = field(default_factory=dict)  # table -> what waits: task, text there

    def run(self, tasks: Iterable[Task]) -> None:
        """OSError where nothing more can be written (the disk is full); what was written until then stays."""
        tasks = list(tasks)
        later = self._files(tasks)
        while later:  # pictures that share a caption file: one after the other
            later = self._files(later)
        for table, waiting in self._tables.items():
            try:
                self._table(table, [(task, there) for task, there in waiting if task.number not in self._failed])
            except FileError as error:
                self._problem(error, *(task for task, _ in waiting))
        self.result.written = [task.number for task in tasks if task.number not in self._failed]

    def _problem(self, error: FileError, *tasks: Task) -> None:
        self._failed |= {task.number for task in tasks}
        self.result.problems.append(Problem(error.path, error.reason, error.fix))

    def _keep(self, task: Task, there: str) -> None:
        self._failed.add(task.number)
        self.result.kept.append(Conflict(task.number, there, one_line(task.text), task.expected))

    def _files(self, tasks: list[Task]) -> list[Task]:
        """Change the text files of these tasks; tells those that must wait for another task's change of their file."""
        swaps: dict[Path, Swap] = {}
        of: dict[Path, Task] = {}
        later = []
        for task in tasks:
            try:
                planned = self._planned(task)
            except FileError as error:
                self._problem(error, task)
                continue
            if any(file in swaps for file, _, _ in planned):
                later.append(task)
                continue
            for swap in planned:
                swaps[swap[0]], of[swap[0]] = swap, task
        self.touched |= set(swaps)
        for file, done in zip(swaps, self.action.change_all(list(swaps.values()))):
            if isinstance(done, FileError):
                self._problem(done, of[file])
            elif not done:
                self._late(of[file])
        return later

    def _late(self, task: Task) -> None:
        """Somebody changed the caption in between; perhaps to the very same."""
        caption = task.finder.find(task.picture)
        there = caption.text if caption else ""
        if there != one_line(task.text):
            self._keep(task, there)

    def _planned(self, task: Task) -> list[Swap]:
        """The files that must be changed for a task; none where it is settled, or where tables are all there is."""
        text = one_line(task.text)
        if len(text.encode()) >= MAX_BYTES:
            raise FileError(task.picture, "the new caption is too long", "make it shorter")
        caption = task.finder.find(task.picture)
        there = caption.text if caption else ""
        if there == text:
            return []
        if there != task.expected:
            self._keep(task, there)
            return []
        if not text:
            return self._cleared(task)
        source = caption.source if caption else self._place(task)
        if source.name in TABLES_BY_NAME:
            self._tables.setdefault(source, []).append((task, there))
            return []
        data = content(source, limit=MAX_BYTES)
        old = decode(data)[0] if data else ""
        now = next(iter(lines_of(old)), "")
        if now != there:  # changed since it was found
            self._keep(task, now)
            return []
        return [(source, data, f"{replaced(old, text, there)}\n".encode())]

    def _place(self, task: Task) -> Path:
        """Where a picture without a caption gets one: an empty file of its own is filled first."""
        own = task.finder.sidecars(task.picture)
        if own or not task.table:
            return own[0] if own else sidecar(task.picture, task.finder.extension)
        tables = (folder / task.table for folder in self._above(task))
        return next(filter(os.path.isfile, tables), task.picture.parent / task.table)

    def _above(self, task: Task) -> Iterator[Path]:
        """The folders whose tables count for a picture, the nearest first."""
        for folder in task.picture.parents:
            yield folder
            if folder == task.finder.root:
                return

    def _cleared(self, task: Task) -> list[Swap]:
        """Every place is emptied that the picture has a caption in, or the next one would take its part."""
        for folder in self._above(task):
            for path in (folder / name for name in TABLES_BY_NAME):
                if os.path.isfile(path):
                    self._tables.setdefault(path, []).append((task, ""))
        found = ((file, content(file, limit=MAX_BYTES)) for file in task.finder.sidecars(task.picture))
        return [(file, data, b"") for file, data in found if data and lines_of(decode(data)[0])]

    def _table(self, path: Path, waiting: list[tuple[Task, str]]) -> None:
        """Change the rows of all tasks at once, if the table isn't changed by others in the meantime."""
        for _ in range(10):
            data = content(path, limit=MAX_TABLE_BYTES)
            table = TABLES_BY_NAME[path.name](path, data)
            of: dict[str, tuple[str, str]] = {}
            kept, problems = [], []
            for task, there in waiting:
                text, now = one_line(task.text), table.text(task.picture)
                if text and now not in (there, text):
                    kept.append((task, now))
                elif now != text:
                    try:
                        table.put(task.picture, text) if text else table.clear(task.picture)
                        of[task.picture.relative_to(self.root).as_posix()] = (now, text)
                    except FileError as error:
                        problems.append((error, task))
            if not of or self.action.change(path, data, table.bytes(), of):
                self.touched |= {path} if of else set()
                for task, now in kept:
                    self._keep(task, now)
                for error, task in problems:
                    self._problem(error, task)
                return
        raise FileError(path, "another program changes it all the time", "close that one and try again")
