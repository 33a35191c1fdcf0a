"""Words that a half-typed tag may become: the data set's own first, then those of lists of tags.

A list is a file: a tagger's `selected_tags.csv` (tag_id, name, category, count), a table as other programs complete
from (name, category, count, "alias,alias"), or a text with a tag a line.
"""

from __future__ import annotations

import csv
import heapq
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from dataset.captions import decode
from dataset.editor.words import key

# The numbers that Danbooru gave its categories; 9 is what taggers use for ratings.
CATEGORIES = {"0": "general", "1": "artist", "3": "copyright", "4": "character", "5": "meta", "9": "rating"}
MAX_BYTES = 64_000_000
MAX_TAGS = 1_000_000
MAX_LENGTH = 200  # characters; a longer one is no tag
LAST = "\U0010ffff"  # sorts behind everything


class TagListError(ValueError):
    """A file is no list of tags; the message says why and what would be one."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    tag: str  # as it would be written
    count: int  # captions of the data set that have it, or what the list counts
    category: str = ""
    own: bool = False  # the data set has it already
    alias: str = ""  # the other name that was typed


@dataclass(frozen=True, slots=True)
class Tag:
    name: str
    category: str = ""
    count: int = 0
    aliases: tuple[str, ...] = ()


class TagList:
    """Tags to choose from."""

    def __init__(self, tags: Iterable[Tag]):
        self.tags = sorted(tags, key=lambda tag: -tag.count)

    @cached_property
    def categories(self) -> dict[str, str]:
        """`words.key` of each tag that has a category -> that category."""
        return {key.__wrapped__(tag.name): tag.category for tag in reversed(self.tags) if tag.category}

    @cached_property
    def _sorted(self) -> list[tuple[str, int, str]]:
        """(key, which tag, the alias whose key it is) for looking up by how they begin."""
        names = [(key.__wrapped__(tag.name), number, "") for number, tag in enumerate(self.tags)]
        others = [(key.__wrapped__(alias), number, alias) for number, tag in enumerate(self.tags)
                  for alias in tag.aliases]
        return sorted(names + others)

    @cached_property
    def _lines(self) -> tuple[str, list[int]]:
        """All keys as lines, the most frequent first, with where each begins: for looking up by a later word."""
        keys = [_open(key.__wrapped__(tag.name)) for tag in self.tags]
        starts, at = [], 0
        for name in keys:
            starts.append(at)
            at += len(name) + 1
        return "\n".join(keys), starts

    def beginning(self, wanted: str, most: int) -> list[tuple[Tag, str]]:
        """(tag, alias) of those that begin with a key, the most frequent first."""
        low = bisect_left(self._sorted, (wanted,))
        high = bisect_left(self._sorted, (wanted + LAST,))
        best = [(number, alias) for _, number, alias in self._sorted[low:high]]
        heapq.heapify(best)
        found: dict[str, tuple[Tag, str]] = {}
        while best and len(found) < most:
            number, alias = heapq.heappop(best)
            found.setdefault(key(self.tags[number].name), (self.tags[number], alias))
        return list(found.values())

    def within(self, wanted: str, most: int) -> list[Tag]:
        """Those in which a later word begins with a key, the most frequent first."""
        text, starts = self._lines
        found, at = [], text.find(f" {wanted}")
        while at >= 0 and len(found) < most:
            number = bisect_left(starts, at + 1) - 1
            found.append(self.tags[number])
            at = text.find(f" {wanted}", starts[number + 1]) if number + 1 < len(starts) else -1
        return found


class Entry(Protocol):
    tags: tuple[str, ...]


class Album(Protocol):
    entries: Sequence[Entry]
    index: Mapping[str, Collection[int]]


def suggestions(prefix: str, album: Album | None, lists: Iterable[TagList] = (), most: int = 12) -> list[Suggestion]:
    """What a half-typed tag may become, best first: tags of the data set that begin so, then that have a word that
    begins so, then those of the lists in the same order; each once."""
    wanted = key(prefix)
    if not wanted:
        return []
    found: dict[str, Suggestion] = {}
    lists = list(lists)
    for suggestion in (*_own(wanted, album, lists, most), *_listed(wanted, lists, most)):
        found.setdefault(key(suggestion.tag), suggestion)
        if len(found) == most:
            break
    return list(found.values())


def _own(wanted: str, album: Album | None, lists: list[TagList], most: int) -> list[Suggestion]:
    if album is None:
        return []
    later = f" {wanted}"
    ranked = ((not same.startswith(wanted), -len(having), same) for same, having in album.index.items()
              if having and (same.startswith(wanted) or later in _open(same)))
    best = heapq.nsmallest(most, ranked)
    return [Suggestion(_spelt(album, same), -count, _category(same, lists), own=True) for _, count, same in best]


def _open(same: str) -> str:
    """So that the word in the brackets of `miku (vocaloid)` begins like any other."""
    return same.replace("(", "")


def _listed(wanted: str, lists: list[TagList], most: int) -> Iterator[Suggestion]:
    for tags in lists:
        for tag, alias in tags.beginning(wanted, most):
            yield Suggestion(tag.name, tag.count, tag.category, alias=alias)
    for tags in lists:
        for tag in tags.within(wanted, most):
            yield Suggestion(tag.name, tag.count, tag.category)


def _spelt(album: Album, same: str) -> str:
    """A tag as a caption of the data set has it."""
    number = min(album.index[same])
    return next((tag for tag in album.entries[number].tags if key(tag) == same), same)


def _category(same: str, lists: list[TagList]) -> str:
    return next((tags.categories[same] for tags in lists if same in tags.categories), "")


def read(path: Path) -> TagList:
    """A list of tags from a file. TagListError where it isn't one; rows without a name are passed over."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise TagListError(f"{path.name} is too long for a list of tags")
        text = decode(path.read_bytes())[0]
    except OSError as error:
        raise TagListError(f"{path} can't be read ({error.strerror})") from error
    tags = list(_tags(text, path.suffix.lower() == ".csv"))
    if not tags:
        raise TagListError(f"there are no tags in {path.name}; write a tag on each line, or a table of "
                           'long_hair,0,4350743,"longhair"')
    if len(tags) > MAX_TAGS:
        raise TagListError(f"{path.name} has more than {MAX_TAGS:,} tags")
    return TagList(tags)


def _tags(text: str, table: bool) -> Iterator[Tag]:
    lines = text.replace("\0", "").splitlines()
    if not table:
        yield from (Tag(line.strip()) for line in lines if 0 < len(line.strip()) <= MAX_LENGTH)
        return
    try:
        rows = list(csv.reader(lines))
    except csv.Error as error:
        raise TagListError(f"this isn't a table of tags: {error}") from None
    places = {"name": 0, "category": 1, "count": 2, "aliases": 3}
    if rows and "name" in (header := [cell.strip().lower() for cell in rows[0]]):
        places = {name: header.index(name) for name in places if name in header}
        rows = rows[1:]
    for row in rows:
        cells = {name: row[place].strip() for name, place in places.items() if place < len(row)}
        if 0 < len(cells.get("name", "")) <= MAX_LENGTH:
            yield _tag(cells)


def _tag(cells: dict[str, str]) -> Tag:
    count, category = cells.get("count", ""), cells.get("category", "")
    aliases = tuple(alias.strip().lstrip("/") for alias in cells.get("aliases", "").split(",") if alias.strip())
    return Tag(cells["name"], CATEGORIES.get(category, "" if category.isdigit() else category),
               int(count) if count.isdecimal() and len(count) < 16 else 0, aliases)
