"""The tag editor: which pictures a filter line lets through, and what is known of them and of their tags.

A folder is named by the key that opening it gave, pictures by ids or by their numbers in it. 410 says that the folder
isn't open any more, after a restart for instance: the page opens it again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import JSONResponse
from pydantic import BaseModel, field_validator

from captioners.config import CaptionConfig
from dataset import seen
from dataset.editor import filter, order
from dataset.journal import JournalError
from dataset.new_words import NONE, NewWords
from dataset.reading import READERS, Reader
from gui import completion, on_form, tag_lists
from gui.editing import Facts, Opened, units
from gui.preparation import problems
from gui.routes.dataset import training_sizes
from gui.run import CaptionRun
from settings import toml
from settings.errors import SettingsError

if TYPE_CHECKING:
    from gui.window import Window

LINES = 2000  # pictures in one answer
MANY = 3000  # changed pictures that are told one by one
PROBLEMS = 200


class Wish(BaseModel):
    album: str = ""


class Opening(BaseModel):
    path: str = ""
    run: str = ""  # or the folder of this captioning run


class Since(Wish):
    since: int = 0


class Line(Wish):
    line: str = ""


class Sorted(Line):
    by: str = ""

    @field_validator("by")
    @classmethod
    def known(cls, by: str) -> str:
        if by not in order.CHOICES:
            raise ValueError("there is no such order")
        return by


class Numbers(Wish):
    numbers: list[int] | None = None


class Ids(Wish):
    ids: list[str | None]


def router(window: Window) -> APIRouter:
    routes = APIRouter()

    def found(wish: Wish) -> Opened:
        return opened_by(window, wish)

    @routes.post("/api/tags/open")
    def open_folder(wish: Opening) -> dict[str, Any]:
        """The folder that a person chose, else the one that is open in the window; {"key": ""} if none is."""
        given = folder_of(window, wish.run) if wish.run else wish.path.strip()
        path = given or str(window.drafts.load("dataset").get("path") or "")
        if not path:
            return {"key": "", "root": ""}
        sizes = training_sizes(window)

        def act() -> dict[str, Any]:
            try:
                opened = window.editing.open(path, sizes.caption_extension, separator(window))
            except OSError as error:
                raise HTTPException(400, str(error)) from None
            if given:
                window.drafts.save("dataset", {"path": path})
            opened.trigger = trigger(window)
            opened.teach(new_words(window))
            opened.scored = lambda paths, tag: tag_lists.scores(window, paths, tag)
            return about(window, opened) | {"root": path}

        return window.editing.begin(act)

    @routes.post("/api/tags/changes")
    def changes(wish: Since) -> dict[str, Any]:
        """What is different since a revision; `changed` None: too much to name."""
        opened = found(wish)
        opened.refresh()
        changed = opened.changed_since(wish.since)
        told = {"changed": changed if len(changed) <= MANY else None, "reads": as_in_train(on_form.reader(window))}
        return counts(opened) | told | steps(window, opened)

    @routes.post("/api/tags/filter")
    def filtered(wish: Sorted) -> dict[str, Any]:
        """The numbers of the pictures; for a line that isn't right yet, which is asked too, `problem` and where.
        `copies`, for a line that asks for them: how many pictures were looked at."""
        opened = found(wish)
        opened.trigger = trigger(window)
        opened.teach(new_words(window))
        facts = Facts(opened, fresh=True)
        try:
            numbers = opened.let_through(wish.line, wish.by, facts)
            return {"numbers": numbers, "revision": opened.album.revision,
                    "copies": opened.copying.begin() if facts.compared else None}
        except filter.FilterError as error:
            return {"problem": error.message, "position": units(wish.line, error.position)}

    @routes.post("/api/tags/look")
    def look_on(wish: Wish) -> dict[str, Any]:
        """Look for copies again, where that was stopped."""
        return found(wish).copying.begin(again=True)

    @routes.post("/api/tags/grammar")
    def grammar() -> dict[str, Any]:
        return {"rows": completion.GRAMMAR}

    @routes.post("/api/tags/orders")
    def orders() -> dict[str, Any]:
        return {"rows": list(order.CHOICES.items())}

    @routes.post("/api/tags/lines")
    def some_lines(wish: Numbers) -> dict[str, Any]:
        opened = found(wish)
        return {"lines": lines(window, opened, chosen(opened, (wish.numbers or [])[:LINES]))}

    @routes.post("/api/tags/numbers")
    def numbers_of(wish: Ids) -> dict[str, Any]:
        """The numbers that pictures have now, by their ids."""
        opened = found(wish)
        return {"numbers": [opened.number_of(id, window.thumbnails.id_of) if id else None for id in wish.ids[:LINES]]}

    return routes


def opened_by(window: Window, wish: Wish) -> Opened:
    known = window.editing.find(wish.album)
    if known is None:
        raise HTTPException(410, "This folder is not open any more.")
    return known


def chosen(opened: Opened, numbers: Iterable[int]) -> list[int]:
    """Those that are numbers of pictures."""
    count = len(opened.album.entries)
    return [number for number in numbers if 0 <= number < count]


def lines(window: Window, opened: Opened, numbers: Iterable[int]) -> list[dict[str, Any]]:
    """What the page knows of some pictures; from now on it may ask for them by their ids."""
    entries = opened.album.entries
    return [line_of(opened, number, window.thumbnails.id_of(entries[number].path)) for number in numbers]


def folder_of(window: Window, run: str) -> str:
    known = window.runs.find(run)
    if not isinstance(known, CaptionRun):
        raise HTTPException(404, "There is no such captioning run.")
    try:
        folders = toml.read(CaptionConfig, known.job.config_path).source.folders
    except (SettingsError, OSError) as error:
        raise HTTPException(409, str(error)) from None
    return folders[0] if folders else ""


def wrong_line(line: str, error: filter.FilterError) -> JSONResponse:
    return JSONResponse({"detail": error.message, "position": units(line, error.position)}, 422)


def attempt(act: Any) -> Any:
    """Do what touches files; what the disk or the journal says against it becomes an answer."""
    try:
        return act()
    except JournalError as error:
        raise HTTPException(409, str(error)) from None
    except OSError as error:
        raise HTTPException(507 if error.errno == 28 else 409, str(error)) from None


def about(window: Window, opened: Opened) -> dict[str, Any]:
    album = opened.album
    return {
        "key": opened.key,
        "name": opened.root.name or str(opened.root),
        "separator": opened.separator,
        "limits": [{"name": on_form.AS_IN_TRAIN, "label": as_in_train(on_form.reader(window))},
                   *({"name": one.name, "label": one.label} for one in READERS)],
        "problems": problems(album.problems[:PROBLEMS]),
        "more_problems": max(0, len(album.problems) - PROBLEMS),
    } | counts(opened) | steps(window, opened)


def counts(opened: Opened) -> dict[str, int]:
    """`count` numbers were given to pictures; `shown` of them are still there."""
    view = opened.album.view
    there = [bool(entry.text) for entry in view.entries if not entry.gone]
    return {"revision": view.revision, "count": len(view.entries), "shown": len(there), "captioned": sum(there)}


def steps(window: Window, opened: Opened) -> dict[str, str]:
    """What undo and redo would do now, in words; "" for nothing."""
    past = window.histories.of(opened.root)
    back = next((one.label or "the last change" for one in past if one.state in ("done", "interrupted")), "")
    undone = max((one for one in past if one.state == "undone"), key=lambda one: one.moved, default=None)
    newest = max((one.time for one in past if one.state != "undone"), default=0.0)
    forth = (undone.label or "the last change") if undone and newest <= undone.moved else ""
    return {"undo": back, "redo": forth}


def line_of(opened: Opened, number: int, id: str) -> dict[str, Any]:
    entry = opened.album.entries[number]
    names = ("width", "height", "text", "tags", "prose", "folder", "stars", "excluded", "note", "edited",
             "regularisation", "repeats", "revision")
    return {"number": number, "id": id, "name": entry.path.name} | {name: getattr(entry, name) for name in names}


def as_in_train(reader: Reader) -> str:
    return f"{reader.label}, as in LoRA training"


def separator(window: Window) -> str:
    return str((window.drafts.load("train").get("captions") or {}).get("separator") or ",")


def new_words(window: Window) -> NewWords:
    """Those of the training form, as far as they are right."""
    try:
        return seen.showing({"words": window.drafts.load("train").get("words", {})}).words.taught
    except SettingsError:
        return NONE


def trigger(window: Window) -> str:
    return str((window.drafts.load("train").get("metadata") or {}).get("trigger") or "")
