"""Longer work on a data set: begin it, ask how far it is, stop it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import JSONResponse

from dataset.work import KINDS
from settings.errors import SettingsError

if TYPE_CHECKING:
    from gui.window import Window


def router(window: Window) -> APIRouter:
    routes = APIRouter()

    @routes.get("/api/work/{id}")
    def report(id: str) -> dict[str, Any]:
        found = window.works.report(id)
        if found is None:
            raise HTTPException(404, "This work is not known any more.")
        return found

    @routes.post("/api/work/{id}/stop")
    def stop(id: str) -> dict[str, Any]:
        window.works.stop(id)
        return report(id)

    @routes.get("/api/work/newest/{kind}")
    def newest(kind: str) -> dict[str, Any]:
        """The last work of a kind, for a page that is opened again: {"id": null} where there is none."""
        return {"id": window.works.newest(kind)}

    @routes.post("/api/work/begin/{kind}", response_model=None)
    def begin(kind: str, values: dict[str, Any]) -> dict[str, Any] | JSONResponse:
        """Settings that are wrong come back as 422 with `problems`: {setting: what to do}."""
        if kind not in KINDS:
            raise HTTPException(404, "There is no such work.")
        try:
            return {"id": window.works.start(kind, values)}
        except SettingsError as error:
            return JSONResponse({"detail": str(error), "problems": error.problems}, 422)

    return routes
