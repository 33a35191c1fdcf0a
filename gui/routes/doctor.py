"""The doctor's page: which folder, what the form begins with, and examining it.

What is asked for are ids of works, findings, cases and things in the bin that we have given out; the folder is the one
that is open, or the one that was examined.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from dataset.doctor.check import Finding
from dataset.doctor.job import Settings
from dataset.reading import FAMILIES, LABELS, LENGTHS
from gui import on_form
from gui.doctoring import KIND, Doctoring, Examined
from gui.routes.dataset import training_sizes
from settings.errors import SettingsError, check
from trainer.families import families

if TYPE_CHECKING:
    from gui.window import Window


class Begin(BaseModel):
    """None and "" for what is usual: as the training form says, or as the family has it."""

    family: str = "sd15"
    resolution: int | None = None
    tokens: int | None = None
    trigger: str = ""


class Some(BaseModel):
    """Cases of a finding, meant by their keys: those in `cases`, or all but those in `but`."""

    finding: str
    cases: list[str] | None = None
    but: list[str] = []

    def keys(self, found: Examined, findings: list[Finding]) -> list[str]:
        """Those of the findings that are meant. SettingsError if there is none."""
        cases = next((finding.cases for finding in findings if finding.name == self.finding), ())
        keys = [case.key(found.root) for case in cases]
        keys = [key for key in keys if (key not in self.but if self.cases is None else key in self.cases)]
        if not keys:
            raise SettingsError({"cases": "choose at least one"})
        return keys


def router(window: Window) -> APIRouter:
    routes = APIRouter()

    @routes.get("/api/examine")
    def state() -> dict[str, Any]:
        """The open folder, the newest examination of it, and what the form begins with: `train`, what the training form
        says, but for what a person has chosen here instead."""
        train, doctoring = in_train(window), Doctoring(window)
        return {"folder": doctoring.folder, "families": kinds(), "train": train,
                "form": train | window.drafts.load("doctor"), **doctoring.newest()}

    @routes.post("/api/examine", response_model=None)
    def begin(wish: Begin) -> dict[str, Any] | JSONResponse:
        train, values = in_train(window), wish.model_dump()
        window.drafts.save("doctor", {name: value for name, value in values.items() if value != train[name]})
        extension = training_sizes(window).caption_extension
        return started(window, {"folder": Doctoring(window).folder, "caption_extension": extension, **values})

    return routes


def kinds() -> dict[str, dict[str, Any]]:
    """What a set may be examined for, with what is usual for it."""
    return {name: {"label": families()[name].label, "resolution": usual.resolution, "tokens": usual.tokens,
                   "encoder": LABELS[usual.encoder], "lengths": LENGTHS if usual.encoder == "clip" else [usual.tokens]}
            for name, usual in FAMILIES.items()}


def in_train(window: Window) -> dict[str, Any]:
    """What the training form says, as a form here would: None for what is usual for the family."""
    family, reader, resolution = on_form.family(window), on_form.reader(window), training_sizes(window).resolution
    usual = FAMILIES[family]
    return {"family": family, "resolution": None if resolution == usual.resolution else resolution,
            "tokens": None if reader.limit == usual.tokens else reader.limit,
            "trigger": str((window.drafts.load("train").get("metadata") or {}).get("trigger") or "")}


def known(doctoring: Doctoring, id: str) -> Examined:
    found = doctoring.examined(id)
    if found is None:
        raise HTTPException(404, "This examination isn't there any more. Examine the folder again.")
    return found


def started(window: Window, values: dict[str, Any]) -> dict[str, Any] | JSONResponse:
    try:
        check(Settings, values).ensure()
        return {"id": window.works.start(KIND, values)}
    except SettingsError as error:
        return refused(error)


def refused(error: SettingsError) -> JSONResponse:
    return JSONResponse({"detail": str(error), "problems": error.problems}, 422)
