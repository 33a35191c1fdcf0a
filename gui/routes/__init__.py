"""Our own routes, beside Gradio's: what the widgets poll, pictures, and files to take away.

GET changes nothing. What is asked for is an id that we have given out, never a path, except where a person looks for a
folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter

from gui.routes import about, browse, captions, dataset, presets, runs, static

if TYPE_CHECKING:
    from gui.window import Window


def router(window: Window) -> APIRouter:
    routes = APIRouter()
    for module in (about, browse, captions, dataset, presets, runs, static):
        routes.include_router(module.router(window))
    return routes
