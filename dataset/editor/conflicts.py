"""What becomes of a caption that a person and somebody else have changed at the same time.

Tags can be merged: each side added some and took some away. A sentence can't, so the person is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dataset.editor import words


@dataclass(frozen=True)
class Conflict:
    """A caption that wasn't written, because the picture has another one than the writer knew."""

    number: int
    theirs: str  # what is there
    mine: str  # what was to be written
    base: str  # what the writer believed to be there


def merged(base: str, theirs: str, mine: str, separator: str = words.SEPARATOR,
           prose: bool | None = None) -> str | None:
    """Both changes of a caption of tags in one: theirs, without what `mine` took from `base`, with what it added put
    behind the tag that it follows there. None where that can't be told, because one of them is prose."""
    if theirs in (base, mine):
        return mine
    if mine == base:
        return theirs
    texts = (base, theirs, mine)
    if any(text and (words.is_prose(text, separator) if prose is None else prose) for text in texts):
        return None
    before, there, wanted = (words.split(text, separator, prose=False) for text in texts)
    if words.keys(wanted) == words.keys(before) and len(wanted) == len(before):  # only put in another order, or respelt
        return words.join(_ordered(there, wanted, words.keys(before)), separator)
    gone = words.keys(before) - words.keys(wanted)
    result = [tag for tag in there if words.key(tag) not in gone]
    known = words.keys(before) | words.keys(there)
    for position, tag in enumerate(wanted):
        if words.key(tag) not in known:
            result.insert(_behind(result, wanted[:position]), tag)
            known.add(words.key(tag))
    return words.join(result, separator)


def _ordered(there: Sequence[str], wanted: Sequence[str], before: set[str]) -> list[str]:
    """Their tags, those that both know in the order and spelling of `wanted`, the new ones where they are."""
    mine = {words.key(tag): tag for tag in wanted}
    order = iter([mine[key] for key in dict.fromkeys(map(words.key, wanted)) if key in words.keys(there)])
    seen: set[str] = set()
    result = []
    for tag in there:
        known = words.key(tag)
        if known in before and known not in seen:
            result.append(next(order))
        elif known not in before:
            result.append(tag)
        seen.add(known)
    return result


def _behind(result: Sequence[str], left: Sequence[str]) -> int:
    """Where a tag goes that has these to its left: behind the nearest of them that is there, else in front."""
    places = {words.key(tag): position for position, tag in enumerate(result)}
    return next((places[key] + 1 for key in map(words.key, reversed(left)) if key in places), 0)
