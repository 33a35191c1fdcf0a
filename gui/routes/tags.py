"""The tag editor: which pictures a line lets through, what is said of them, and changes of one caption or of thousands.

A folder is named by the key that opening it gave, pictures by ids or by their numbers in it. 410 says that the folder
isn't open any more, after a restart for instance: the page opens it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

from fastapi import APIRouter, HTTPException
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from captioners.config import CaptionConfig
from dataset.editor import edits, filter, suggest, table, words
from dataset.editor.album import View
from dataset.editor.conflicts import merged
from dataset.journal import JournalError
from gui import completion, tag_lists
from gui.editing import READERS, Opened, first_cut, reader, units
from gui.preparation import problems
from gui.routes.dataset import training_sizes
from gui.runs import CaptionRun
from settings import toml
from settings.errors import SettingsError, check
from settings.section import Setting, label, section_help, settings

if TYPE_CHECKING:
    from gui.window import Window

LINES = 2000  # pictures in one answer
SHOWN = 200  # changes of a preview
MANY = 3000  # changed pictures that are told one by one
LONG = 300  # characters of a caption in the grid's lines that aren't looked at closely
PROBLEMS = 200
HISTORY = 100


class Wish(BaseModel):
    album: str = ""


class Opening(BaseModel):
    path: str = ""
    run: str = ""  # or the folder of this captioning run


class Since(Wish):
    since: int = 0


class Line(Wish):
    line: str = ""


class Typing(Line):
    cursor: int = 0


class Numbers(Wish):
    numbers: list[int] | None = None


class Ids(Wish):
    ids: list[str | None]


class OneNumber(Wish):
    number: int


class Text(Wish):
    text: str = ""
    mode: Literal["auto", "tags", "prose"] = "auto"
    limit: str = ""


class OneTag(Wish):
    tag: str = ""


class Chosen(Wish):
    path: str = ""


class Prefix(Wish):
    prefix: str = ""


class Writing(Wish):
    texts: dict[str, str]  # by the picture's id
    expected: dict[str, str]


class Marking(Wish):
    numbers: list[int]
    stars: int | None = None
    excluded: bool | None = None
    note: str | None = None


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


def router(window: Window) -> APIRouter:  # noqa: C901
    routes = APIRouter()
    editing = window.editing
    id_of = window.thumbnails.id_of

    def found(wish: Wish) -> Opened:
        known = editing.find(wish.album)
        if known is None:
            raise HTTPException(410, "This folder is not open any more.")
        return known

    def chosen(opened: Opened, numbers: Iterable[int]) -> list[int]:
        count = len(opened.album.entries)
        return [number for number in numbers if 0 <= number < count]

    def meant(opened: Opened, wish: Bulk) -> list[int]:
        if wish.scope == "selected":
            return chosen(opened, wish.numbers or [])
        return opened.let_through(wish.filter if wish.scope == "filtered" else "")

    def lines(opened: Opened, numbers: Iterable[int]) -> list[dict[str, Any]]:
        return [line_of(opened, number, id_of(opened.album.entries[number].path)) for number in numbers]

    @routes.post("/api/tags/open")
    def open_folder(wish: Opening) -> dict[str, Any]:
        """The folder that a person chose, else the one that is open in the window; {"key": ""} if none is."""
        chosen = folder_of(window, wish.run) if wish.run else wish.path.strip()
        path = chosen or str(window.drafts.load("dataset").get("path") or "")
        if not path:
            return {"key": "", "root": ""}
        sizes = training_sizes(window)
        try:
            opened = editing.open(path, sizes.caption_extension, separator(window))
        except OSError as error:
            raise HTTPException(400, str(error)) from None
        if chosen:
            window.drafts.save("dataset", {"path": path})
        opened.trigger = trigger(window)
        opened.scored = lambda paths, tag: tag_lists.scores(window, paths, tag)
        opened.refresh(now=True)
        return about(window, opened) | {"root": path}

    @routes.post("/api/tags/changes")
    def changes(wish: Since) -> dict[str, Any]:
        """What is different since a revision; `changed` None: too much to name."""
        opened = found(wish)
        before = counts(opened)["shown"]
        opened.refresh()
        changed = opened.changed_since(wish.since)
        told = counts(opened) | {"changed": changed if len(changed) <= MANY else None}
        return told | {"reordered": before != told["shown"]} | steps(window, opened)

    @routes.post("/api/tags/filter")
    def filtered(wish: Line) -> dict[str, Any]:
        """The numbers of the pictures; for a line that isn't right yet, which is asked too, `problem` and where."""
        opened = found(wish)
        opened.trigger = trigger(window)
        try:
            return {"numbers": opened.let_through(wish.line), "revision": opened.album.revision}
        except filter.FilterError as error:
            return {"problem": error.message, "position": units(wish.line, error.position)}

    @routes.post("/api/tags/grammar")
    def grammar() -> dict[str, Any]:
        return {"rows": completion.GRAMMAR}

    @routes.post("/api/tags/complete")
    def complete(wish: Typing) -> dict[str, Any]:
        opened = found(wish)
        return completion.complete(wish.line, wish.cursor, lambda prefix: suggested(window, opened, prefix))

    @routes.post("/api/tags/suggest")
    def suggestions(wish: Prefix) -> dict[str, Any]:
        return {"list": suggested(window, found(wish), wish.prefix)}

    @routes.post("/api/tags/lines")
    def some_lines(wish: Numbers) -> dict[str, Any]:
        opened = found(wish)
        return {"lines": lines(opened, chosen(opened, (wish.numbers or [])[:LINES]))}

    @routes.post("/api/tags/numbers")
    def numbers_of(wish: Ids) -> dict[str, Any]:
        """The numbers that pictures have now, by their ids."""
        opened = found(wish)
        return {"numbers": [opened.number_of(id, id_of) if id else None for id in wish.ids[:LINES]]}

    @routes.post("/api/tags/words")
    def pieces(wish: Text) -> dict[str, Any]:
        """What a text is made of, how many tokens it has, and where the text encoder stops to read."""
        opened, how = found(wish), reader(wish.limit)
        prose = words.is_prose(wish.text, opened.separator) if wish.mode == "auto" else wish.mode == "prose"
        tags, cut = words.split(wish.text, opened.separator, prose), how.cut(wish.text)
        return {
            "text": wish.text,
            "tags": tags,
            "prose": prose,
            "tokens": how.count(wish.text),
            "exact": how.exact(),
            "limit": how.limit,
            "cut": None if cut is None else units(wish.text, cut),
            "cut_tag": first_cut(wish.text, tags, cut),
        }

    @routes.post("/api/tags/table")
    def tag_table(wish: Numbers) -> dict[str, Any]:
        opened = found(wish)
        numbers = None if wish.numbers is None else chosen(opened, wish.numbers)
        rows = counted_tags(window, opened, numbers)
        return {"rows": rows, "total": len(opened.album.entries) if numbers is None else len(numbers)}

    @routes.post("/api/tags/together")
    def together(wish: OneTag) -> dict[str, Any]:
        opened = found(wish)
        return {"rows": [[row.tag, row.count] for row in table.together(opened.album.view, wish.tag)]}

    @routes.post("/api/tags/list")
    def own_list(wish: Chosen) -> dict[str, Any]:
        """A person's own list of tags to choose from; "" for none."""
        try:
            return {"count": tag_lists.choose(window, wish.path.strip())}
        except suggest.TagListError as error:
            raise HTTPException(400, str(error)) from None

    @routes.post("/api/tags/common")
    def common(wish: Numbers) -> dict[str, Any]:
        """[key, tag, how many have it] of some pictures, the most frequent first."""
        opened = found(wish)
        numbers = chosen(opened, wish.numbers or [])
        counts: Counter[str] = Counter()
        names: dict[str, str] = {}
        for number in numbers:
            entry = opened.album.entries[number]
            if entry.prose:
                continue
            own = {words.key(tag): tag for tag in entry.tags}
            counts.update(own.keys())
            for key, tag in own.items():
                names.setdefault(key, tag)
        return {"count": len(numbers), "rows": [[key, names[key], many] for key, many in counts.most_common()]}

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
                "lines": lines(opened, known.values()), "revision": opened.album.revision}

    @routes.post("/api/tags/mark")
    def mark(wish: Marking) -> dict[str, Any]:
        opened = found(wish)
        if wish.stars is not None and not 0 <= wish.stars <= 5:
            raise HTTPException(422, "Stars go from 0 to 5.")
        numbers = chosen(opened, wish.numbers)
        attempt(lambda: opened.album.mark(numbers, stars=wish.stars, excluded=wish.excluded, note=wish.note))
        return {"lines": lines(opened, numbers[:LINES]), "revision": opened.album.revision}

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
        "limits": [{"name": one.name, "label": one.label} for one in READERS],
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


def separator(window: Window) -> str:
    return str((window.drafts.load("train").get("captions") or {}).get("separator") or ",")


def trigger(window: Window) -> str:
    return str((window.drafts.load("train").get("metadata") or {}).get("trigger") or "")


def counted_tags(window: Window, opened: Opened, numbers: list[int] | None) -> list[list[Any]]:
    """[tag, captions, category] of each tag; sentences are none."""
    view = opened.album.view
    rows = table.counts(view, numbers, tag_lists.categories(window))
    return [[row.tag, row.count, row.category] for row in rows if not is_sentence(view, row.key)]


def suggested(window: Window, opened: Opened, prefix: str) -> list[dict[str, Any]]:
    view = opened.album.view
    found = suggest.suggestions(prefix, view, tag_lists.lists(window))
    return [{"text": one.tag, "count": one.count, "kind": one.category, "own": one.own, "via": one.alias}
            for one in found if not (one.own and is_sentence(view, words.key(one.tag)))]


def is_sentence(view: View, key: str) -> bool:
    having = view.index.get(key)
    return bool(having) and view.entries[next(iter(having))].prose
