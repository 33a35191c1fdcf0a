"""What a filter can ask: each kind of term, as an answer of yes or no for every picture at once, and as text.

An answer is an array, so that the operators are numpy's and cost nothing. Texts are searched all in one go (`lines`).
"""

from __future__ import annotations

import operator
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, compress
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dataset.editor import words as spelling
from dataset.editor.patterns import Pattern, PatternError
from dataset.editor.words import fold

COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge, "<=": operator.le, "!=": operator.ne, "==": operator.eq,
    ">": operator.gt, "<": operator.lt, "=": operator.eq,
}  # fmt: skip
OPERATORS = ("AND", "OR", "XOR", "NOT")
COPIES = ("same", "near", "mirrored")


class FilterError(ValueError):
    """What is wrong with a line, in plain words, and at which character (counted from 0)."""

    def __init__(self, position: int, message: str):
        self.position, self.message = position, message
        super().__init__(message)


class Entry(Protocol):
    path: Path
    width: int
    height: int
    text: str
    tags: tuple[str, ...]
    prose: bool
    folder: str
    stars: int
    excluded: bool
    note: str
    edited: bool
    regularisation: bool
    repeats: int


class Facts(Protocol):
    """What a filter may ask. Only what a line needs is asked for."""

    entries: Sequence[Entry]
    index: Mapping[str, Iterable[int]]  # `words.key` of a tag -> the numbers of the entries that have it
    trigger: str  # "" where none is known

    def tokens(self, number: int) -> int: ...
    def scores(self, tag: str) -> Mapping[int, float]:
        """0..1 of the entries that a tagger has looked at."""

    def duplicates(self, kind: str) -> Iterable[Sequence[int]]:
        """Groups of entries that are copies of each other, as far as is known; the one to keep first. `kind`: one of
        COPIES, "" for any."""


Mask = np.ndarray  # bool, one for each entry


class Node(ABC):
    """A part of the tree. Equal nodes mean the same; `str` of one is read as the same again."""

    strength = 4  # how tightly it binds: OR 1, XOR 2, AND 3, terms 4

    @abstractmethod
    def mask(self, facts: Facts) -> Mask:
        """Which entries it lets through."""

    def inside(self, strength: int) -> str:
        return str(self) if self.strength >= strength else f"({self})"


@dataclass(frozen=True)
class All(Node):
    """The empty line: every picture."""

    def mask(self, facts: Facts) -> Mask:
        return np.ones(len(facts.entries), bool)

    def __str__(self) -> str:
        return ""


@dataclass(frozen=True)
class Both(Node):
    """AND, OR and XOR of two."""

    how: str
    left: Node
    right: Node

    @property
    def strength(self) -> int:
        return {"OR": 1, "XOR": 2, "AND": 3}[self.how]

    def mask(self, facts: Facts) -> Mask:
        combine = {"OR": np.logical_or, "XOR": np.logical_xor, "AND": np.logical_and}[self.how]
        return combine(self.left.mask(facts), self.right.mask(facts))

    def __str__(self) -> str:
        between = " " if self.how == "AND" else f" {self.how} "
        return f"{self.left.inside(self.strength)}{between}{self.right.inside(self.strength + 1)}"


@dataclass(frozen=True)
class Not(Node):
    inner: Node

    def mask(self, facts: Facts) -> Mask:
        return ~self.inner.mask(facts)

    def __str__(self) -> str:
        return f"-{self.inner.inside(4)}"


@dataclass(frozen=True)
class Regex:
    text: str
    ignore_case: bool

    def __str__(self) -> str:
        return f"/{_escaped(self.text)}/{'i' * self.ignore_case}"


@dataclass(frozen=True)
class Text(Node):
    """A text that must be found somewhere: `field` is "" for a bare word, or tag, caption, path, name, folder, note."""

    field: str
    value: str | Regex
    position: int = field(default=0, compare=False)

    def mask(self, facts: Facts) -> Mask:
        try:
            return TEXTS[self.field](facts, self.value)
        except PatternError as error:
            raise FilterError(self.position, str(error)) from None

    def __str__(self) -> str:
        value = str(self.value) if isinstance(self.value, Regex) else _quoted(self.value, bare=not self.field)
        return f"{self.field}:{value}" if self.field else value


