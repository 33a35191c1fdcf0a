"""The tag editor's sweep: one tag given to some pictures and taken from others, as one change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from fastapi import APIRouter, HTTPException

from dataset.editor.album import Entry, View
from dataset.editor.edit import Caption, listed, replaced
from dataset.editor.edits import Add
from dataset.editor.words import has_phrase, key
from gui.preparation import problems
from gui.routes.tags import PROBLEMS, Wish, attempt, opened_by
from settings.errors import check

if TYPE_CHECKING:
    from gui.window import Window


class Sweep(Wish):
    tag: str
    where: Literal["last", "first"] = "last"
    yes: list[str] = []  # ids of the pictures that shall have it
    no: list[str] = []  # and of those that shall not


class Look(Wish):
    tag: str
    numbers: list[int] = []


def router(window: Window) -> APIRouter:
    routes = APIRouter()

    @routes.post("/api/tags/having")
    def having(wish: Look) -> dict[str, Any]:
        """Which of some pictures have a tag, or its words in their sentence; and the tag as captions spell it."""
        view, same = opened_by(window, wish).album.view, key(wish.tag)
        there = (number for number in wish.numbers if 0 <= number < len(view.entries))
        numbers = [number for number in there if has(view.entries[number], same)]
        return {"numbers": numbers, "tag": spelt(view, wish.tag)}

    @routes.post("/api/tags/sweep")
    def sweep(wish: Sweep) -> dict[str, Any]:
        """Sentences get the tag before or behind them; their own words are left alone, and counted."""
        folder = opened_by(window, wish)
        album, entries = folder.album, folder.album.entries
        if len(listed(wish.tag)) != 1:
            raise HTTPException(422, "Say one tag, without commas.")
        add = check(Add, {"tags": wish.tag, "where": wish.where})
        answers = dict.fromkeys(wish.no, False) | dict.fromkeys(wish.yes, True)
        texts, before, sentences = {}, {}, 0
        for id, answer in answers.items():
            number = folder.number_of(id, window.thumbnails.id_of)
            if number is None or entries[number].gone:
                continue
            entry = entries[number]
            caption = Caption(entry.text, entry.tags, entry.prose, album.separator)
            after = add.apply(caption) if answer else replaced(caption, {key(wish.tag)}.__contains__, ())
            sentences += not answer and entry.prose and has_phrase(entry.text, wish.tag)
            if after != entry.text:
                texts[number], before[number] = after, entry.text

        def act() -> dict[str, Any]:
            done = attempt(lambda: album.write(f"Sweep {wish.tag.strip()}", texts, before))
            return {"written": len(done.written), "kept": len(done.kept), "sentences": sentences,
                    "problems": problems(done.problems)[:PROBLEMS], "revision": album.revision}

        return window.editing.begin(act)

    return routes


def spelt(view: View, tag: str) -> str:
    having = view.index.get(key(tag))
    tags = view.entries[min(having)].tags if having else ()
    return next((other for other in tags if key(other) == key(tag)), " ".join(tag.split()))


def has(entry: Entry, same: str) -> bool:
    return has_phrase(entry.text, same) if entry.prose else any(key(tag) == same for tag in entry.tags)
