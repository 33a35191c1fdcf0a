"""The tag editor's past: taking changes back and doing them again, whoever made them, and what a caption was before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel

from gui.preparation import problems
from gui.routes.tags import PROBLEMS, Wish, attempt, chosen, opened_by

if TYPE_CHECKING:
    from gui.window import Window

HISTORY = 100


class OneNumber(Wish):
    number: int


class Step(Wish):
    what: Literal["undo", "redo"]
    id: str | None = None


class Ticket(BaseModel):
    ticket: str


def router(window: Window) -> APIRouter:
    routes = APIRouter()

    @routes.post("/api/tags/step")
    def step(wish: Step) -> dict[str, Any]:
        opened = opened_by(window, wish)
        past = {entry.id: entry.label for entry in window.histories.of(opened.root)}
        move = opened.album.undo if wish.what == "undo" else opened.album.redo

        def act() -> dict[str, Any]:
            outcome = attempt(lambda: move(wish.id))
            return {"id": outcome.id, "label": past.get(outcome.id or "", ""), "changed": outcome.changed,
                    "kept": problems(outcome.kept)[:PROBLEMS], "revision": opened.album.revision}

        return window.editing.begin(act)

    @routes.post("/api/tags/outcome")
    def outcome(wish: Ticket) -> dict[str, Any]:
        """The answer of a change that went on for longer than an answer may take."""
        try:
            return window.editing.outcome(wish.ticket)
        except KeyError:
            raise HTTPException(404, "This change is not known any more.") from None

    @routes.post("/api/tags/history")
    def history(wish: Wish) -> dict[str, Any]:
        entries = window.histories.of(opened_by(window, wish).root)[:HISTORY]
        return {"entries": [{"id": one.id, "label": one.label, "time": one.time, "files": one.files, "state": one.state}
                            for one in entries]}

    @routes.post("/api/tags/versions")
    def versions(wish: OneNumber) -> dict[str, Any]:
        """What one caption was before, newest first."""
        opened = opened_by(window, wish)
        if not chosen(opened, [wish.number]):
            raise HTTPException(404, "There is no such picture.")
        past = opened.album.versions(wish.number)[:HISTORY]
        return {"versions": [{"time": one.time, "label": one.label, "text": one.text} for one in past]}

    return routes
