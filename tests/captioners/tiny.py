"""Tiny models of every captioner, for the tests that go over all of them.

A captioner takes part by a function `tiny_NAME(folder: Path) -> Section` in any module `tests/captioners/tiny_*.py`: it
makes a model with few weights in `folder` and returns the captioner's own section, set to use it (and to be quick).
There is nothing to add here. For a captioner without one, its toy model is taken where that is in the repository."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

from settings.section import Section

PREFIX = "tiny_"


def found() -> dict[str, Callable[[Path], Section]]:
    makers = {}
    for path in sorted(Path(__file__).parent.glob(f"{PREFIX}*.py")):
        module = importlib.import_module(f"tests.captioners.{path.stem}")
        makers |= {name.removeprefix(PREFIX): maker for name, maker in vars(module).items() if name.startswith(PREFIX)}
    return makers


TINY = found()