@dataclass(frozen=True)
class Flag(Node):
    """A word that a picture answers with yes or no: untagged, edited, …"""

    name: str

    def mask(self, facts: Facts) -> Mask:
        return FLAGS[self.name](facts)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Number(Node):
    """A comparison with a number: tokens>75."""

    field: str
    compare: str
    value: float

    def mask(self, facts: Facts) -> Mask:
        values = np.fromiter(NUMBERS[self.field](facts), float, len(facts.entries))
        return COMPARE[self.compare](values, self.value)

    def __str__(self) -> str:
        return f"{self.field}{self.compare}{_number(self.value)}"


@dataclass(frozen=True)
class Score(Node):
    """A comparison with how sure the tagger was. A picture that it hasn't looked at is neither above nor below."""

    tag: str
    compare: str
    value: float

    def mask(self, facts: Facts) -> Mask:
        found, compare = np.zeros(len(facts.entries), bool), COMPARE[self.compare]
        scores = facts.scores(self.tag)
        numbers = np.fromiter(scores.keys(), int, len(scores))
        values = np.fromiter(scores.values(), float, len(scores))
        found[numbers] = compare(values, self.value)
        return found

    def __str__(self) -> str:
        return f"score({_quoted(self.tag)}){self.compare}{_number(self.value)}"


@dataclass(frozen=True)
class Missing(Node):
    """Captions without some words; `missing:trigger` asks for the trigger word, whichever that is."""

    words: str
    position: int = field(default=0, compare=False)

    def mask(self, facts: Facts) -> Mask:
        wanted = facts.trigger if self.words == "trigger" else self.words
        if not wanted.strip():
            raise FilterError(self.position, "no trigger word is set; set one, or write missing:\"the words\"")
        return ~_mask(spelling.has_phrase(entry.text, wanted) for entry in facts.entries)

    def __str__(self) -> str:
        return f"missing:{_quoted(self.words)}"


@dataclass(frozen=True)
class Duplicate(Node):
    """Copies of each other: of any kind, of one (`dup:near`), all but the one to keep (`dup:others`), or those of a
    picture by its name. `which`: "", "others" or one of COPIES."""

    which: str = ""
    name: str = ""

    def mask(self, facts: Facts) -> Mask:
        found = np.zeros(len(facts.entries), bool)
        for group in facts.duplicates(self.which if self.which in COPIES else ""):
            if len(group) > 1 and (not self.name or self._named(facts, group)):
                found[list(group[self.which == "others" :])] = True
        return found

    def _named(self, facts: Facts, group: Sequence[int]) -> bool:
        return any(_looked_for(self.name, [_path(facts.entries[number]) for number in group]))

    def __str__(self) -> str:
        if self.name.lower() in ("others", *COPIES):
            return f'dup:"{self.name}"'
        return f"dup:{_quoted(self.name) if self.name else self.which}"


def _entries(test: Callable[[Entry], Any]) -> Callable[[Facts], Mask]:
    return lambda facts: _mask(map(test, facts.entries))


def _mask(answers: Iterable[Any]) -> Mask:
    return np.fromiter(answers, bool)


FLAGS: dict[str, Callable[[Facts], Mask]] = {
    "untagged": _entries(lambda entry: not entry.tags or entry.prose),
    "uncaptioned": _entries(lambda entry: not entry.text.strip()),
    "prose": _entries(lambda entry: entry.prose and bool(entry.tags)),
    "edited": _entries(lambda entry: entry.edited),
    "excluded": _entries(lambda entry: entry.excluded),
    "regularisation": _entries(lambda entry: entry.regularisation),
    "starred": _entries(lambda entry: entry.stars > 0),
    "noted": _entries(lambda entry: bool(entry.note.strip())),
}
NUMBERS: dict[str, Callable[[Facts], Iterable[float]]] = {
    "tokens": lambda facts: map(facts.tokens, range(len(facts.entries))),
    "tags": lambda facts: (0 if entry.prose else len(entry.tags) for entry in facts.entries),
    "chars": lambda facts: (len(entry.text) for entry in facts.entries),
    "w": lambda facts: (entry.width for entry in facts.entries),
    "h": lambda facts: (entry.height for entry in facts.entries),
    "mp": lambda facts: (entry.width * entry.height / 1e6 for entry in facts.entries),
    "ar": lambda facts: (entry.width / max(1, entry.height) for entry in facts.entries),
    "stars": lambda facts: (entry.stars for entry in facts.entries),
    "repeats": lambda facts: (entry.repeats for entry in facts.entries),
}
ALIASES = {
    "width": "w", "height": "h", "aspect": "ar", "megapixels": "mp", "characters": "chars",
    "reg": "regularisation", "file": "name", "text": "caption",
}  # fmt: skip


