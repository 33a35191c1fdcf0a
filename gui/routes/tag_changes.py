"""The tag editor: captions that were typed, one or a few at a time, and marks.

A caption that somebody else has changed since the page saw it stays as it is, and is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException

from dataset.editor.conflicts import merged
from gui.preparation import problems
from gui.routes.tags import LINES, Wish, attempt, chosen, lines, opened_by

if TYPE_CHECKING:
    from gui.window import Window


class Writing(Wish):
    texts: dict[str, str]  # by the picture's id
    expected: dict[str, str]


class Marking(Wish):
    numbers: list[int]
    stars: int | None = None
    excluded: bool | None = None
    note: str | None = None


def router(window: Window) -> APIRouter:
    routes = APIRouter()

    @routes.post("/api/tags/write")
    def write(wish: Writing) -> dict[str, Any]:
        """Captions that were typed. What somebody else has changed since stays, and comes back as `kept`."""
        opened = opened_by(window, wish)
        numbers = {id: opened.number_of(id, window.thumbnails.id_of) for id in wish.texts}
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
        opened = opened_by(window, wish)
        if wish.stars is not None and not 0 <= wish.stars <= 5:
            raise HTTPException(422, "Stars go from 0 to 5.")
        numbers = chosen(opened, wish.numbers)
        attempt(lambda: opened.album.mark(numbers, stars=wish.stars, excluded=wish.excluded, note=wish.note))
        return {"lines": lines(window, opened, numbers[:LINES]), "revision": opened.album.revision}

    return routes
