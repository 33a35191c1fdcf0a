"""The rooms of the window. A new one is a new file here with `title`, `order`, `build(window)` and, to reach into other
rooms once they are all built, `wire(window, page)`."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from functools import cache
from types import ModuleType


@dataclass(frozen=True)
class Tab:
    id: str  # the file's name
    title: str
    order: int  # from left to right
    module: ModuleType


@cache
def tabs() -> tuple[Tab, ...]:
    """Every tab, from left to right."""
    modules = {info.name: importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)}
    found = [Tab(name, module.title, module.order, module) for name, module in modules.items()]
    return tuple(sorted(found, key=lambda tab: tab.order))
