"""Writing captions for the editor: each goes where it was read from, through the journal, if nobody was quicker."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from dataset.caption_files import one_line
from dataset.caption_tables import TABLES_BY_NAME, replaced
from dataset.captions import MAX_BYTES, MAX_TABLE_BYTES, CaptionFinder, decode, lines_of, sidecar
from dataset.editor.conflicts import Conflict
from dataset.files import FileError, content
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
    touched: set[Path] = field(default_factory=set)  # files that were changed
    _tables: dict[Path, list[tuple[Task, str]]] = field(default_factory=dict)  # table -> what waits: task, text there

    def run(self, tasks: Iterable[Task]) -> None:
        """OSError where nothing more can be written (the disk is full); what was written until then stays."""
        for task in tasks:
            try:
                self._one(task)
            except FileError as error:
                self._problem(error)
        for table, waiting in self._tables.items():
            try:
                self._table(table, waiting)
            except FileError as error:
                self._problem(error)

    def _problem(self, error: FileError) -> None:
        self.result.problems.append(Problem(error.path, error.reason, error.fix))

    def _one(self, task: Task) -> None:
        text = one_line(task.text)
        if len(text.encode()) >= MAX_BYTES:
            raise FileError(task.picture, "the new caption is too long", "make it shorter")
        caption = task.finder.find(task.picture)
        there = caption.text if caption else ""
        if there == text:
            self.result.written.append(task.number)
        elif there != task.expected:
            self._keep(task, there)
        elif not text:
            self._clear(task, there)
        else:
            source = caption.source if caption else self._place(task)
            if source.name in TABLES_BY_NAME:
                self._tables.setdefault(source, []).append((task, there))
            else:
                self._sidecar(task, source, there)

    def _keep(self, task: Task, there: str) -> None:
        self.result.kept.append(Conflict(task.number, there, one_line(task.text), task.expected))

    def _place(self, task: Task) -> Path:
        """Where a picture without a caption gets one: an empty file of its own is filled first."""
        own = task.finder.sidecars(task.picture)
        if own or not task.table:
            return own[0] if own else sidecar(task.picture, task.finder.extension)
        folders = (folder for folder in task.picture.parents if folder.is_relative_to(task.finder.root))
        tables = (folder / task.table for folder in folders)
        return next(filter(os.path.isfile, tables), task.picture.parent / task.table)

    def _sidecar(self, task: Task, file: Path, there: str) -> None:
        data = content(file, limit=MAX_BYTES)
        old = decode(data)[0] if data else ""
        now = next(iter(lines_of(old)), "")
        if now != there:  # changed since it was found
            return self._keep(task, now)
        if not self.action.change(file, data, f"{replaced(old, one_line(task.text), there)}\n".encode()):
            caption = task.finder.find(task.picture)
            return self._keep(task, caption.text if caption else "")
        self.touched.add(file)
        self.result.written.append(task.number)

    def _clear(self, task: Task, there: str) -> None:
        """Empty every place that the picture has a caption in, or the next one would take its part."""
        for file in task.finder.sidecars(task.picture):
            data = content(file, limit=MAX_BYTES)
            if data and lines_of(decode(data)[0]):
                if not self.action.change(file, data, b""):
                    return self._keep(task, there)
                self.touched.add(file)
        caption = task.finder.find(task.picture)
        if caption is None:
            self.result.written.append(task.number)
        elif caption.source.name in TABLES_BY_NAME:
            for folder in task.picture.parents:
                for table in TABLES_BY_NAME:
                    if os.path.isfile(folder / table):
                        self._tables.setdefault(folder / table, []).append((task, caption.text))
                if folder == task.finder.root:
                    break
        else:  # written in this very moment
            self._keep(task, caption.text)

    def _table(self, path: Path, waiting: list[tuple[Task, str]]) -> None:
        """Change the rows of all tasks at once, if the table isn't changed by others in the meantime."""
        for _ in range(10):
            data = content(path, limit=MAX_TABLE_BYTES)
            table = TABLES_BY_NAME[path.name](path, data)
            kept, problems, of = {}, [], {}
            for task, there in waiting:
                text, now = one_line(task.text), table.text(task.picture)
                if text and now not in (there, text):
                    kept[task.number] = Conflict(task.number, now, text, task.expected)
                    continue
                try:
                    if not text:
                        table.clear(task.picture)
                    elif now != text:
                        table.put(task.picture, text)
                except FileError as error:
                    problems.append(error)
                    continue
                if now != text:
                    of[task.picture.relative_to(self.root).as_posix()] = (now, text)
            if not of or self.action.change(path, data, table.bytes(), of):
                self.touched.add(path)
                self.result.kept += kept.values()
                wrong = {error.path for error in problems}
                known = {*self.result.written, *kept}
                self.result.written += [task.number for task, _ in waiting
                                        if task.picture not in wrong and task.number not in known]
                for error in problems:
                    self._problem(error)
                return
        raise FileError(path, "another program changes it all the time", "close that one and try again")
