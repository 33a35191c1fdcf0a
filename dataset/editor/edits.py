"""The bulk edits of captions."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Annotated, Literal, Protocol

from pydantic import Field, PrivateAttr

from dataset import tokens
from dataset.editor import words
from dataset.editor.edit import (
    EDITS,
    Caption,
    Edit,
    Tags,
    begins,
    beside,
    joined,
    listed,
    matcher,
    mended,
    once_each,
    placed,
    registered,
    replaced,
    some,
)
from dataset.editor.patterns import PATIENCE, Pattern, PatternError, check_replacement
from dataset.editor.words import key
from settings.errors import SettingsError
from settings.section import Ui

__all__ = ["EDITS", "Caption", "Edit", "preview"]

# Faces drawn with underscores, which are part of them
FACES = frozenset("0_0 (o)_(o) +_+ +_- ._. <o>_<o> <|>_<|> =_= >_< 3_3 6_9 >_o @_@ ^_^ o_o u_u x_x |_| ||_||".split())
OTHER_SEPARATORS = re.compile(r"\s*[,，、;；\n]\s*")

Order = Literal["alphabet", "most frequent", "least frequent", "shortest"]


class Entry(Protocol):
    """What an edit needs to know of a picture."""

    text: str
    tags: Tags
    prose: bool


def preview(edit: Edit, entries: Sequence[Entry], numbers: Iterable[int],
            separator: str = words.SEPARATOR) -> list[tuple[int, str, str]]:
    """(number, text before, text after) of each entry that the edit changes, in the order of `numbers`.

    SettingsError naming the field if a pattern turns out to take too long."""
    captions = [(number, _caption(entries[number], separator)) for number in numbers]
    edit.look(caption for _, caption in captions)
    changed = ((number, caption.text, edit.apply(caption)) for number, caption in captions)
    return [(number, before, after) for number, before, after in changed if before != after]


def _caption(entry: Entry, separator: str) -> Caption:
    return Caption(entry.text, tuple(entry.tags), entry.prose, separator)


@registered
class Add(Edit):
    """Put tags into captions that don't have them yet. A sentence gets them before or behind it."""

    name, label, group = "add", "Add tags", "add"

    tags: Annotated[str, Ui("Tags", level="quick", kind="text")] = ""
    """What to add, separated by commas. A tag that a caption has already is not added again."""

    where: Annotated[Literal["last", "first", "at"], Ui("Where", level="quick")] = "last"
    """Behind the other tags, before them, or at a place among them."""

    position: Annotated[int, Field(ge=1, le=999), Ui("Place", when="where=at")] = 2
    """1 is before the first tag; a trigger word in front stays there with 2. Behind the last where there are fewer."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if not listed(self.tags):
            yield "tags", "say which tags to add"

    def apply(self, caption: Caption) -> str:
        if caption.prose:
            fresh = [tag for tag in listed(self.tags) if not words.has_phrase(caption.text, tag)]
            return beside(caption, fresh, before=self.where == "first" or (self.where == "at" and self.position == 1))
        known = words.keys(caption.tags)
        fresh = [tag for tag in listed(self.tags) if key(tag) not in known]
        at = {"first": 0, "last": len(caption.tags), "at": self.position - 1}[self.where]
        return caption.with_tags([*caption.tags[:at], *fresh, *caption.tags[at:]])

    def told(self) -> str:
        return f"Add {some(listed(self.tags))}"


@registered
class Remove(Edit):
    """Take tags out."""

    name, label, group = "remove", "Remove tags", "take"

    tags: Annotated[str, Ui("Tags", level="quick", kind="text")] = ""
    """What to take out, separated by commas. `*` stands for anything: `*hair` is every kind of hair."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if not listed(self.tags):
            yield "tags", "say which tags to take out"

    def apply(self, caption: Caption) -> str:
        if caption.prose:
            return caption.text
        meant = matcher(self.tags)
        return caption.with_tags(tag for tag in caption.tags if not meant(key(tag)))

    def told(self) -> str:
        return f"Remove {some(listed(self.tags))}"


