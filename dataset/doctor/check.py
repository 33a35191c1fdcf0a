"""What a check gets and gives. A new check is one function with `@check` in one of the files beside this one.

A finding is about the set, not about a file: "3 pictures are dark" with the three as its cases, worst first, because
a person mends them together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dataset.doctor.look import Look
from dataset.problem import Problem
from dataset.scan import Item
from dataset.settings import DatasetSettings

Severity = Literal["serious", "warning", "note"]


@dataclass(frozen=True)
class Case:
    """One file that a finding is about, or some that belong together."""

    paths: tuple[Path, ...]
    detail: str = ""
    keep: Path | None = None  # of duplicates: the one of `paths` to keep


@dataclass(frozen=True)
class Finding:
    """`title`, `effect` (what it does to training) and `fix` (what to do) are sentences for people."""

    name: str  # for programs, never changes: "captions.empty"
    severity: Severity  # serious: pictures are left out, or something wrong is learnt
    title: str
    effect: str
    fix: str
    cases: tuple[Case, ...]


@dataclass(frozen=True)
class Subject:
    """The data set as the checks see it. `items` are the pictures that could be decoded, with their looks."""

    root: Path
    settings: DatasetSettings
    items: list[Item]
    problems: list[Problem]
    looks: dict[Path, Look] = field(default_factory=dict)
    trigger: str = ""

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
