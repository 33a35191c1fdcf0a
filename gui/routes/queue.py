"""The queue of jobs: what runs where, what waits and why, and changing the order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Body, HTTPException

from gui.routes.runs import run_of
from jobs import queue
from jobs.folder import Job
from jobs.overview import overview
from jobs.process import JobError

if TYPE_CHECKING:
    from gui.window import Window


def router(window: Window) -> APIRouter:
    routes = APIRouter()

    def found(run: str) -> Job:
        return run_of(window, run).job

    @contextmanager
    def changing() -> Iterator[None]:
        try:
            yield
        except JobError as error:
            raise HTTPException(409, str(error)) from None
        window.runs.changed()

    @routes.get("/api/queue")
    def now() -> dict[str, Any]:
        return overview(window.home)

    @routes.post("/api/queue/pause")
    def pause() -> dict[str, Any]:
        with changing():
            queue.pause(window.home)
        return now()

    @routes.post("/api/queue/continue")
    def go_on() -> dict[str, Any]:
        with changing():
            queue.go_on(window.home)
        return now()

    @routes.post("/api/queue/tend")
    def tend() -> dict[str, Any]:
        """See that someone works on it: what did may have been killed."""
        queue.ensure_runner()
        return now()

    @routes.post("/api/queue/jobs/{run}/move/{where}")
    def move(run: str, where: queue.Direction) -> dict[str, Any]:
        with changing():
            queue.move(found(run), where)
        return now()

    @routes.post("/api/queue/jobs/{run}/before")
    def before(run: str, other: Annotated[str | None, Body(embed=True)] = None) -> dict[str, Any]:
        """Put a job before another one, or last."""
        with changing():
            queue.place(found(run), found(other) if other else None)
        return now()

    @routes.post("/api/queue/jobs/{run}/remove")
    def remove(run: str) -> dict[str, Any]:
        with changing():
            queue.withdraw(found(run))
        return now()

    return routes
