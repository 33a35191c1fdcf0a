"""What the page asks for when a run has failed: settings that would mend it, and the report to copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter

from gui import trouble
from gui.routes.runs import run_of
from gui.run import Run

if TYPE_CHECKING:
    from gui.window import Window


def router(window: Window) -> APIRouter:
    routes = APIRouter()

    def found(run: str) -> Run:
        return run_of(window, run).refresh()

    @routes.get("/api/runs/{run}/fixes")
    def fixes(run: str) -> list[dict[str, Any]]:
        return trouble.fixes(found(run))

    @routes.get("/api/runs/{run}/trouble")
    def report(run: str) -> dict[str, str]:
        known = found(run)
        return {"text": trouble.report(known, window.runs.state(known.job), window.home)}

    return routes
