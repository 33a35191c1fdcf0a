"""The rooms of the window. A new one is a new file here with `title`, `order`, `build(window)` and, to reach into other
rooms once they are all built, `wire(window, page)`. A room that has pages is a folder, and each page a file like these.
"""

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
def tabs(package: str = __name__) -> tuple[Tab, ...]:
    """Every tab of the window, or of a room that has pages, from left to right."""
    path = importlib.import_module(package).__path__
    modules = {info.name: importlib.import_module(f"{package}.{info.name}") for info in pkgutil.iter_modules(path)}
    found = [Tab(name, module.title, module.order, module) for name, module in modules.items()]
    return tuple(sorted(found, key=lambda tab: tab.order))
