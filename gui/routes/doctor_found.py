"""What an examination has found: findings and their cases, putting some aside for good, and what there is to keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse, JSONResponse

from dataset.doctor import fine
from dataset.doctor.job import REPORT, SUMS, chosen
from dataset.files import FileError
from gui.doctoring import CASES, Doctoring
from gui.routes.doctor import Some, known, refused
from settings.errors import SettingsError

if TYPE_CHECKING:
    from gui.window import Window

SAFE = {"content-security-policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox"}


class Dismiss(Some):
    fine: bool = True
    always: bool = False  # the whole finding, whatever is found of it later


def router(window: Window) -> APIRouter:
    routes = APIRouter()
    doctoring = Doctoring(window)

    @routes.get("/api/examine/{id}")
    def examination(id: str) -> dict[str, Any]:
        return doctoring.shown(known(doctoring, id))

    @routes.get("/api/examine/{id}/cases")
    def cases(id: str, finding: str, start: int = 0, fine: bool = False) -> list[dict[str, Any]]:
        """More cases of a finding."""
        found = known(doctoring, id)
        one = next((one for one in found.parted()[fine] if one.name == finding), None)
        return [doctoring.case_line(found, case) for case in one.cases[start : start + 5 * CASES]] if one else []

    @routes.post("/api/examine/{id}/fine", response_model=None)
    def dismiss(id: str, wish: Dismiss) -> dict[str, Any] | JSONResponse:
        found = known(doctoring, id)
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
        found = known(doctoring, id)
        name = f"report on {found.root.name}.html"
        return FileResponse(found.job.folder / REPORT, media_type="text/html", filename=name, headers=SAFE)

    @routes.get("/api/examine/{id}/sums")
    def manifest(id: str) -> FileResponse:
        return FileResponse(known(doctoring, id).job.folder / SUMS, media_type="text/plain", filename=SUMS)

    return routes
