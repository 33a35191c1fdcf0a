"""What a fix consists of: steps that are first shown, then done as one deed, which can be undone.

A plan is made from what is on disk and changes nothing. Each step says what it expects to find, so doing an old plan
harms nothing: what has changed since stays, and is told.
"""

from __future__ import annotations

import hashlib
import io
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataset import pictures
from dataset.bin import throw
from dataset.deeds import Deed, Deeds
from dataset.editor import marks
from dataset.files import FileError
from dataset.journal import Outcome
from dataset.pictures import PictureError
from dataset.problem import Problem

BY = "by you, in the doctor"


@dataclass(frozen=True)
class Step(ABC):
    """One thing that happens to one file. `picture` is what a page shows beside it."""

    picture: Path

    @abstractmethod
    def told(self) -> dict[str, Any]:
        """For a preview: `what` happens; `before` and `after` of a text, `to` of a name, `others` that go along."""


@dataclass(frozen=True)
class Single(Step):
    """A step that is done by itself, whatever the others are."""

    @abstractmethod
    def do(self, deed: Deed) -> None:
        """FileError where it can't be done."""


@dataclass(frozen=True)
class ToBin(Single):
    """A picture, or another file, goes to the bin with all that belongs to it."""

    others: tuple[Path, ...] = ()

    def do(self, deed: Deed) -> None:
        throw(deed, (self.picture, *self.others))

    def told(self) -> dict[str, Any]:
        return {"what": "bin", "others": [path.name for path in self.others]}


@dataclass(frozen=True)
class Rename(Single):
    """A picture gets another name in its folder, and so does all that belongs to it."""

    to: Path
    others: tuple[tuple[Path, Path], ...] = ()

    def do(self, deed: Deed) -> None:
        for file, to in ((self.picture, self.to), *self.others):
            deed.move(file, to)
        _keep_mark(deed.root, self.picture, self.to)

    def told(self) -> dict[str, Any]:
        return {"what": "rename", "to": self.to.name, "others": [to.name for _, to in self.others]}


@dataclass(frozen=True)
class Write(Single):
    """A caption file gets another content. `texts` are the captions before and after, where they are what changes."""

    file: Path
    before: bytes | None
    after: bytes | None
    texts: tuple[tuple[str, str], ...] = ()

    def do(self, deed: Deed) -> None:
        if not deed.change(self.file, self.before, self.after):
            raise FileError(self.file, "it was changed since", "look at it; it was left as it is")

    def told(self) -> dict[str, Any]:
        before, after = self.texts[0] if self.texts else ("", "")
        kind = "delete" if self.after is None else "write"
        return {"what": kind, "file": self.file.name, "before": before, "after": after,
                "more": max(0, len(self.texts) - 1)}


@dataclass(frozen=True)
class Flatten(Single):
    """A copy of a picture takes its place as a PNG: upright, opaque, a single frame. The picture goes to the bin; what
    belongs to it stays, because the name does."""

    to: Path

    def do(self, deed: Deed) -> None:
        try:
            image = pictures.read(self.picture)
        except PictureError as error:
            raise FileError(self.picture, error.reason, error.fix) from error
        if self.to != self.picture and os.path.lexists(self.to):
            raise FileError(self.to, "there is another file of this name", "move or rename that one first")
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        throw(deed, [self.picture])
        deed.make(self.to, buffer.getvalue())

    def told(self) -> dict[str, Any]:
        return {"what": "flatten", "to": self.to.name}


@dataclass(frozen=True)
class Exclude(Step):
    """A picture is marked as not to be trained on, or as to be. All are at once, because the marks are in one file."""

    excluded: bool = True

    def told(self) -> dict[str, Any]:
        return {"what": "exclude" if self.excluded else "include"}


def _keep_mark(root: Path, old: Path, new: Path) -> None:
    """Stars and notes are kept by the picture's name. The old one's stay too, for when the renaming is undone."""
    names = [path.relative_to(root).as_posix() for path in (old, new)]
    known = marks.read(root).get(names[0])
    if known:
        marks.change(root, names[1:], marks.Change(known.stars, known.excluded, known.note, known.by))


@dataclass(frozen=True)
class Plan:
    """What would be done. `problems` are files that it can't be done to, with the reasons."""

    label: str
    steps: list[Step] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @classmethod
    def of(cls, label: str, made: Iterable[Step | Problem]) -> Plan:
        plan = cls(label)
        try:
            for one in made:
                (plan.problems if isinstance(one, Problem) else plan.steps).append(one)
        except FileError as error:
            plan.problems.append(Problem(error.path, error.reason, error.fix))
        return plan

    @property
    def digest(self) -> str:
        """The same for a plan that does the same: what a person has seen is what is done, or it is shown again."""
        return hashlib.blake2b(repr(self.steps).encode(errors="surrogateescape"), digest_size=12).hexdigest()


def apply(root: Path, plan: Plan, progress: Callable[[int, int], object] = lambda done, total: None) -> Outcome:
    """Do it. `progress(done, of)` is called after each step; if it raises, what was done can be undone all the same.

    JournalError where nothing can be noted, and OSError where no file can be changed."""
    kept = list(plan.problems)
    if not plan.steps:
        return Outcome(0, kept)
    marked = [step for step in plan.steps if isinstance(step, Exclude)]
    others = [step for step in plan.steps if isinstance(step, Single)]
    with Deeds(root).begin(plan.label) as deed:
        for excluded in (True, False):
            deed.exclude((step.picture for step in marked if step.excluded == excluded), excluded, BY)
        for done, step in enumerate(others, start=len(marked) + 1):
            try:
                step.do(deed)
            except FileError as error:
                kept.append(Problem(error.path, error.reason, error.fix))
            progress(done, len(plan.steps))
        return Outcome(deed.files, kept, deed.id if deed.files else None)
