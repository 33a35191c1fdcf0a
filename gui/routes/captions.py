"""Captions: what a captioning run has said so far, tags under other thresholds, and what was done to a folder before.

Folders are those on the captions form; pictures are known by the ids that were given out for them.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel

from captioners import command
from captioners.base import CaptionerError
from captioners.config import CaptionConfig
from dataset.journal import Journal, Outcome
from gui import thresholds
from gui.captioning import FORM, TEST
from gui.preparation import problems
from gui.repeats import again
from gui.run import CaptionRun
from jobs.process import JobError
from settings.errors import SettingsError, parse
from settings.section import Section

if TYPE_CHECKING:
    from gui.window import Window

MOST = 5000  # captions in one answer
SHOWN = 30  # actions of a folder's history
Which = Literal["all", "changed", "kept"]


class Moved(BaseModel):
    """Sliders that were moved, over what stands on the form; `picture`: whose tags are wanted in full."""

    values: dict[str, float | None] = {}
    picture: str = ""


class Step(BaseModel):
    folder: str
    action: str
    what: Literal["undo", "redo"]


def router(window: Window) -> APIRouter:
    routes = APIRouter()

    def found(run: str) -> CaptionRun:
        known = window.runs.find(run)
        if not isinstance(known, CaptionRun):
            raise HTTPException(404, "There is no such captioning run.")
        known.refresh()
        return known

    @routes.get("/api/captions")
    def newest_run() -> dict[str, Any]:
        """The run that the captions room shows when it is entered."""
        mine = (job for job in window.runs.jobs() if job.kind == "captions" and not (job.folder / TEST).exists())
        return {"run": next((job.id for job in mine), None)}

    @routes.get("/api/captions/{run}/said")
    def said(run: str, most: int = 24, only: Which = "all") -> dict[str, Any]:
        """Captions in the order in which they came."""
        every = [event for event in list(found(run).captions.values()) if wanted(event, only)]
        part = every[: min(max(most, 1), MOST)]
        return {"count": len(every), "lines": [caption_line(window, event) for event in part]}

    @routes.get("/api/captions/{run}/newest")
    def newest_captions(run: str) -> list[dict[str, Any]]:
        """What was said last, newest first."""
        return [caption_line(window, event) for event in reversed(list(found(run).newest))]

    @routes.get("/api/captions/{run}/problems")
    def failures(run: str) -> dict[str, Any]:
        failed = list(found(run).problems.values())
        return {"count": len(failed), "lines": [problem_line(window, event) for event in failed[:MOST]]}

    @routes.post("/api/captions/{run}/{action}")
    def act(run: str, action: Literal["write", "undo", "redo"]) -> dict[str, Any]:
        """`write`: what a dry run has shown. `undo`: take back what it wrote."""
        known = found(run)
        if action in ("undo", "redo"):
            return moved(window, known.end.get("actions") or {}, action)
        try:
            job = again(known.job, {"write.dry_run": False})
        except (SettingsError, JobError, OSError) as error:
            raise HTTPException(409, str(error)) from None
        window.runs.changed()
        return {"run": job.id}

    @routes.post("/api/thresholds")
    def retagged(wish: Moved) -> dict[str, Any]:
        """The tags of the form's pictures under other thresholds, as far as their probabilities are known."""
        kind = thresholds.tagger()
        if kind is None:
            raise HTTPException(404, "There is no tagger.")
        try:
            config = on_form(window)
            options = getattr(config, kind.name)
            options = parse(type(options), options.model_dump() | wish.values)
            pictures = window.scans.captions(config.source.folders, config.source.recursive, config.source.only)
            return thresholds.summary(kind, options, list(pictures.captions), window.thumbnails.path_of(wish.picture))
        except (SettingsError, CaptionerError, sqlite3.Error) as error:
            raise HTTPException(400, str(error)) from None

    @routes.get("/api/journal")
    def history() -> list[dict[str, Any]]:
        """What was done to the captions in the form's folders, newest first."""
        return [folder_line(window, folder) for folder in folders(window)]

    @routes.post("/api/journal")
    def step(wish: Step) -> dict[str, Any]:
        if wish.folder not in map(str, folders(window)):
            raise HTTPException(404, "This folder is not on the form any more.")
        return moved(window, {wish.folder: wish.action}, wish.what)

    return routes


def wanted(event: dict[str, Any], only: str) -> bool:
    outcome = event.get("outcome")
    return only == "all" or (outcome == "kept" if only == "kept" else outcome in ("written", "would write"))


def caption_line(window: Window, event: dict[str, Any]) -> dict[str, Any]:
    path = Path(str(event.get("picture", "")))
    line = {name: str(event.get(name) or "") for name in ("text", "before", "outcome", "captioner")}
    return line | {"id": window.thumbnails.id_of(path), "name": path.name}


def problem_line(window: Window, event: dict[str, Any]) -> dict[str, Any]:
    path = Path(str(event.get("picture", "")))
    line = {name: str(event.get(name) or "") for name in ("reason", "fix")}
    return line | {"id": window.thumbnails.id_of(path), "name": path.name}


def on_form(window: Window) -> Section:
    """What stands on the captions form. Raises SettingsError."""
    return command.with_absolute_paths(parse(CaptionConfig, window.drafts.load(FORM)))


def folders(window: Window) -> list[Path]:
    """The folders on the captions form that are there."""
    try:
        typed = on_form(window).source.folders
    except SettingsError:  # said beside the field
        return []
    return [path for path in dict.fromkeys(map(Path, typed)) if path.is_dir()]


def folder_line(window: Window, folder: Path) -> dict[str, Any]:
    lines = [
        {"id": entry.id, "label": entry.label, "time": entry.time, "files": entry.files, "state": entry.state}
        for entry in window.histories.of(folder)[:SHOWN]
    ]
    return {"folder": str(folder), "name": folder.name, "entries": lines}


def moved(window: Window, actions: dict[str, str], what: str) -> dict[str, Any]:
    """Take actions ({folder: id}) back, or do them again."""
    if not actions:
        raise HTTPException(409, "This run has written nothing.")
    for job in window.runs.jobs():
        if job.kind == "captions" and window.runs.state(job) == "running":
            raise HTTPException(409, f"{job.name} is writing captions now: stop it first.")
    outcomes = [one_moved(Path(folder), action, what) for folder, action in actions.items()]
    kept = [problem for outcome in outcomes for problem in outcome.kept]
    return {"changed": sum(outcome.changed for outcome in outcomes), "kept": problems(kept)}


def one_moved(folder: Path, action: str, what: str) -> Outcome:
    try:
        journal = Journal(folder)
        return journal.undo(action) if what == "undo" else journal.redo(action)
    except OSError as error:  # a JournalError says what to do
        raise HTTPException(409, str(error)) from None