@registered
class Rename(Edit):
    """Give a tag another name, in its place. Where the new one is there already, the old one goes."""

    name, label, group = "rename", "Rename a tag", "replace"

    old: Annotated[str, Ui("Tag", level="quick")] = ""
    """The tag as it is; case and underscores don't matter."""

    new: Annotated[str, Ui("New name", level="quick")] = ""
    """What it shall be called. Several, separated by commas, take its place together."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if not key(self.old):
            yield "old", "say which tag to rename"
        if not listed(self.new):
            yield "new", "say what it shall be called; to take it out, use Remove tags"

    def apply(self, caption: Caption) -> str:
        return replaced(caption, {key(self.old)}.__contains__, listed(self.new))

    def told(self) -> str:
        return f"Rename {self.old.strip()} to {self.new.strip()}"


@registered
class Merge(Edit):
    """Make one tag of several that mean the same. It stands where the first of them stood."""

    name, label, group = "merge", "Merge tags", "replace"

    tags: Annotated[str, Ui("Tags", level="quick", kind="text")] = ""
    """The tags that become one, separated by commas. `*` stands for anything."""

    into: Annotated[str, Ui("Into", level="quick")] = ""
    """The one tag that they become."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if not listed(self.tags):
            yield "tags", "say which tags to merge"
        if len(listed(self.into)) != 1:
            yield "into", "say which one tag they become"

    def apply(self, caption: Caption) -> str:
        return replaced(caption, matcher(self.tags), listed(self.into))

    def told(self) -> str:
        return f"Merge {some(listed(self.tags))} into {self.into.strip()}"


