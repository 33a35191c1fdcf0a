"""Comparing the open folder's pictures with their captions by a CLIP: which models there are, and beginning it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from captioners.base import CaptionerError
from captioners.clip import compare
from captioners.clip_interrogate import ClipInterrogate
from captioners.weights import find, size
from gui.routes.dataset import training_sizes
from jobs import process
from settings.errors import SettingsError

if TYPE_CHECKING:
    from gui.window import Window

DRAFT = "doctor_models"
TOY = "toy/models/clip"


class Wish(BaseModel):
    model: str = ""
    download: bool = False


def router(window: Window) -> APIRouter:
    routes = APIRouter()

    @routes.get("/api/doctor-models")
    def state() -> dict[str, Any]:
        """The models to choose from; which was chosen last; and the work that is going on, for a page opened again."""
        newest = window.works.newest(compare.KIND)
        report = window.works.report(newest) if newest else None
        running = report is not None and report["state"] in ("running", "queued")
        return {"models": choices(), "chosen": window.drafts.load(DRAFT).get("model", chosen()),
                "running": newest if running else None}

    @routes.post("/api/doctor-models", response_model=None)
    def begin(wish: Wish) -> dict[str, Any] | JSONResponse:
        """`download` instead of an id where it takes one that nobody has agreed to yet: what, its size and licence."""
        window.drafts.save(DRAFT, {"model": wish.model})
        values = {"folder": str(window.drafts.load("dataset").get("path") or ""), "model": wish.model,
                  "download": wish.download, "caption_extension": training_sizes(window).caption_extension}
        try:
            job = compare.begin(values)
        except SettingsError as error:
            if list(error.problems) == ["download"]:
                return {"id": None, "download": error.problems["download"]}
            return JSONResponse({"detail": str(error), "problems": error.problems}, 422)
        process.start(job)
        return {"id": job.id}

    return routes


def choices() -> list[dict[str, Any]]:
    """The known models and the toy, with what each takes."""
    known = [
        {"model": name, "here": find(name, ClipInterrogate.published).here, "size": size(one.bytes),
         "licence": one.licence, "about": one.about}
        for name, one in ClipInterrogate.published.items()
    ]
    toy = {"model": TOY, "here": True, "size": "2 MB", "licence": "apache-2.0", "about": "the toy: drawn shapes only"}
    return [*known, toy]


def chosen() -> str:
    """What is looked with where nothing was chosen."""
    try:
        weights = compare.chosen("")
    except CaptionerError:
        return TOY
    return TOY if weights.where == "toy" else weights.model