def _tagged(facts: Facts, value: str | Regex) -> Mask:
    if isinstance(value, Regex):
        tags = list(dict.fromkeys(chain.from_iterable(entry.tags for entry in facts.entries)))
        chosen = Pattern(value.text, value.ignore_case).among(tags)
        strangers = set(compress(tags, chosen)).isdisjoint
        return ~_mask(strangers(entry.tags) for entry in facts.entries)
    found = np.zeros(len(facts.entries), bool)
    wanted = spelling.key(value)
    if _is_wild(wanted):
        meant = spelling.wildcards(wanted).match
        numbers = set().union(*(numbers for same, numbers in facts.index.items() if meant(same)))
        found[_numbers(numbers)] = True
    elif wanted in facts.index:
        found[_numbers(facts.index[wanted])] = True
    return found


def _numbers(numbers: Iterable[int]) -> Any:
    """For an array's brackets."""
    return numbers if isinstance(numbers, np.ndarray) else np.fromiter(numbers, int)


def _searched(*texts: Callable[[Entry], str]) -> Callable[[Facts, str | Regex], Mask]:
    """A search in some texts of an entry: found in any of them. The next is looked into only where it wasn't yet."""

    def search(facts: Facts, value: str | Regex) -> Mask:
        found = np.zeros(len(facts.entries), bool)
        for text in texts:
            left = np.flatnonzero(~found)
            found[left] = _looked_for(value, [text(facts.entries[number]) for number in left.tolist()])
        return found

    return search


def _looked_for(value: str | Regex, texts: list[str]) -> list[bool]:
    if isinstance(value, Regex):
        return Pattern(value.text, value.ignore_case).among(texts)
    wanted, folded = fold(value), map(fold, texts)
    if "?" in wanted:
        return Pattern(spelling.wild_pattern(wanted)).among(list(folded))
    if "*" in wanted:
        parts = wanted.split("*")
        return [spelling.has_parts(text, parts) for text in folded]
    return [wanted in text for text in folded]


def _is_wild(text: str) -> bool:
    return "*" in text or "?" in text


def _name(entry: Entry) -> str:
    return str(entry.path).rpartition(os.sep)[2]  # ten times as quick as `name`


def _path(entry: Entry) -> str:
    return f"{entry.folder}/{_name(entry)}" if entry.folder else _name(entry)


TEXTS: dict[str, Callable[[Facts, str | Regex], Mask]] = {
    "": _searched(lambda entry: entry.text, _name),
    "tag": _tagged,
    "caption": _searched(lambda entry: entry.text),
    "path": _searched(_path),
    "name": _searched(_name),
    "folder": _searched(lambda entry: entry.folder),
    "note": _searched(lambda entry: entry.note),
}
FIELDS = {*TEXTS, "missing", "dup"} - {""}


def _quoted(text: str, bare: bool = False) -> str:
    """A text as it is read again: in quotes where it needs them."""
    plain = re.fullmatch(r"[^\s\"()/\\:<>=-][^\s\"()\\:<>=]*", text)
    taken = text.upper() in OPERATORS or ALIASES.get(text.lower(), text.lower()) in {*FLAGS, "dup"}
    if plain and not (bare and taken):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _escaped(text: str) -> str:
    return re.sub(r"\\.|/", lambda match: "\\/" if match[0] == "/" else match[0], text, flags=re.DOTALL)


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