@registered
class Replace(Edit):
    """Find text and put other text in its place, in tags and sentences alike."""

    name, label, group = "replace", "Find and replace", "replace"

    find: Annotated[str, Ui("Find", level="quick")] = ""
    """The text to look for, spaces included."""

    by: Annotated[str, Ui("Replace by", level="quick")] = ""
    """What takes its place. Empty: it is taken out."""

    within: Annotated[Literal["anywhere", "whole words", "whole tags"], Ui("Find it", level="quick")] = "anywhere"
    """Anywhere; as whole words only, so that `cat` isn't found in `cathedral`; or as a whole tag."""

    match_case: Annotated[bool, Ui("Match case")] = False
    """Tell `Red` from `red`."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if not self.find.strip() and (self.within == "whole tags" or not self.find):
            yield "find", "say which text to look for"

    def apply(self, caption: Caption) -> str:
        if self.within == "whole tags":
            wanted = self.find.strip()
            same = (lambda tag: tag == wanted) if self.match_case else (lambda tag: tag.casefold() == wanted.casefold())
            tags = [self.by.strip() if same(tag) else tag for tag in caption.tags]
            return caption.with_tags(filter(None, tags)) if tags != [*caption.tags] else caption.text
        edge = r"(?<!\w){}(?!\w)" if self.within == "whole words" else "{}"
        flags = re.NOFLAG if self.match_case else re.IGNORECASE
        after = re.sub(edge.format(re.escape(self.find)), lambda _: self.by, caption.text, flags=flags)
        return mended(caption, after)

    def told(self) -> str:
        return f'Replace "{self.find}" by "{self.by}"'


@registered
class ReplacePattern(Edit):
    """Find by a regular expression and replace, with groups."""

    name, label, group = "pattern", "Replace by pattern", "replace"

    pattern: Annotated[str, Ui("Pattern", level="quick")] = ""
    """A regular expression. What round brackets find can be used in the replacement."""

    by: Annotated[str, Ui("Replace by", level="quick")] = ""
    r"""What takes its place: `\1` is what the first round brackets found, `\g<name>` what `(?P<name>…)` did."""

    each: Annotated[Literal["caption", "tag"], Ui("Look at", level="quick")] = "caption"
    """The caption as a whole, or each tag alone: then `^` and `$` are the ends of a tag."""

    match_case: Annotated[bool, Ui("Match case")] = False
    """Tell `Red` from `red`."""

    _ready: Pattern | None = PrivateAttr(None)

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if not self.pattern:
            yield "pattern", "write a regular expression"
            return
        try:
            Pattern(self.pattern)
        except PatternError as error:
            yield "pattern", f"isn't a regular expression: {placed(error)}"
            return
        try:
            check_replacement(self.pattern, self.by)
        except PatternError as error:
            yield "by", f"doesn't fit the pattern: {error}; write \\\\ for a backslash"

    def look(self, captions: Iterable[Caption]) -> None:
        self._ready = Pattern(self.pattern, not self.match_case, PATIENCE)

    def apply(self, caption: Caption) -> str:
        pattern = self._ready or Pattern(self.pattern, not self.match_case, PATIENCE)
        try:
            if self.each == "caption":
                return mended(caption, pattern.replaced(self.by, caption.text))
            tags = [pattern.replaced(self.by, tag).strip() for tag in caption.tags]
        except PatternError as error:
            raise SettingsError({"pattern": str(error)}) from None
        return caption.with_tags(filter(None, tags))

    def told(self) -> str:
        return f'Replace /{self.pattern}/ by "{self.by}"'


@registered
class Sort(Edit):
    """Put the tags in order. Sentences stay as they are."""

    name, label, group = "sort", "Sort tags", "order"

    by: Annotated[Order, Ui("Order", level="quick")] = "alphabet"
    """By the alphabet, by how many of the captions to be sorted have a tag, or by length; the alphabet decides ties."""

    keep: Annotated[int, Field(ge=0, le=255), Ui("Keep first tags", level="quick")] = 0
    """This many stay in front as they are: 1 for a trigger word."""

    first: Annotated[str, Ui("In front", kind="text")] = ""
    """Tags that come before the sorted ones, in this order, where a caption has them. `*` stands for anything."""

    _counts: Counter[str] = PrivateAttr(default_factory=Counter)
    _places: dict[str, tuple[int, int, str, str]] = PrivateAttr(default_factory=dict)

    def look(self, captions: Iterable[Caption]) -> None:
        self._counts, self._places = Counter(), {}
        if self.by.endswith("frequent"):
            for caption in captions:
                self._counts.update(words.keys(caption.tags))

    def apply(self, caption: Caption) -> str:
        if caption.prose:
            return caption.text
        places = self._places
        for tag in caption.tags:
            if tag not in places:
                places[tag] = self._place(tag)
        kept, rest = caption.tags[: self.keep], caption.tags[self.keep :]
        return caption.with_tags([*kept, *sorted(rest, key=places.__getitem__)])

    def _place(self, tag: str) -> tuple[int, int, str, str]:
        same, front = key(tag), listed(self.first)
        rank = next((index for index, one in enumerate(front) if matcher(one)(same)), len(front))
        sign = {"most frequent": -1, "least frequent": 1}.get(self.by, 0)
        size = len(same) if self.by == "shortest" else sign * self._counts[same]
        return rank, size, same, tag


@registered
class Deduplicate(Edit):
    """Take out tags that a caption has twice, also where one is written `a_b` and the other `A b`: the first stays."""

    name, label, group = "deduplicate", "Remove duplicate tags", "tidy"

    parts: Annotated[bool, Ui("Also what a longer tag says")] = False
    """Take out `hair` beside `long hair`: a tag whose words end a longer tag of the same caption."""

    def apply(self, caption: Caption) -> str:
        if caption.prose:
            return caption.text
        tags = once_each(caption.tags)
        if self.parts:
            ends = {end for tag in tags for end in _ends(key(tag))}
            tags = [tag for tag in tags if key(tag) not in ends]
        return caption.with_tags(tags)


@lru_cache(maxsize=1 << 14)
def _ends(same: str) -> frozenset[str]:
    """What the later words of a tag say alone: of `very long hair`, `long hair` and `hair`."""
    parts = same.split(" ")
    return frozenset(" ".join(parts[start:]) for start in range(1, len(parts)))


@registered
class Prefix(Edit):
    """Put text before every caption that doesn't begin with it; an empty caption becomes the text."""

    name, label, group = "prefix", "Put text in front", "add"

    text: Annotated[str, Ui("Text", level="quick")] = ""
    """What every caption begins with, as in `a photo of sks dog`. A separator is put between where there is none."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if not self.text.strip():
            yield "text", "say what to put in front"

    def apply(self, caption: Caption) -> str:
        if begins(caption.text, self.text):
            return caption.text
        return joined(caption, self.text.strip(), caption.text)

    def told(self) -> str:
        return f'Put "{self.text.strip()}" in front'


@registered
class Suffix(Edit):
    """Put text behind every caption that doesn't end with it; an empty caption becomes the text."""

    name, label, group = "suffix", "Put text behind", "add"

    text: Annotated[str, Ui("Text", level="quick")] = ""
    """What every caption ends with. A separator is put between where there is none."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if not self.text.strip():
            yield "text", "say what to put behind"

    def apply(self, caption: Caption) -> str:
        if begins(caption.text[::-1], self.text[::-1]):
            return caption.text
        return joined(caption, caption.text, self.text.strip())

    def told(self) -> str:
        return f'Put "{self.text.strip()}" behind'


@registered
class Trigger(Edit):
    """Make sure that every caption has the trigger word, in front; doing it twice changes nothing more."""

    name, label, group = "trigger", "Trigger word", "add"

    word: Annotated[str, Ui("Trigger word", level="quick")] = ""
    """The word that shall call up your subject, as in `sks dog`. One tag, without commas."""

    move: Annotated[bool, Ui("Move it to the front", level="quick")] = True
    """Where a caption has it as a tag elsewhere, move it to the front. Off: it stays where it is."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if len(listed(self.word)) != 1:
            yield "word", "say one trigger word, without commas"

    def apply(self, caption: Caption) -> str:
        word = listed(self.word)[0]
        if caption.prose:
            return beside(caption, [] if words.has_phrase(caption.text, word) else [word], before=True)
        same = key(word)
        found = [tag for tag in caption.tags if key(tag) == same]
        if found and self.move:
            return caption.with_tags([found[0], *(tag for tag in caption.tags if key(tag) != same)])
        if found or words.has_phrase(caption.text, word):
            return caption.text
        return caption.with_tags([word, *caption.tags])

    def told(self) -> str:
        return f"Trigger word {self.word.strip()}"


