"""The filter line: `tag:"long hair" -tag:solo tokens>75 (path:night OR stars>=3)`, read, printed and applied.

A line becomes a tree of terms. Each term is answered for all pictures at once, as an array of yes and no, so that the
operators are numpy's and cost nothing.
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dataset.editor import words as spelling
from dataset.editor.patterns import Pattern, PatternError

COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge, "<=": operator.le, "!=": operator.ne, "==": operator.eq,
    ">": operator.gt, "<": operator.lt, "=": operator.eq,
}  # fmt: skip
OPERATORS = ("AND", "OR", "XOR", "NOT")
DEPTH = 100  # brackets within brackets


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

    def duplicates(self) -> Iterable[Sequence[int]]:
        """Groups of entries that are copies of each other; the one to keep first."""


Mask = np.ndarray  # bool, one for each entry


class Node:
    """A part of the tree. Equal nodes mean the same; `str` of one is read as the same again."""

    strength = 4  # how tightly it binds: OR 1, XOR 2, AND 3, terms 4

    def mask(self, facts: Facts) -> Mask:
        raise NotImplementedError

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
        return _mask(not spelling.has_phrase(entry.text, wanted) for entry in facts.entries)

    def __str__(self) -> str:
        return f"missing:{_quoted(self.words)}"


@dataclass(frozen=True)
class Duplicate(Node):
    """Copies of each other: all of them, all but the one to keep (`dup:others`), or those of a picture by its name."""

    name: str = ""

    def mask(self, facts: Facts) -> Mask:
        found = np.zeros(len(facts.entries), bool)
        for group in facts.duplicates():
            if len(group) > 1 and self._meant(facts, group):
                found[list(group[self.name == "others" :])] = True
        return found

    def _meant(self, facts: Facts, group: Sequence[int]) -> bool:
        if self.name in ("", "others"):
            return True
        found = _finder(self.name)
        return any(found(_fold(_path(facts.entries[number]))) for number in group)

    def __str__(self) -> str:
        return f"dup:{_quoted(self.name) if self.name else ''}"


@dataclass(frozen=True)
class Filter:
    """A line that was understood. `str` is the line in its plainest form; equal filters have equal ones."""

    root: Node

    def apply(self, facts: Facts) -> list[int]:
        """The numbers of the entries that it lets through, in their order. FilterError where it can't be answered."""
        return np.flatnonzero(self.root.mask(facts)).tolist()

    def __str__(self) -> str:
        return str(self.root)


@dataclass(frozen=True)
class Word:
    """A piece of a line, for colours and completion. `kind`: operator, bracket, field (with its colon), text, regex,
    flag, compare, number, wrong."""

    start: int
    end: int
    kind: str
    text: str


def parse(line: str) -> Filter:
    """A line as a filter; the empty line lets everything through. FilterError with the place and what was expected."""
    return Filter(_Parser(line).line())


def words(line: str) -> list[Word]:
    """The pieces of a line as far as they can be told, right or wrong; a last piece "wrong" is what can't."""
    parser = _Parser(line)
    try:
        parser.line()
    except FilterError as error:
        end = max((word.end for word in parser.words), default=0)
        start = max(end, min(error.position, len(line)))
        if line[start:].strip():
            parser.words.append(Word(start, len(line), "wrong", line[start:]))
    return sorted(parser.words, key=lambda word: word.start)


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
    found = np.zeros(len(facts.entries), bool)
    if isinstance(value, Regex):
        pattern = Pattern(value.text, value.ignore_case)
        return _mask(any(map(pattern.found, entry.tags)) for entry in facts.entries)
    wanted = spelling.key(value)
    if "*" in wanted or "?" in wanted:
        pattern = spelling.wildcards(wanted)
        for same, numbers in facts.index.items():
            if pattern.match(same):
                found[_numbers(numbers)] = True
    elif wanted in facts.index:
        found[_numbers(facts.index[wanted])] = True
    return found


