"""Programs that describe pictures. A new captioner is a new file in this folder, and nothing else."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from captioners.base import Captioner

NOT_CAPTIONERS = {
    "__main__", "answers", "asking", "base", "command", "config", "device", "failures", "gate", "join", "run",
    "scribe", "source", "weights",
}


@cache
def captioners() -> dict[str, type[Captioner]]:
    """Every captioner by name, in the order of lists. Cheap: heavy imports are inside their methods."""
    names = {info.name for info in pkgutil.iter_modules(__path__) if not info.ispkg} - NOT_CAPTIONERS
    modules = {importlib.import_module(f"{__name__}.{name}").__name__ for name in sorted(names)}
    found = [kind for kind in every(Captioner) if kind.__module__ in modules and "name" in vars(kind)]
    return {kind.name: kind for kind in sorted(found, key=lambda kind: (kind.order, kind.name))}


def every(kind: type[Captioner]) -> list[type[Captioner]]:
    """Its subclasses, and theirs."""
    return [found for child in kind.__subclasses__() for found in [child, *every(child)]]
