"""The table of tags: how many captions have each, and which tags go together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from dataset.editor.words import key


class Entry(Protocol):
    tags: tuple[str, ...]


class Album(Protocol):
    entries: Sequence[Entry]
    index: Mapping[str, Collection[int]]


@dataclass(frozen=True, slots=True)
class Row:
    key: str  # what counts as the same tag
    tag: str  # as the first caption that has it spells it
    count: int  # captions
    share: float  # 0..1 of the captions that were looked at
    category: str = ""  # as a tagger's list has it: general, character, …; "" where none knows the tag


def counts(album: Album, numbers: Iterable[int] | None = None,
           categories: Mapping[str, str] | None = None) -> list[Row]:
    """Every tag of the entries with these numbers (None: of all), the most frequent first."""
    within = None if numbers is None else frozenset(numbers)
    total = len(album.entries) if within is None else len(within)
    known = categories or {}
    rows = []
    for same, having in album.index.items():
        meant = having if within is None else within.intersection(having)
        if meant:
            rows.append(Row(same, _spelt(album, same, min(meant)), len(meant), len(meant) / total, known.get(same, "")))
    return sorted(rows, key=lambda row: (-row.count, row.key))


def together(album: Album, tag: str, most: int = 40) -> list[Row]:
    """The tags that stand beside one, with how many of its captions have them; the most frequent first."""
    same = key(tag)
    having = album.index.get(same, ())
    found = Counter(other for number in having for other in {key(tag) for tag in album.entries[number].tags})
    found.pop(same, None)
    first = {}
    for number in sorted(having, reverse=True):
        first |= {key(tag): tag for tag in reversed(album.entries[number].tags)}
    ranked = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))[:most]
    return [Row(other, first[other], count, count / len(having)) for other, count in ranked]


def _spelt(album: Album, same: str, number: int) -> str:
    return next((tag for tag in album.entries[number].tags if key(tag) == same), same)
