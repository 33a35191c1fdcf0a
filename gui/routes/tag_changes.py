"""The tag editor: what changes captions, one or thousands at a time, and takes changes back.

Everything goes through the folder's journal. A caption that somebody else has changed since the page saw it stays as it
is, and is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from fastapi import APIRouter, HTTPException
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from dataset.editor import edits, filter
from dataset.editor.conflicts import merged
from gui.editing import Opened
from gui.preparation import problems
from gui.routes.tags import LINES, PROBLEMS, Wish, attempt, chosen, lines, opened_by, wrong_line
from settings.errors import SettingsError, check
from settings.section import Setting, label, section_help, settings

if TYPE_CHECKING:
    from gui.window import Window

SHOWN = 200  # changes of a preview
HISTORY = 100


class Writing(Wish):
    texts: dict[str, str]  # by the picture's id
    expected: dict[str, str]


class Marking(Wish):
    numbers: list[int]
    stars: int | None = None
    excluded: bool | None = None
    note: str | None = None


class OneNumber(Wish):
    number: int


class Step(Wish):
    what: Literal["undo", "redo"]
    id: str | None = None


class Ticket(BaseModel):
    ticket: str


class Bulk(Wish):
    edit: str
    values: dict[str, Any] = {}
    scope: Literal["selected", "filtered", "all"] = "selected"
    numbers: list[int] | None = None
    filter: str = ""
    revision: int | None = None  # of the album when it was previewed
    typing: bool = False  # the values are being typed: that they aren't right yet is an answer and no failure


def router(window: Window) -> APIRouter:
    routes = APIRouter()
    editing = window.editing
    id_of = window.thumbnails.id_of

    def found(wish: Wish) -> Opened:
        return opened_by(window, wish)

    @routes.post("/api/tags/write")
    def write(wish: Writing) -> dict[str, Any]:
        """Captions that were typed. What somebody else has changed since stays, and comes back as `kept`."""
        opened = found(wish)
        numbers = {id: opened.number_of(id, id_of) for id in wish.texts}
        known = {id: number for id, number in numbers.items() if number is not None and id in wish.expected}
        if not known:
            raise HTTPException(404, "This picture is not in the folder any more.")
        first = opened.album.entries[next(iter(known.values()))].path.name
        title = f"Write {first}" if len(known) == 1 else f"Write {len(known):,} captions"
        done = attempt(lambda: opened.album.write(title, {number: wish.texts[id] for id, number in known.items()},
                                                  {number: wish.expected[id] for id, number in known.items()}))
        kept = [
            {"number": one.number, "theirs": one.theirs, "mine": one.mine, "base": one.base,
             "merged": merged(one.base, one.theirs, one.mine, opened.separator)}
            for one in done.kept
        ]
        texts = {id: opened.album.entries[number].text for id, number in known.items()}
        return {"texts": texts, "kept": kept, "problems": problems(done.problems),
                "lines": lines(window, opened, known.values()), "revision": opened.album.revision}

    @routes.post("/api/tags/mark")
    def mark(wish: Marking) -> dict[str, Any]:
        opened = found(wish)
        if wish.stars is not None and not 0 <= wish.stars <= 5:
            raise HTTPException(422, "Stars go from 0 to 5.")
        numbers = chosen(opened, wish.numbers)
        attempt(lambda: opened.album.mark(numbers, stars=wish.stars, excluded=wish.excluded, note=wish.note))
        return {"lines": lines(window, opened, numbers[:LINES]), "revision": opened.album.revision}

    @routes.post("/api/tags/edits")
    def every_edit() -> dict[str, Any]:
        """The bulk edits that there are, each with the fields of its form."""
        return {"edits": [
            {"name": kind.name, "label": kind.label, "help": section_help(kind), "group": kind.group,
             "fields": [field(setting) for setting in settings(kind)]}
            for kind in edits.EDITS.values()
        ]}

    @routes.post("/api/tags/preview", response_model=None)
    def preview(wish: Bulk) -> dict[str, Any] | JSONResponse:
        """What an edit would do: the first changes in full, and how many captions it changes; while typing, `problems`
        for values that aren't right yet."""
        opened = found(wish)
        try:
            asked, numbers = edit_of(wish), meant(opened, wish)
            rows = edits.preview(asked, opened.album.entries, numbers, opened.separator)
        except filter.FilterError as error:
            return wrong_line(wish.filter, error)
        except SettingsError as error:
            return JSONResponse({"detail": str(error), "problems": error.problems}, 200 if wish.typing else 422)
        shown = [
            {"number": number, "id": id_of(path), "name": path.name, "before": before, "after": after}
            for number, before, after in rows[:SHOWN]
            for path in [opened.album.entries[number].path]
        ]
        return {"changes": shown, "count": len(rows), "files": len(rows), "of": len(numbers), "label": asked.told(),
                "revision": opened.album.revision}

    @routes.post("/api/tags/apply", response_model=None)
    def apply(wish: Bulk) -> dict[str, Any] | JSONResponse:
        """Do it, but for the captions that were changed since it was previewed."""
        opened = found(wish)
        try:
            asked, numbers = edit_of(wish), meant(opened, wish)
            rows = edits.preview(asked, opened.album.entries, numbers, opened.separator)
        except filter.FilterError as error:
            return wrong_line(wish.filter, error)
        except SettingsError as error:
            return JSONResponse({"detail": str(error), "problems": error.problems}, 422)
        late = wish.revision is not None and wish.revision < opened.album.revision
        fresh = {number for number, *_ in rows if late and opened.album.entries[number].revision > wish.revision}
        texts = {number: after for number, _, after in rows if number not in fresh}
        before = {number: text for number, text, _ in rows}

        def act() -> dict[str, Any]:
            done = attempt(lambda: opened.album.write(asked.told(), texts, before))
            return {"written": len(done.written), "kept": len(done.kept) + len(fresh), "label": asked.told(),
                    "problems": problems(done.problems)[:PROBLEMS], "revision": opened.album.revision}

        return editing.begin(act)

    @routes.post("/api/tags/step")
    def step(wish: Step) -> dict[str, Any]:
        opened = found(wish)
        past = {entry.id: entry.label for entry in window.histories.of(opened.root)}
        move = opened.album.undo if wish.what == "undo" else opened.album.redo

        def act() -> dict[str, Any]:
            outcome = attempt(lambda: move(wish.id))
            return {"id": outcome.id, "label": past.get(outcome.id or "", ""), "changed": outcome.changed,
                    "kept": problems(outcome.kept)[:PROBLEMS], "revision": opened.album.revision}

        return editing.begin(act)

    @routes.post("/api/tags/outcome")
    def outcome(wish: Ticket) -> dict[str, Any]:
        """The answer of a change that went on for longer than an answer may take."""
        try:
            return editing.outcome(wish.ticket)
        except KeyError:
            raise HTTPException(404, "This change is not known any more.") from None

    @routes.post("/api/tags/history")
    def history(wish: Wish) -> dict[str, Any]:
        entries = window.histories.of(found(wish).root)[:HISTORY]
        return {"entries": [{"id": one.id, "label": one.label, "time": one.time, "files": one.files, "state": one.state}
                            for one in entries]}

    @routes.post("/api/tags/versions")
    def versions(wish: OneNumber) -> dict[str, Any]:
        """What one caption was before, newest first."""
        opened = found(wish)
        if not chosen(opened, [wish.number]):
            raise HTTPException(404, "There is no such picture.")
        past = opened.album.versions(wish.number)[:HISTORY]
        return {"versions": [{"time": one.time, "label": one.label, "text": one.text} for one in past]}

    return routes


def meant(opened: Opened, wish: Bulk) -> list[int]:
    """The pictures of an edit. Raises FilterError."""
    if wish.scope == "selected":
        return chosen(opened, wish.numbers or [])
    return opened.let_through(wish.filter if wish.scope == "filtered" else "")


def edit_of(wish: Bulk) -> edits.Edit:
    """Raises SettingsError."""
    kind = edits.EDITS.get(wish.edit)
    if kind is None:
        raise HTTPException(404, "There is no such edit.")
    return check(kind, wish.values)


def field(setting: Setting) -> dict[str, Any]:
    kind = "choice" if setting.choices else {bool: "switch", int: "number", float: "number"}.get(setting.type, "text")
    return {"name": setting.path, "label": label(setting), "help": setting.help, "type": kind,
            "choices": list(setting.choices), "minimum": setting.minimum, "maximum": setting.maximum,
            "default": setting.default, "when": setting.ui.when, "level": setting.ui.level,
            "long": setting.ui.kind == "text"}
