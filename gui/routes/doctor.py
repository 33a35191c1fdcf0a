"""The doctor's page: examine the folder that is open, look at what was found, mend it, take that back, the bin.

What is asked for are ids of works, findings, cases and things in the bin that we have given out; the folder is the one
that is open, or the one that was examined.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel

from dataset.bin import Bin
from dataset.deeds import Deeds, Told
from dataset.doctor import fine
from dataset.doctor.check import Finding
from dataset.doctor.job import FAMILIES, REPORT, SUMS, Settings, chosen, planned
from dataset.files import FileError
from dataset.journal import Outcome
from gui.doctoring import CASES, KIND, Doctoring, Examined
from gui.preparation import problems
from gui.routes.dataset import training_sizes
from settings.errors import SettingsError, check

if TYPE_CHECKING:
    from gui.window import Window

STEPS = 60  # of a plan that a page shows
PAST = 30  # deeds of a folder's history
SAFE = {"content-security-policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox"}


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


class Begin(BaseModel):
    family: str = "sd15"
    resolution: int | None = None
    trigger: str = ""


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


class Dismiss(Some):
    fine: bool = True
    always: bool = False  # the whole finding, whatever is found of it later


class Step(BaseModel):
    id: str
    what: Literal["undo", "redo"]


class Back(BaseModel):
    keys: list[str]


def router(window: Window) -> APIRouter:
    routes = APIRouter()
    doctoring = Doctoring(window)

    def known(id: str) -> Examined:
        found = doctoring.examined(id)
        if found is None:
            raise HTTPException(404, "This examination isn't there any more. Examine the folder again.")
        return found

    @routes.get("/api/examine")
    def state() -> dict[str, Any]:
        """The open folder, the newest examination of it, and what the form begins with."""
        typed = window.drafts.load("doctor")
        resolution = training_sizes(window).resolution
        likely = next((name for name, (side, _) in FAMILIES.items() if side == resolution), "sd15")
        trigger = (window.drafts.load("train").get("metadata") or {}).get("trigger") or ""
        form = {"family": likely, "resolution": None, "trigger": trigger} | typed
        return {"folder": doctoring.folder, "families": {name: side for name, (side, _) in FAMILIES.items()},
                "form": form, **doctoring.newest()}

    @routes.post("/api/examine", response_model=None)
    def begin(wish: Begin) -> dict[str, Any] | JSONResponse:
        values = wish.model_dump()
        window.drafts.save("doctor", values)
        extension = training_sizes(window).caption_extension
        return started({"folder": doctoring.folder, "caption_extension": extension, **values})

    def started(values: dict[str, Any]) -> dict[str, Any] | JSONResponse:
        try:
            check(Settings, values).ensure()
            return {"id": window.works.start(KIND, values)}
        except SettingsError as error:
            return refused(error)

    @routes.get("/api/examine/past")
    def past() -> list[dict[str, Any]]:
        """What was done to the files of the open folder, newest first."""
        root = doctoring.place
        return [told_line(told) for told in Deeds(root).history()[:PAST]] if root else []

    @routes.post("/api/examine/past")
    def step(wish: Step) -> dict[str, Any]:
        deeds = Deeds(opened(doctoring))
        try:
            outcome = deeds.undo(wish.id) if wish.what == "undo" else deeds.redo(wish.id)
        except OSError as error:  # a JournalError says what to do
            raise HTTPException(409, str(error)) from None
        return outcome_line(outcome)

    @routes.get("/api/examine/bin")
    def binned() -> list[dict[str, Any]]:
        return doctoring.binned()

    @routes.post("/api/examine/bin/back")
    def put_back(wish: Back) -> dict[str, Any]:
        try:
            return outcome_line(Bin(opened(doctoring)).put_back(wish.keys))
        except OSError as error:
            raise HTTPException(409, str(error)) from None

    @routes.post("/api/examine/bin/empty")
    def empty() -> dict[str, Any]:
        """Deletes for good."""
        try:
            return {"deleted": Bin(opened(doctoring)).empty()}
        except (FileError, OSError) as error:
            raise HTTPException(409, str(error)) from None

    @routes.get("/api/examine/{id}")
    def examination(id: str) -> dict[str, Any]:
        return doctoring.shown(known(id))

    @routes.get("/api/examine/{id}/cases")
    def cases(id: str, finding: str, start: int = 0, fine: bool = False) -> list[dict[str, Any]]:
        """More cases of a finding."""
        found = known(id)
        one = next((one for one in found.parted()[fine] if one.name == finding), None)
        return [doctoring.case_line(found, case) for case in one.cases[start : start + 5 * CASES]] if one else []

    @routes.post("/api/examine/{id}/preview", response_model=None)
    def preview(id: str, wish: Mend) -> dict[str, Any] | JSONResponse:
        """What a fix would do, step by step; `digest` is what applying it is asked with."""
        found = known(id)
        try:
            plan = planned(doctoring.wish(found, wish.values(found)), found.findings)
        except SettingsError as error:
            return refused(error)
        return {"label": plan.label, "count": len(plan.steps), "digest": plan.digest,
                "steps": [doctoring.step_line(found, step) for step in plan.steps[:STEPS]],
                "problems": problems(plan.problems)}

    @routes.post("/api/examine/{id}/apply", response_model=None)
    def mend(id: str, wish: Mend) -> dict[str, Any] | JSONResponse:
        found = known(id)
        try:
            settings = doctoring.wish(found, wish.values(found))
        except SettingsError as error:
            return refused(error)
        return started(settings.model_dump())

    @routes.post("/api/examine/{id}/again", response_model=None)
    def again(id: str) -> dict[str, Any] | JSONResponse:
        """Examine the same folder once more, as before."""
        return started(doctoring.wish(known(id), {}).model_dump())

    @routes.post("/api/examine/{id}/fine", response_model=None)
    def dismiss(id: str, wish: Dismiss) -> dict[str, Any] | JSONResponse:
        found = known(id)
        finding = found.finding(wish.finding)
        if finding is None:
            raise HTTPException(404, "This wasn't found.")
        try:
            keys = None if wish.always else wish.keys(found, found.parted()[not wish.fine])
            fine.mark(found.root, wish.finding, keys and chosen(found.root, finding.cases, keys), wish.fine)
        except SettingsError as error:
            return refused(error)
        except (FileError, OSError) as error:
            raise HTTPException(409, str(error)) from None
        return doctoring.shown(found)

    @routes.get("/api/examine/{id}/report")
    def report(id: str) -> FileResponse:
        """As a file to keep, never as a page of ours."""
        name = f"report on {known(id).root.name}.html"
        return FileResponse(known(id).job.folder / REPORT, media_type="text/html", filename=name, headers=SAFE)

    @routes.get("/api/examine/{id}/sums")
    def manifest(id: str) -> FileResponse:
        return FileResponse(known(id).job.folder / SUMS, media_type="text/plain", filename=SUMS)

    return routes


def opened(doctoring: Doctoring) -> Path:
    try:
        return doctoring.root
    except SettingsError as error:
        raise HTTPException(409, str(error)) from None


def refused(error: SettingsError) -> JSONResponse:
    return JSONResponse({"detail": str(error), "problems": error.problems}, 422)


def told_line(told: Told) -> dict[str, Any]:
    return {"id": told.id, "label": told.label, "time": told.time, "files": told.files, "state": told.state}


def outcome_line(outcome: Outcome) -> dict[str, Any]:
    return {"changed": outcome.changed, "kept": problems(outcome.kept)}
