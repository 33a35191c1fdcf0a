"""The kinds of base model. A new one is a new file in this folder, and nothing else."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache

from trainer.families.base import Family


@cache
def families() -> dict[str, type[Family]]:
    """Every family by name, older ones first. Cheap: a family file imports torch only inside its methods."""
    modules = {importlib.import_module(f"{__name__}.{info.name}").__name__ for info in pkgutil.iter_modules(__path__)}
    found = [kind for kind in kinds(Family) if kind.__module__ in modules]
    return {family.name: family for family in sorted(found, key=lambda family: family.order)}


def kinds(family: type[Family]) -> Iterator[type[Family]]:
    """All below a class that have a name of their own; what several have in common is a class without one."""
    for kind in family.__subclasses__():
        if "name" in vars(kind):
            yield kind
        yield from kinds(kind)
