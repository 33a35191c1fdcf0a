"""Our own routes, beside Gradio's: what the widgets poll, pictures, and files to take away.

GET changes nothing. What is asked for is an id that we have given out, never a path, except where a person looks for a
folder. Each file beside this one has a `router(window)`.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from fastapi import APIRouter

if TYPE_CHECKING:
    from gui.window import Window


def router(window: Window) -> APIRouter:
    routes = APIRouter()
    for info in pkgutil.iter_modules(__path__):
        routes.include_router(importlib.import_module(f"{__name__}.{info.name}").router(window))
    return routes
