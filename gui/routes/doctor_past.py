"""What was done to the open folder's files by the doctor: taking it back, doing it again, and the bin."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel

from dataset.bin import Bin
from dataset.deeds import Deeds, Told
from dataset.files import FileError
from dataset.journal import Outcome
from gui.doctoring import Doctoring
from gui.preparation import problems
from settings.errors import SettingsError

if TYPE_CHECKING:
    from gui.window import Window

PAST = 30  # deeds of a folder's history


class Step(BaseModel):
    id: str
    what: Literal["undo", "redo"]


class Back(BaseModel):
    keys: list[str]


def router(window: Window) -> APIRouter:
    routes = APIRouter()
    doctoring = Doctoring(window)

    @routes.get("/api/doctor/past")
    def past() -> list[dict[str, Any]]:
        """What was done to the files of the open folder, newest first."""
        root = doctoring.place
        return [told_line(told) for told in Deeds(root).history()[:PAST]] if root else []

    @routes.post("/api/doctor/past")
    def step(wish: Step) -> dict[str, Any]:
        deeds = Deeds(opened(doctoring))
        try:
            outcome = deeds.undo(wish.id) if wish.what == "undo" else deeds.redo(wish.id)
        except OSError as error:  # a JournalError says what to do
            raise HTTPException(409, str(error)) from None
        return outcome_line(outcome)

    @routes.get("/api/doctor/bin")
    def binned() -> list[dict[str, Any]]:
        return doctoring.binned()

    @routes.post("/api/doctor/bin/back")
    def put_back(wish: Back) -> dict[str, Any]:
        try:
            return outcome_line(Bin(opened(doctoring)).put_back(wish.keys))
        except OSError as error:
            raise HTTPException(409, str(error)) from None

    @routes.post("/api/doctor/bin/empty")
    def empty() -> dict[str, Any]:
        """Deletes for good."""
        try:
            return {"deleted": Bin(opened(doctoring)).empty()}
        except (FileError, OSError) as error:
            raise HTTPException(409, str(error)) from None

    return routes


def opened(doctoring: Doctoring) -> Path:
    try:
        return doctoring.root
    except SettingsError as error:
        raise HTTPException(409, str(error)) from None


def told_line(told: Told) -> dict[str, Any]:
    return {"id": told.id, "label": told.label, "time": told.time, "files": told.files, "state": told.state}


def outcome_line(outcome: Outcome) -> dict[str, Any]:
    return {"changed": outcome.changed, "kept": problems(outcome.kept)}
