"""Mending what an examination has found: what a fix would do, doing it, and examining the folder once more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from dataset.doctor.job import planned
from gui.doctoring import Doctoring, Examined
from gui.preparation import problems
from gui.routes.doctor import Some, known, refused, started
from settings.errors import SettingsError

if TYPE_CHECKING:
    from gui.window import Window

STEPS = 60  # of a plan that a page shows


class Mend(Some):
    """`keep` are names of files, where a person wants to keep others than those that are suggested."""

    how: str = ""
    options: list[str] = []
    keep: list[str] = []
    digest: str = ""

    def values(self, found: Examined) -> dict[str, Any]:
        """As a job's settings. What was found to be fine is left alone."""
        values = {name: getattr(self, name) for name in ("finding", "how", "options", "keep", "digest")}
        return values | {"cases": self.keys(found, found.parted()[0])}


def router(window: Window) -> APIRouter:
    routes = APIRouter()
    doctoring = Doctoring(window)

    @routes.post("/api/examine/{id}/preview", response_model=None)
    def preview(id: str, wish: Mend) -> dict[str, Any] | JSONResponse:
        """What a fix would do, step by step; `digest` is what applying it is asked with."""
        found = known(doctoring, id)
        try:
            plan = planned(doctoring.wish(found, wish.values(found)), found.findings)
        except SettingsError as error:
            return refused(error)
        return {"label": plan.label, "count": len(plan.steps), "digest": plan.digest,
                "steps": [doctoring.step_line(found, step) for step in plan.steps[:STEPS]],
                "problems": problems(plan.problems)}

    @routes.post("/api/examine/{id}/apply", response_model=None)
    def mend(id: str, wish: Mend) -> dict[str, Any] | JSONResponse:
        found = known(doctoring, id)
        try:
            settings = doctoring.wish(found, wish.values(found))
        except SettingsError as error:
            return refused(error)
        return started(window, settings.model_dump())

    @routes.post("/api/examine/{id}/again", response_model=None)
    def again(id: str) -> dict[str, Any] | JSONResponse:
        """Examine the same folder once more, as before."""
        return started(window, doctoring.wish(known(doctoring, id), {}).model_dump())

    return routes
