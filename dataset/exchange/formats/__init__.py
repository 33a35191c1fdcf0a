"""The formats of data sets. Each file has `name`, `label`, `help`, `order`, `keeps` (what of a record survives), and
`read(source, options) -> Found` with `fits(source) -> int` (how sure it is that the source is its own, 0: not), or
`write(records, target, options)`, which yields after each record; two-way formats have all of them.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import ModuleType


@cache
def formats() -> dict[str, ModuleType]:
    """Every format by name, in the order of lists. Cheap: what is not our own is imported when it is used."""
    modules = [importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)]
    return {module.name: module for module in sorted(modules, key=lambda module: module.order)}


def readers() -> dict[str, ModuleType]:
    return {name: module for name, module in formats().items() if hasattr(module, "read")}


def writers() -> dict[str, ModuleType]:
    return {name: module for name, module in formats().items() if hasattr(module, "write")}
