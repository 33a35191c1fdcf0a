"""Paths in settings: what is meant by a typed one, and which settings are any, also in the rows of a table, so that
none is forgotten where all are meant."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

from settings.section import Section, settings

KINDS = ("file", "folder", "model")  # of Ui.kind
ROOT = Path(__file__).resolve().parents[1]


# pathlib's own questions raise errors for a path that no system could hold, and for the home of nobody.


def absolute(typed: str | Path) -> Path:
    """What a typed path means, from the current folder, with ~ for home; that of nobody stays as it is. Links stay:
    their names say what it is."""
    found = os.path.expanduser(typed)
    return Path(found if found.startswith("~") else os.path.abspath(found))


def located(typed: str) -> Path | None:
    """The existing file or folder that a typed path means, absolute: from the current folder, else from the program's;
    None if there is none."""
    there = os.path.expanduser(typed)
    found = (path for path in (there, os.path.join(ROOT, there)) if typed and os.path.exists(path))
    return next((Path(os.path.abspath(path)) for path in found), None)


def placed(values: dict[str, Any], section: type[Section], meant: Callable[[str], str]) -> dict[str, Any]:
    """Nested values of a section, each path in them as `meant` says. They are changed in place, too."""
    for setting in settings(section):
        *parents, leaf = setting.path.split(".")
        inside = reduce(getitem, parents, values)
        if setting.item:
            inside[leaf] = [placed(row, setting.item, meant) for row in inside[leaf]]
        elif setting.ui.kind in KINDS and setting.type is str:
            inside[leaf] = meant(inside[leaf])
    return values
