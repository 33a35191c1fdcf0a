"""The tag editor's edits of many captions: which there are, what one would do, and doing it as one action."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from fastapi import APIRouter, HTTPException
from fastapi.responses import JSONResponse

from dataset.editor import edits, filter
from gui import on_form
from gui.editing import Opened
from gui.preparation import problems
from gui.routes.tags import PROBLEMS, Wish, attempt, chosen, opened_by, wrong_line
from settings.errors import SettingsError, check
from settings.section import Setting, label, section_help, settings

if TYPE_CHECKING:
    from gui.window import Window

SHOWN = 200  # changes of a preview
WRONG = (filter.FilterError, SettingsError)  # what a wish may have wrong: its filter line, or its values


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

    @routes.post("/api/tags/edits")
    def every_edit() -> dict[str, Any]:
        """The bulk edits that there are, each with the fields of its form. Captions are cut at what the training form
        says, unless another number is chosen."""
        how = on_form.reader(window)
        usual = {edits.Truncate.name: {"tokens": how.limit, "encoder": how.encoder}}
        return {"edits": [
            {"name": kind.name, "label": kind.label, "help": section_help(kind), "group": kind.group,
             "fields": [field(setting) | default(usual.get(kind.name, {}), setting) for setting in settings(kind)]}
            for kind in edits.EDITS.values()
        ]}

    @routes.post("/api/tags/preview", response_model=None)
    def preview(wish: Bulk) -> dict[str, Any] | JSONResponse:
        """What an edit would do: the first changes in full, and how many captions it changes; while typing, `problems`
        for values that aren't right yet."""
        opened = opened_by(window, wish)
        try:
            asked, numbers, rows = worked_out(opened, wish)
        except WRONG as error:
            return refused(wish, error, 200 if wish.typing else 422)
        shown = [
            {"number": number, "id": window.thumbnails.id_of(path), "name": path.name, "before": before, "after": after}
            for number, before, after in rows[:SHOWN]
            for path in [opened.album.entries[number].path]
        ]
        return {"changes": shown, "count": len(rows), "files": len(rows), "of": len(numbers), "label": asked.told(),
                "revision": opened.album.revision}

    @routes.post("/api/tags/apply", response_model=None)
    def apply(wish: Bulk) -> dict[str, Any] | JSONResponse:
        """Do it, but for the captions that were changed since it was previewed."""
        opened = opened_by(window, wish)
        try:
            asked, _, rows = worked_out(opened, wish)
        except WRONG as error:
            return refused(wish, error, 422)
        late = wish.revision is not None and wish.revision < opened.album.revision
        fresh = {number for number, *_ in rows if late and opened.album.entries[number].revision > wish.revision}
        texts = {number: after for number, _, after in rows if number not in fresh}
        before = {number: text for number, text, _ in rows}

        def act() -> dict[str, Any]:
            done = attempt(lambda: opened.album.write(asked.told(), texts, before))
            return {"written": len(done.written), "kept": len(done.kept) + len(fresh), "label": asked.told(),
                    "problems": problems(done.problems)[:PROBLEMS], "revision": opened.album.revision}

        return window.editing.begin(act)

    return routes


def worked_out(opened: Opened, wish: Bulk) -> tuple[edits.Edit, list[int], list[tuple[int, str, str]]]:
    """The edit, the pictures that are meant, and what it would change: number, before, after. Raises what is WRONG."""
    asked, numbers = edit_of(wish), meant(opened, wish)
    return asked, numbers, edits.preview(asked, opened.album.entries, numbers, opened.separator)


def refused(wish: Bulk, error: filter.FilterError | SettingsError, status: int) -> JSONResponse:
    """`status` is for values; a wrong line is answered as everywhere."""
    if isinstance(error, filter.FilterError):
        return wrong_line(wish.filter, error)
    return JSONResponse({"detail": str(error), "problems": error.problems}, status)


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


def default(usual: dict[str, Any], setting: Setting) -> dict[str, Any]:
    return {"default": usual[setting.path]} if setting.path in usual else {}


def field(setting: Setting) -> dict[str, Any]:
    kind = "choice" if setting.choices else {bool: "switch", int: "number", float: "number"}.get(setting.type, "text")
    return {"name": setting.path, "label": label(setting), "help": setting.help, "type": kind,
            "choices": list(setting.choices), "minimum": setting.minimum, "maximum": setting.maximum,
            "default": setting.default, "when": setting.ui.when, "level": setting.ui.level,
            "long": setting.ui.kind == "text"}
