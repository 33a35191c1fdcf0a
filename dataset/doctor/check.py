"""What a check gets and gives. A new check is one function with `@check` in one of the files beside this one; what can
be done with a click about what it finds is in `fixes.py`, by the finding's name.

A finding is about the set, not about a file: "3 pictures are dark" with the three as its cases, worst first, because
a person mends them together.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from dataset.doctor.look import Look
from dataset.problem import Problem, counted
from dataset.reading import Reader
from dataset.scan import Item
from dataset.settings import DatasetSettings

Severity = Literal["serious", "warning", "note"]


@dataclass(frozen=True)
class Case:
    """One file that a finding is about, or some that belong together; or what isn't a file at all, such as a tag."""

    paths: tuple[Path, ...]
    detail: str = ""
    keep: Path | None = None  # of duplicates: the one of `paths` to keep
    about: str = ""  # what it is about where that is no file

    def key(self, root: Path) -> str:
        """What this case is known by, whatever the order of its files: the same in the next examination."""
        names = sorted(os.path.relpath(path, root) for path in self.paths)
        known = "\0".join([self.about, *names]).encode(errors="surrogateescape")
        return hashlib.blake2b(known, digest_size=8).hexdigest()


@dataclass(frozen=True)
class Finding:
    """`title`, `effect` (what it does to training) and `fix` (what to do) are sentences for people."""

    name: str  # for programs, never changes: "captions.empty"
    severity: Severity  # serious: pictures are left out, or something wrong is learnt
    what: str  # the title; what stands in curly brackets first is counted: "{picture} with bars"
    effect: str
    fix: str
    cases: tuple[Case, ...]

    @property
    def title(self) -> str:
        """ "3 pictures with bars"."""
        return re.sub(r"\{([^{}]+)\}", lambda thing: counted(len(self.cases), thing[1]), self.what, count=1)

    def only(self, cases: Iterable[Case]) -> Finding:
        return replace(self, cases=tuple(cases))


def finding(name: str, severity: Severity, cases: Iterable[Case], what: str, effect: str, fix: str,
            ) -> Iterator[Finding]:
    """The finding, if there are cases of it."""
    if cases := tuple(cases):
        yield Finding(name, severity, what, effect, fix, cases)


@dataclass(frozen=True)
class Aim:
    """What the set is to teach, and how its captions are read."""

    trigger: str = ""  # the word that every caption should have; "" for none
    reader: Reader = Reader()


NOTHING = Aim()  # said of it

@dataclass(frozen=True)
class Subject:
    """The data set as the checks see it. `items` are the pictures that could be decoded, with their looks."""

    root: Path
    settings: DatasetSettings
    items: list[Item]
    problems: list[Problem]
    looks: dict[Path, Look] = field(default_factory=dict)
    aim: Aim = NOTHING

    @property
    def trigger(self) -> str:
        return self.aim.trigger.strip()

    @property
    def training(self) -> list[Item]:
        return [item for item in self.items if not item.regularisation]

    def remarks(self, kind: str) -> list[Problem]:
        """What the scan remarked of this kind."""
        return [problem for problem in self.problems if problem.used and problem.kind == kind]

    def ranked(self, value: Callable[[Look], float]) -> list[tuple[float, Item]]:
        """Every picture with a value of its look, smallest first; equal ones by their names."""
        valued = ((value(self.looks[item.path]), item) for item in self.items)
        return sorted(valued, key=lambda pair: (pair[0], str(pair[1].path)))


Check = Callable[[Subject], Iterable[Finding]]
CHECKS: list[Check] = []


def check(function: Check) -> Check:
    """Marks a function as a check: it is run on every data set."""
    CHECKS.append(function)
    return function


def told(problems: Iterable[Problem]) -> tuple[Case, ...]:
    """Problems of the scan as cases."""
    return tuple(Case((problem.path,), f"{problem.reason}; {problem.fix}") for problem in problems)