def _numbers(numbers: Iterable[int]) -> Any:
    return numbers if isinstance(numbers, np.ndarray) else np.fromiter(numbers, int)


def _searched(*texts: Callable[[Entry], str]) -> Callable[[Facts, str | Regex], Mask]:
    """A search in some texts of an entry: found in any of them."""

    def search(facts: Facts, value: str | Regex) -> Mask:
        if isinstance(value, Regex):
            found, fold = Pattern(value.text, value.ignore_case).found, str
        else:
            found, fold = _finder(value), _fold
        masks = [_mask([found(fold(text(entry))) for entry in facts.entries]) for text in texts]
        return np.logical_or.reduce(masks)

    return search


def _finder(value: str) -> Callable[[str], Any]:
    """Looks for a text, with `*` and `?` in it, in folded ones."""
    wanted = _fold(value)
    if "*" in wanted or "?" in wanted:
        return spelling.wildcards(wanted, anywhere=True).match
    return lambda text: wanted in text


def _fold(text: str) -> str:
    return text.casefold().replace("_", " ")


def _name(entry: Entry) -> str:
    return entry.path.name


def _path(entry: Entry) -> str:
    return f"{entry.folder}/{entry.path.name}" if entry.folder else entry.path.name


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


class _Parser:
    """Recursive descent over the characters: OR of XOR of AND of NOT of terms."""

    def __init__(self, line: str):
        self.text, self.at, self.depth = line, 0, 0
        self.words: list[Word] = []

    def line(self) -> Node:
        self._space()
        if self.at == len(self.text):
            return All()
        node = self._either()
        if self.at < len(self.text):
            raise FilterError(self.at, "this bracket closes nothing; take it out, or open one before")
        return node

    def _either(self) -> Node:
        return self._chain("OR", lambda: self._chain("XOR", self._and))

    def _chain(self, how: str, inner: Callable[[], Node]) -> Node:
        node = inner()
        while self._operator(how):
            node = Both(how, node, inner())
        return node

    def _and(self) -> Node:
        node = self._not()
        while self._operator("AND") or self._another():
            node = Both("AND", node, self._not())
        return node

    def _another(self) -> bool:
        """Whether a term follows without an operator, which means AND."""
        self._space()
        return self.at < len(self.text) and self.text[self.at] != ")" and self._word_ahead() not in ("OR", "XOR")

    def _not(self) -> Node:
        negated = False
        while self._operator("NOT") or self._minus():
            negated = not negated
        node = self._term()
        return Not(node) if negated else node

    def _minus(self) -> bool:
        self._space()
        if self.text[self.at : self.at + 1] != "-":
            return False
        self._take(1, "operator")
        return True

    def _operator(self, name: str) -> bool:
        if self._word_ahead() != name:
            return False
        self._take(len(name), "operator")
        return True

    def _word_ahead(self) -> str:
        self._space()
        match = re.compile(r"(and|or|xor|not)(?=[\s()\"/-]|$)", re.IGNORECASE).match(self.text, self.at)
        return match[1].upper() if match else ""

    def _term(self) -> Node:
        self._space()
        if self.at == len(self.text):
            raise FilterError(self.at, "something to look for is missing here")
        char = self.text[self.at]
        if char == "(":
            return self._brackets()
        if char == ")":
            raise FilterError(self.at, "something to look for is missing before this bracket")
        if wrong := self._word_ahead():
            raise FilterError(self.at, f'{wrong} needs something to look for on both sides; write "{wrong.lower()}" in '
                                       "quotes to look for the word")
        if char == "/":
            start = self.at
            return Text("", self._regex(), start)
        if char == '"':
            start = self.at
            return Text("", self._quotes(), start)
        return self._named()

    def _brackets(self) -> Node:
        start = self.at
        self._take(1, "bracket")
        self.depth += 1
        if self.depth > DEPTH:
            raise FilterError(start, "there are too many brackets within brackets")
        node = self._either()
        if self.text[self.at : self.at + 1] != ")":
            raise FilterError(start, "this bracket is never closed; write ) where it ends")
        self._take(1, "bracket")
        self.depth -= 1
        return node

    def _named(self) -> Node:
        """A bare word, or a name with a colon or a comparison behind it."""
        start = self.at
        match = re.compile(r"([A-Za-z]+)\s*(:|>=|<=|!=|==|[<>=]|\()?").match(self.text, start)
        if not match or not match[2]:
            return self._bare()
        name, sign = match[1].lower(), match[2]
        name = ALIASES.get(name, name)
        if sign == "(":
            return self._score(match) if name == "score" else self._bare()
        if sign == ":":
            return self._field(match, name)
        return self._compared(match, name)

    def _bare(self) -> Node:
        start, word = self.at, self._run()
        name = ALIASES.get(word.lower(), word.lower())
        if name in FLAGS:
            self._say(start, "flag")
            return Flag(name)
        if name == "dup":
            self._say(start, "flag")
            return Duplicate()
        self._say(start, "text")
        return Text("", word, start)

    def _field(self, match: re.Match[str], name: str) -> Node:
        start = self.at
        if name in NUMBERS:
            return self._compared(match, name)
        if name not in FIELDS:
            self._unknown(start, match[1], ":", FIELDS | NUMBERS.keys())
        self._take(match.end() - start, "field")
        if name == "dup" and self._over():
            return Duplicate()
        if self._over():
            raise FilterError(self.at, f'say what to look for right behind {match[0]}; put it in quotes if it has '
                                       "spaces or brackets")
        value = self._value(pattern=name not in ("missing", "dup"))
        if name == "missing":
            return Missing("trigger" if value.lower() == "trigger" else value, start)
        if name == "dup":
            return Duplicate(value.lower() if value.lower() == "others" else value)
        return Text(name, value, start)

    def _over(self) -> bool:
        return self.at == len(self.text) or self.text[self.at].isspace() or self.text[self.at] == ")"

    def _value(self, pattern: bool) -> Any:
        if self.text[self.at] == '"':
            return self._quotes()
        if pattern and self.text[self.at] == "/":
            return self._regex()
        start, word = self.at, self._run()
        self._say(start, "text")
        return word

    def _compared(self, match: re.Match[str], name: str) -> Node:
        if name not in NUMBERS:
            self._unknown(self.at, match[1], match[2], set(NUMBERS))
        self._take(match.end(1) - self.at, "field")
        return Number(name, *self._comparison(name))

    def _score(self, match: re.Match[str]) -> Node:
        start = self.at
        self._take(match.end() - start, "field")
        self._space()
        inside = self.at
        if self.text[self.at : self.at + 1] == '"':
            tag = self._quotes()
            self._space()
        else:
            depth = 0
            while self.at < len(self.text) and (self.text[self.at] != ")" or depth):
                depth += {"(": 1, ")": -1}.get(self.text[self.at], 0)
                self.at += 1
            tag = self.text[inside : self.at].strip()
            self._say(inside, "text")
        if self.text[self.at : self.at + 1] != ")":
            raise FilterError(start, "this bracket is never closed; write it as score(tag)<0.5")
        self._take(1, "field")
        if not tag:
            raise FilterError(inside, "say which tag's score is meant, as in score(smile)<0.5")
        return Score(tag, *self._comparison("score(…)"))

    def _comparison(self, name: str) -> tuple[str, float]:
        self._space()
        match = re.compile(r":?\s*(>=|<=|!=|==|[<>=])|:").match(self.text, self.at)
        if not match:
            raise FilterError(self.at, f"a comparison was expected here, as in {name}>{_example(name)}")
        self._take(match.end() - self.at, "compare")
        self._space()
        number = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(%|[:/](\d+(?:\.\d*)?|\.\d+))?").match(self.text, self.at)
        end = number.end() if number else self.at
        if not number or not re.compile(r"[\s()]|$").match(self.text, end):
            raise FilterError(self.at, f"a number was expected here, as in {name}{match[1] or '='}{_example(name)}")
        value = float(number[1])
        if number[2] == "%":
            value /= 100
        elif number[2]:
            if name != "ar" or not float(number[3]):
                raise FilterError(self.at, "only ar takes two numbers, as in ar>3:2" if name != "ar"
                                  else "the second number must not be 0")
            value /= float(number[3])
        self._take(end - self.at, "number")
        return ("=" if match[1] in (None, "==") else match[1]), value

    def _unknown(self, position: int, name: str, sign: str, known: Iterable[str]) -> None:
        elsewhere = FIELDS | NUMBERS.keys() | FLAGS.keys() | {"score"}
        near = difflib.get_close_matches(name.lower(), sorted(known), 1, 0.6) \
            or difflib.get_close_matches(name.lower(), sorted(elsewhere), 1, 0.6)
        hint = f"; did you mean {_shown(near[0])}?" if near else ""
        raise FilterError(position, f"{name}{sign} isn't known here{hint or ','} "
                                    f'{"To" if hint else "to"} look for it as a text, put it in quotes')

    def _regex(self) -> Regex:
        start, parts = self.at, []
        self.at += 1
        while self.at < len(self.text) and self.text[self.at] != "/":
            step = 2 if self.text[self.at] == "\\" else 1
            piece = self.text[self.at : self.at + step]
            parts.append("/" if piece == "\\/" else piece)
            self.at += step
        if self.at >= len(self.text):
            self.at = start
            raise FilterError(start, 'this pattern is never closed; write / where it ends, or put a path in quotes')
        self.at += 1
        flags = re.compile(r"\w*").match(self.text, self.at)[0]
        if flags.lower() not in ("", "i"):
            raise FilterError(self.at, f"{flags} isn't known behind a pattern; only i is, for any case")
        self.at += len(flags)
        pattern = Regex("".join(parts), bool(flags))
        if not pattern.text:
            raise FilterError(start, "this pattern is empty; write it between the slashes")
        try:
            Pattern(pattern.text)
        except PatternError as error:
            inside = start + 1 + (error.position or 0)
            raise FilterError(min(inside, self.at - 1), f"this isn't a regular expression: {error}") from None
        self._say(start, "regex")
        return pattern

    def _quotes(self) -> str:
        start, parts = self.at, []
        self.at += 1
        while self.at < len(self.text) and self.text[self.at] != '"':
            step = 2 if self.text[self.at : self.at + 2] in ('\\"', "\\\\") else 1
            parts.append(self.text[self.at + step - 1])
            self.at += step
        if self.at >= len(self.text):
            self.at = start
            raise FilterError(start, 'this quotation is never closed; write " where it ends')
        self.at += 1
        if not "".join(parts).strip():
            raise FilterError(start, "there is nothing between the quotes")
        self._say(start, "text")
        return "".join(parts)

    def _run(self) -> str:
        """Characters up to the next space, or to a bracket that was opened before."""
        start, depth = self.at, 0
        while self.at < len(self.text) and not self.text[self.at].isspace():
            char = self.text[self.at]
            if char == ")" and not depth:
                break
            depth += {"(": 1, ")": -1}.get(char, 0)
            self.at += 1
        return self.text[start : self.at]

    def _take(self, length: int, kind: str) -> None:
        self.at += length
        self._say(self.at - length, kind)

    def _say(self, start: int, kind: str) -> None:
        self.words.append(Word(start, self.at, kind, self.text[start : self.at]))

    def _space(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1


def _example(name: str) -> str:
    return {"ar": "1.5", "mp": "1", "tokens": "75", "w": "512", "h": "512", "stars": "3"}.get(
        name, "0.5" if name.startswith("score") else "10")


def _shown(name: str) -> str:
    return f"{name}:" if name in FIELDS else f"{name}>{_example(name)}" if name in NUMBERS else name


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
