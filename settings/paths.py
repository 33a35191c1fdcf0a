"""Paths in settings: which of them are any, also in the rows of a table, so that none is forgotten where all are meant.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import getitem
from typing import Any

from settings.section import Section, settings

KINDS = ("file", "folder", "model")  # of Ui.kind


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
