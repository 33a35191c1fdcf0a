"""The filter line: `tag:"long hair" -tag:solo tokens>75 (path:night OR stars>=3)`, read into a tree of terms."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataset.editor.patterns import Pattern, PatternError
from dataset.editor.terms import (
    ALIASES,
    COPIES,
    FIELDS,
    FLAGS,
    NUMBERS,
    OPERATORS,
    All,
    Both,
    Duplicate,
    Facts,
    FilterError,
    Flag,
    Missing,
    Node,
    Not,
    Number,
    Regex,
    Score,
    Text,
)

__all__ = ["COPIES", "FIELDS", "FLAGS", "NUMBERS", "OPERATORS", "Facts", "Filter", "FilterError", "Text", "Word",
           "parse", "words"]

DEPTH = 100  # brackets within brackets


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
        if not negated:
            return node
        return node.inner if isinstance(node, Not) else Not(node)

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
        quoted = self.text[self.at] == '"'
        value = self._value(pattern=name not in ("missing", "dup") and not (name == "path" and self._is_path()))
        if name == "missing":
            return Missing("trigger" if value.lower() == "trigger" else value, start)
        if name == "dup":
            known = not quoted and value.lower() in ("others", *COPIES)
            return Duplicate(which=value.lower()) if known else Duplicate(name=value)
        return Text(name, value, start)

    def _over(self) -> bool:
        return self.at == len(self.text) or self.text[self.at].isspace() or self.text[self.at] == ")"

    def _is_path(self) -> bool:
        """Whether what begins with a slash is no pattern: something follows the slash that would close it."""
        return not re.compile(r"/(?:\\.|[^/\\])+/i?(?=[\s()]|$)", re.IGNORECASE).match(self.text, self.at)

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
