"""Data sets from and to elsewhere: uploads in parts, the open folder as a zip, repeats that balance its concepts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from dataset.exchange import convert
from dataset.exchange import folder as on_disk
from dataset.exchange.balance import Unclear, balance
from dataset.exchange.convert import Plan
from dataset.exchange.exporting import told
from dataset.exchange.settings import ExportSettings
from dataset.exchange.target import Buffer, ZipTarget, text
from dataset.exchange.uploads import PART, UploadError, Uploads, Wanted
from gui.preparation import problems
from settings.errors import SettingsError, check

if TYPE_CHECKING:
    from gui.window import Window


class Offered(BaseModel):
    """A file in a browser."""

    path: str
    size: int
    modified: float = 0


class Upload(BaseModel):
    name: str = ""
    files: list[Offered] = []


def router(window: Window) -> APIRouter:
    routes = APIRouter()
    uploads = Uploads(window.home / "uploads")
    works: dict[str, str] = {}  # upload -> the work that makes a data set of it

    @routes.get("/api/uploads")
    def about() -> dict[str, Any]:
        """How much may come, and what is half here."""
        return uploads.told()

    @routes.post("/api/uploads", response_model=None)
    def begin(upload: Upload) -> dict[str, Any] | JSONResponse:
        """Begin, or go on with the same files."""
        wanted = [Wanted(file.path, file.size, file.modified) for file in upload.files]
        try:
            begun = uploads.begin(upload.name.strip() or "upload", wanted)
        except UploadError as error:
            return refused(error)
        return {"id": begun.id, "offset": begun.offset, "total": begun.total, "accepted": begun.accepted,
                "refused": problems(begun.refused), "part": PART}

    @routes.get("/api/uploads/{id}", response_model=None)
    def one(id: str) -> dict[str, Any] | JSONResponse:
        try:
            return uploads.find(id).told()
        except UploadError as error:
            return refused(error)

    @routes.post("/api/uploads/{id}/part", response_model=None)
    async def part(id: str, offset: int, crc: int, request: Request) -> dict[str, Any] | JSONResponse:
        """A part, as bytes; one that doesn't come whole is none."""
        data = bytearray()
        try:
            async for chunk in request.stream():
                data += chunk
                if len(data) > PART:
                    return refused(UploadError(413, "This part is too long."))
            return {"offset": await run_in_threadpool(uploads.add, id, offset, bytes(data), crc)}
        except UploadError as error:
            return refused(error)
        except ClientDisconnect:
            return refused(UploadError(400, "The connection was lost."))

    @routes.post("/api/uploads/{id}/finish", response_model=None)
    def finish(id: str) -> dict[str, Any] | JSONResponse:
        """All has come: make a data set of it. Asked again, it is the same work."""
        known = window.works.report(works.get(id, ""))
        if known and known["state"] != "failed":
            return {"work": works[id]}
        try:
            if not uploads.find(id).is_whole():
                raise UploadError(409, "Some of it is still to come.", uploads.find(id).offset())
        except UploadError as error:
            return refused(error)
        works[id] = window.works.start("upload", {"id": id})
        return {"work": works[id]}

    @routes.post("/api/uploads/{id}/discard", response_model=None)
    def discard(id: str) -> dict[str, Any] | JSONResponse:
        try:
            uploads.discard(id)
        except UploadError as error:
            return refused(error)
        return uploads.told()

    @routes.post("/api/exchange/look", response_model=None)
    def look(values: dict[str, Any]) -> dict[str, Any] | JSONResponse:
        """What the open folder would be as a zip, before it is fetched."""
        try:
            plan, _ = planned(window, values)
        except SettingsError as error:
            return JSONResponse({"detail": str(error), "problems": error.problems}, 422)
        return told(plan, True) | {"losses": plan.losses, "problems": problems(plan.problems)}

    @routes.get("/api/exchange/zip", response_model=None)
    def as_zip(request: Request) -> StreamingResponse | JSONResponse:
        """The open folder in a format, as a zip that is made while it is sent."""
        try:
            plan, settings = planned(window, dict(request.query_params))
        except SettingsError as error:
            return JSONResponse({"detail": str(error), "problems": error.problems}, 422)
        name = re.sub(r"[^\w -]", "_", plan.output.stem, flags=re.ASCII) or "dataset"
        headers = {"content-disposition": f'attachment; filename="{name}.zip"', "cache-control": "no-store"}
        return StreamingResponse(streamed(plan, settings), media_type="application/zip", headers=headers)

    @routes.get("/api/balance")
    def balanced() -> dict[str, Any]:
        """The concepts of the open folder, with repeats by which they are seen equally often."""
        try:
            concepts = balance(Path(opened(window)))
        except Unclear as error:
            raise HTTPException(409, str(error)) from None
        return {"concepts": [
            {"name": concept.path.name, "words": concept.words, "pictures": concept.pictures,
             "repeats": concept.repeats, "proposed": concept.proposed, "before": concept.before,
             "after": concept.after, "regularisation": concept.regularisation} for concept in concepts]}

    return routes


def opened(window: Window) -> str:
    path = str(window.drafts.load("dataset").get("path") or "")
    if not path:
        raise HTTPException(409, "Open a folder with pictures first.")
    return path


def planned(window: Window, values: dict[str, Any]) -> tuple[Plan, ExportSettings]:
    """What the open folder becomes. Raises SettingsError."""
    root = convert.path(opened(window))
    settings = check(ExportSettings, values | {"folder": str(root), "output": f"{root.name}.zip"})
    plan = convert.planned(on_disk.records(root), settings.format, Path(settings.output), "folder", room=False)
    return plan, settings


def streamed(plan: Plan, settings: ExportSettings) -> Iterator[bytes]:
    stream = Buffer()
    target = ZipTarget(stream)
    for _ in convert.written(plan, target, settings):
        if data := stream.take():
            yield data
    if left := [problem for problem in plan.problems if not problem.used]:
        lines = (f"{problem.path.name}: {problem.reason}; {problem.fix}\n" for problem in left)
        text(target, "left out.txt", "".join(lines))
    target.close()
    yield stream.take()


def refused(error: UploadError) -> JSONResponse:
    return JSONResponse({"detail": str(error), "offset": error.offset}, error.status)
