"""What every bulk edit of captions is: a group of settings, so that its form follows from it, and a function.

Tags that an edit doesn't mean keep their spelling, and a caption in which nothing changes stays as it is to the letter.
A sentence is never split at its commas: edits of tags leave it alone, where their help doesn't say otherwise.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal

from dataset.editor import words
from dataset.editor.patterns import PatternError
from dataset.editor.words import key
from settings.section import Section

Tags = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Caption:
    """A caption as edits see it; `tags` of prose are the whole sentence as one, of an empty caption none."""

    text: str
    tags: Tags
    prose: bool = False
    separator: str = words.SEPARATOR

    @classmethod
    def of(cls, text: str, separator: str = words.SEPARATOR, prose: bool | None = None) -> Caption:
        if prose is None:
            prose = words.is_prose(text, separator)
        return cls(text, words.split(text, separator, prose), prose, separator)

    def with_tags(self, tags: Iterable[str]) -> str:
        """The text with other tags; to the letter the same if they are the same."""
        tags = tuple(tags)
        return self.text if tags == self.tags else words.join(tags, self.separator)


class Edit(Section):
    """One way to change captions."""

    name: ClassVar[str]  # in addresses and records
    label: ClassVar[str]  # for people, in lists of edits and of what was done
    group: ClassVar[Literal["add", "take", "replace", "order", "tidy"]]

    @abstractmethod
    def apply(self, caption: Caption) -> str:
        """The caption's text afterwards."""

    def look(self, captions: Iterable[Caption]) -> None:
        """Shown all captions that it will change, before the first: for edits that go by what is common in them."""

    def told(self) -> str:
        """What it does in a few words, for the list of what was done."""
        return self.label


EDITS: dict[str, type[Edit]] = {}


def registered(kind: type[Edit]) -> type[Edit]:
    EDITS[kind.name] = kind
    return kind


@lru_cache(maxsize=64)  # asked for every caption
def listed(text: str) -> Tags:
    """The tags that a person typed into a field, each once."""
    return once_each(words.split(text.replace("\n", ","), prose=False))


def once_each(tags: Iterable[str]) -> Tags:
    """Each tag where and as it stands first."""
    first: dict[str, str] = {}
    for tag in tags:
        first.setdefault(key(tag), tag)
    return tuple(first.values())


def replaced(caption: Caption, meant: Callable[[str], bool], new: Tags) -> str:
    """The tags that are meant, all together, become the new ones where the first of them stood."""
    if caption.prose or not any(meant(key(tag)) for tag in caption.tags):
        return caption.text
    staying = {same for same in map(key, caption.tags) if not meant(same)}
    coming: list[str] | None = [tag for tag in new if key(tag) not in staying]
    tags: list[str] = []
    for tag in caption.tags:
        if not meant(key(tag)):
            tags.append(tag)
        elif coming:
            tags, coming = [*tags, *coming], None
    return caption.with_tags(tags)


@lru_cache(maxsize=64)
def matcher(text: str) -> Callable[[str], bool]:
    """Whether a tag's key is one of these, which may have `*` in them."""
    wanted = words.keys(listed(text))
    wild = [words.wildcards(tag) for tag in wanted if "*" in tag]
    if not wild:
        return wanted.__contains__
    return lru_cache(maxsize=1 << 16)(lambda same: same in wanted or any(pattern.match(same) for pattern in wild))


def beside(caption: Caption, fresh: Iterable[str], before: bool) -> str:
    text = caption.text.strip()
    added = words.join(fresh, caption.separator)
    if not added:
        return caption.text
    return joined(caption, added, text) if before else joined(caption, text, added)


def joined(caption: Caption, before: str, after: str) -> str:
    """Two texts with a separator between, unless the first ends with a sign of its own or one is empty."""
    before, after = before.strip(), after.strip()
    if not before or not after:
        return before or after
    mark = caption.separator.strip()
    own = before.endswith((*words.STOPS, mark)) if mark else True
    return f"{before} {after}" if own or (mark and after.startswith(mark)) else f"{before}{mark} {after}"


def begins(text: str, start: str) -> bool:
    """Whether a text begins with another, as whole words, whatever the case and underscores."""
    text, start = words.fold(text).strip(), words.fold(start).strip()
    return text.startswith(start) and words.whole(text, 0, len(start))


def mended(caption: Caption, after: str) -> str:
    """A text that was replaced in, without the empty tags and doubled spaces that this left."""
    if after == caption.text:
        return after
    if caption.prose:
        return " ".join(after.split())
    return words.join(words.split(" ".join(after.split()), caption.separator, prose=False), caption.separator)


def some(tags: Tags) -> str:
    return ", ".join(tags[:3]) + (f" and {len(tags) - 3} more" if len(tags) > 3 else "")


def placed(error: PatternError) -> str:
    return str(error) if error.position is None else f"{error}, at character {error.position + 1}"
