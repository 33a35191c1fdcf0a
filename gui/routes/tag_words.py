"""The tag editor's words: what a text is made of, which tags a data set has, and what to suggest while one types."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

from fastapi import APIRouter, HTTPException

from dataset.editor import suggest, table, words
from dataset.editor.album import View
from dataset.reading import first_cut, reader
from gui import completion, on_form, tag_lists
from gui.editing import Opened, units
from gui.routes.tags import Line, Numbers, Wish, chosen, new_words, opened_by

if TYPE_CHECKING:
    from gui.window import Window


class Typing(Line):
    cursor: int = 0


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


def router(window: Window) -> APIRouter:
    routes = APIRouter()

    def found(wish: Wish) -> Opened:
        return opened_by(window, wish)

    @routes.post("/api/tags/complete")
    def complete(wish: Typing) -> dict[str, Any]:
        opened = found(wish)
        return completion.complete(wish.line, wish.cursor, lambda prefix: suggested(window, opened, prefix))

    @routes.post("/api/tags/suggest")
    def suggestions(wish: Prefix) -> dict[str, Any]:
        return {"list": suggested(window, found(wish), wish.prefix)}

    @routes.post("/api/tags/words")
    def pieces(wish: Text) -> dict[str, Any]:
        """What a text is made of, how many tokens it has, and where the text encoder stops to read; that of the
        training form, where none is named."""
        opened, how = found(wish), reader(wish.limit) or on_form.reader(window)
        prose = words.is_prose(wish.text, opened.separator) if wish.mode == "auto" else wish.mode == "prose"
        new = new_words(window)
        tags, cut = words.split(wish.text, opened.separator, prose), how.cut(wish.text, new)
        return {
            "text": wish.text,
            "tags": tags,
            "prose": prose,
            "tokens": how.count(wish.text, new),
            "exact": how.exact(),
            "limit": how.limit,
            "reads": how.label,
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

    return routes


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
