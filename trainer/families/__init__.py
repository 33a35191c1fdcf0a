"""The kinds of base model. A new one is a new file in this folder, and nothing else."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from trainer.families.base import Family


@cache
def families() -> dict[str, type[Family]]:
    """Every family by name. Cheap: a family file imports torch only inside its methods."""
    modules = {importlib.import_module(f"{__name__}.{info.name}").__name__ for info in pkgutil.iter_modules(__path__)}
    return {family.name: family for family in Family.__subclasses__() if family.__module__ in modules}
