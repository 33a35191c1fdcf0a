"""The history of runs: searched, noted, compared, thrown into the bin and put back, told in one page to keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Body, HTTPException, Query, Response
from pydantic import BaseModel

from gui import comparison, history
from gui.report import page
from gui.routes.runs import POINTS, run_of
from gui.run import Run
from jobs import bin as job_bin
from jobs import notes
from jobs.bin import Binned
from jobs.notes import NotesError
from jobs.process import JobError

if TYPE_CHECKING:
    from gui.window import Window

Names = Annotated[list[str], Body(embed=True)]


class Changes(BaseModel):
    """What is to change of a run's notes; what is left out stays."""

    text: str | None = None
    tags: list[str] | None = None
    best: bool | None = None


def router(window: Window) -> APIRouter:
    routes = APIRouter()

    def found(run: str) -> Run:
        return run_of(window, run).refresh()

    def things(names: list[str]) -> list[Binned]:
        """Those in the bin that are named; names of others name nothing."""
        return [thing for thing in job_bin.binned(window.home) if name_of(thing) in names]

    @routes.get("/api/history")
    def listed(query: Annotated[history.Query, Query()]) -> dict[str, Any]:
        return window.history.found(query)

    @routes.get("/api/history/compare")
    def compare(runs: Annotated[list[str], Query(min_length=2, max_length=comparison.MOST)]) -> dict[str, Any]:
        wanted = [found(run) for run in runs]
        if len({run.job.kind for run in wanted}) > 1:
            raise HTTPException(409, "Compare trainings with trainings, and captionings with captionings.")
        return comparison.compared(wanted, [window.runs.state(run.job) for run in wanted], POINTS)

    @routes.get("/api/runs/{run}/notes")
    def read(run: str) -> dict[str, Any]:
        return vars(notes.read(found(run).job.folder))

    @routes.post("/api/runs/{run}/notes")
    def write(run: str, changes: Changes) -> dict[str, Any]:
        try:
            return vars(notes.write(found(run).job.folder, **changes.model_dump(exclude_none=True)))
        except NotesError as error:
            raise HTTPException(409, f"Not kept: {error}.") from None

    @routes.get("/api/runs/{run}/report")
    def report(run: str) -> Response:
        known = found(run)
        told = page.page(known, window.runs.state(known.job), window.thumbnails)
        # To be kept as a file: opened here, it would be a page of ours.
        headers = {"content-disposition": f'attachment; filename="{page.file_name(known.job)}"'}
        return Response(told, media_type="text/html; charset=utf-8", headers=headers)

    @routes.post("/api/runs/{run}/bin")
    def throw(run: str) -> dict[str, Any]:
        job = found(run).job
        try:
            thing = job_bin.throw(window.home, job)
        except JobError as error:
            raise HTTPException(409, f"It stays: {error}.") from None
        except OSError as error:
            raise HTTPException(409, f"It could not be moved: {error.strerror or error}.") from None
        window.runs.changed()
        return {"name": name_of(thing)}

    @routes.get("/api/bin")
    def binned() -> list[dict[str, Any]]:
        return [
            {
                "name": name_of(thing),
                "run": thing.job.name,
                "kind": thing.job.kind,
                "created": thing.job.created,
                "thrown": thing.thrown,
                "bytes": thing.size,
            }
            for thing in job_bin.binned(window.home)
        ]

    @routes.post("/api/bin/restore")
    def restore(names: Names) -> dict[str, Any]:
        back = []
        try:
            for thing in things(names):
                back.append(job_bin.put_back(window.home, thing).id)
        except (JobError, OSError) as error:
            raise HTTPException(409, f"It stays in the bin: {error}.") from None
        finally:
            window.runs.changed()
        return {"runs": back}

    @routes.post("/api/bin/empty")
    def empty(names: Names) -> dict[str, int]:
        """Only what was shown when the person agreed: what has come into the bin since stays."""
        try:
            return {"bytes": job_bin.empty(things(names))}
        except OSError as error:
            raise HTTPException(409, f"Not all of it could be deleted: {error}.") from None

    return routes


def name_of(thing: Binned) -> str:
    """A thing's name in the bin, by which a page asks for it."""
    return f"{thing.job.folder.parent.name}/{thing.job.id}"