@registered
class Truncate(Edit):
    """Cut captions to what a text encoder reads: whole tags, or words of a sentence, are taken from the end."""

    name, label, group = "truncate", "Cut at a number of tokens", "take"

    tokens: Annotated[int, Field(ge=1, le=2048), Ui("Tokens", level="quick")] = tokens.LIMIT
    """How many may stay. SD 1.x, 2.x and SDXL read 75, or 150 and 225 where the trainer is set to it; T5 256 or 512."""

    encoder: Annotated[Literal["clip", "t5", "gemma", "qwen"], Ui("Counted by", level="quick")] = "clip"
    """Whose tokens: CLIP's, T5's (estimated unless its tokenizer is at hand), or a language model's (estimated)."""

    def apply(self, caption: Caption) -> str:
        count = tokens.counter(self.encoder)
        if count(caption.text) <= self.tokens:
            return caption.text
        pieces = caption.text.split() if caption.prose else caption.tags
        whole = " ".join if caption.prose else (lambda tags: words.join(tags, caption.separator))
        most = bisect_right(range(1, len(pieces) + 1), self.tokens, key=lambda many: count(whole(pieces[:many])))
        while most and count(whole(pieces[:most])) > self.tokens:  # signs may join to fewer tokens
            most -= 1
        return whole(pieces[:most]).rstrip(", ") if caption.prose else whole(pieces[:most])

    def told(self) -> str:
        return f"Cut at {self.tokens} tokens"


@registered
class Underscores(Edit):
    """Write the words of tags apart, or with underscores. Faces such as `^_^` stay as they are, and so do sentences."""

    name, label, group = "underscores", "Underscores and spaces", "tidy"

    to: Annotated[Literal["spaces", "underscores"], Ui("Write", level="quick")] = "spaces"
    """`long hair`, as text encoders know words, or `long_hair`, as boards of drawings have it."""

    def apply(self, caption: Caption) -> str:
        if caption.prose:
            return caption.text
        old, new = ("_", " ") if self.to == "spaces" else (" ", "_")
        return caption.with_tags(tag if tag in FACES else tag.replace(old, new).strip() or tag for tag in caption.tags)

    def told(self) -> str:
        return f"Underscores to {self.to}" if self.to == "spaces" else "Spaces to underscores"


@registered
class LowerCase(Edit):
    """Write everything in lower case."""

    name, label, group = "lower", "Lower case", "tidy"

    sentences: Annotated[bool, Ui("Sentences too", level="quick")] = False
    """Off: only tags, and a sentence keeps its capitals."""

    def apply(self, caption: Caption) -> str:
        return caption.text if caption.prose and not self.sentences else caption.text.lower()


@registered
class Strip(Edit):
    """Tidy up: doubled spaces, empty tags, separators at the ends."""

    name, label, group = "strip", "Tidy spaces and separators", "tidy"

    separators: Annotated[bool, Ui("Other separators too", level="quick")] = False
    """Make the usual separator of `，`, `、`, `;` and `；` as well."""

    def apply(self, caption: Caption) -> str:
        text = " ".join(caption.text.split())
        if caption.prose:
            return text
        mark = caption.separator.strip() or " "
        if self.separators:
            text = OTHER_SEPARATORS.sub(mark, text)
        return words.join(words.split(text, caption.separator, prose=False), caption.separator)


@registered
class Write(Edit):
    """Give every caption the same text. What was there can be brought back by undoing it."""

    name, label, group = "write", "Write anew", "replace"

    text: Annotated[str, Ui("Caption", level="quick", kind="text")] = ""
    """The whole caption. Empty: the captions are emptied."""

    empty_only: Annotated[bool, Ui("Only where there is none", level="quick")] = True
    """Leave captions alone that have any text."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if self.empty_only and not self.text.strip():
            yield "text", "say what to write"

    def apply(self, caption: Caption) -> str:
        return caption.text if self.empty_only and caption.text.strip() else " ".join(self.text.split())
