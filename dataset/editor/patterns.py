"""Regular expressions that a person types, with an end: some patterns would take years over one caption.

`regex` understands what Python's own `re` does, can be told when to give up, and lets other threads work meanwhile. It
is loaded when the first pattern is.
"""

from __future__ import annotations

import re
import time
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any

LIMIT = 2.0  # seconds of a processor that all captions together may take; other programs' don't count
PATIENCE = 20.0  # the same where they are changed
KEPT = 100_000  # texts of which it is remembered whether a pattern is found in them
SHORT = 2000  # characters of a text that a harmless pattern is looked for in without looking at the clock
TOGETHER = 200  # such texts between two looks at it
CHOICES = 8  # that a harmless pattern may have

# What a pattern may consist of so that, written a little differently, it can't reach into the line after: then a search
# over many lines at once finds what it would find in each of them.
PLAIN = re.compile(r"\\[bBdwsSDWt1-9]|\\[^\w\x00-\x1f]|\((?:\?(?:[:=!>]|<[=!]|P<))?(?!\?)|"
                   r"\[(?P<set>\^?\]?(?:\\[dw]|\\[^\w\x00-\x1f]|[^]\\[\x00-\x1f])*)\]|\{(?=\d*,?\d*\})|[^\\(\[{\n]")
WITHOUT_BREAKS = {r"\s": r"[^\S\n]", r"\D": r"[^\d\n]", r"\W": r"[^\w\n]"}

ODD = re.compile(r"\\[1-9B]|\{|\(\?<|\[.+(?:\[|--|&&|~~|\|\|)")  # parts of which `re` has another opinion, or none

# Parts of one character or none before a text. The other way round they mean the same, and `re` is quick to find texts.
LED = re.compile(r"\A((?:\\[bdswDSW]|\.)+)((?:[^][\\(){}.^$*+?|]|\\[^\w])+)(?![*+?])")


class PatternError(ValueError):
    """What is wrong with a pattern, in plain words; `position` is the character of the pattern, if it is known."""

    def __init__(self, message: str, position: int | None = None):
        self.position = position
        super().__init__(message)


class Pattern:
    """A pattern for many texts. Any of its methods raises PatternError once the texts have taken too long together."""

    def __init__(self, text: str, ignore_case: bool = False, limit: float | None = None):
        self.text, self.ignore_case = text, ignore_case
        self.limit = LIMIT if limit is None else limit
        self._pattern = _compiled(text, ignore_case)
        self._began: float | None = None

    def found(self, text: str) -> bool:
        try:
            return self._pattern.search(text, timeout=self._left()) is not None
        except TimeoutError:
            raise self._slow() from None

    def among(self, texts: Sequence[str]) -> list[bool]:
        """In which of the texts the pattern is found. What was told of a text not long ago isn't looked for again: that
        is nearly all of them while a person edits under a filter."""
        memory = _memory(self.text, self.ignore_case)
        known = memory[0]
        if fresh := [text for text in texts if text not in known]:
            known = known | dict(zip(fresh, self._lines(fresh)))  # a new one: other threads may be reading the old
            memory[0] = known if len(known) <= KEPT else {}
        return list(map(known.__getitem__, texts))

    def _lines(self, texts: list[str]) -> list[bool]:
        """Harmless patterns are looked for by `re`, which is several times quicker. For most others the texts are
        searched as the lines of one long text, which is quicker, too."""
        if not _is_harmless(self.text):
            return self._as_lines(texts)
        if not self.ignore_case:
            return self._each(self.text, self.text, texts)
        lower = _across_lines(self.text, True)  # the same, several times quicker
        if lower is None or not all(map(str.isascii, texts)):
            return self._as_lines(texts)
        return self._each(lower, self.text.lower(), list(map(str.lower, texts)))

    def _each(self, alike: str, plain: str, texts: list[str]) -> list[bool]:
        search, needed, found = re.compile(LED.sub(r"\2(?<=\1\2)", alike)).search, _needed(plain), []
        for start in range(0, len(texts), TOGETHER):
            self._left()
            some = texts[start : start + TOGETHER]
            found += [needed in text and (search(text) is not None if len(text) <= SHORT else self.found(text))
                      for text in some]
        return found

    def _as_lines(self, texts: list[str]) -> list[bool]:
        alike, whole, ignore_case = _across_lines(self.text), "\n".join(texts), self.ignore_case
        if not texts or alike is None or whole.count("\n") != len(texts) - 1:
            return list(map(self.found, texts))
        if ignore_case and whole.isascii() and (lower := _across_lines(self.text, True)):
            alike, whole, ignore_case = lower, whole.lower(), False
        once_each = _compiled(f"(?:{alike})[^\\n]*\\n?", ignore_case, True)
        starts = [0, *accumulate(len(text) + 1 for text in texts)]
        found, number = [False] * len(texts), 0
        try:
            for match in once_each.finditer(whole, timeout=self._left(), concurrent=True):
                number = bisect_right(starts, match.start(), number)
                found[number - 1] = True
        except TimeoutError:
            raise self._slow() from None
        return found

    def replaced(self, by: str, text: str) -> str:
        """All that the pattern finds replaced; `by` may name groups: \\1, \\g<name>. A group that took no part is
        nothing."""
        try:
            return self._pattern.sub(by, text, timeout=self._left(), concurrent=True)
        except TimeoutError:
            raise self._slow() from None

    def _left(self) -> float:
        if self._began is None:
            self._began = time.thread_time()
        left = self._began + self.limit - time.thread_time()
        if left <= 0:
            raise self._slow()
        return left

    def _slow(self) -> PatternError:
        return PatternError(f"this pattern takes more than {self.limit:g} seconds over the captions; make it simpler: "
                            "repeats inside repeats, as in (a+)+, are what takes so long")


def check_replacement(pattern: str, by: str) -> None:
    """PatternError where a replacement is malformed, or names a group that the pattern doesn't have."""
    import regex

    compiled = _compiled(pattern, False)
    names = {number: name for name, number in compiled.groupindex.items()}
    alike = "".join(f"(?P<{names[n]}>)" if n in names else "()" for n in range(1, compiled.groups + 1))
    try:
        regex.compile(alike).sub(by, "", count=1)  # finds the empty text, so that the replacement is really made
    except (regex.error, IndexError) as error:
        raise PatternError(str(error).partition(" at position")[0]) from None


@lru_cache(maxsize=256)
def _across_lines(text: str, lower: bool = False) -> str | None:
    """A pattern that finds in many lines what `text` finds in each of them, or None. `lower`: one that finds in lower
    case what `text` finds whatever the case, where all is ASCII."""
    if lower and not text.isascii():
        return None
    parts, at = [], 0
    while at < len(text):
        match = PLAIN.match(text, at)
        if match is None:
            return None
        if lower and match["set"] and match["set"] != match["set"].lower():
            return None  # a range such as A-z is another one in lower case
        inverted = match["set"] is not None and match["set"].startswith("^")
        part = rf"[^\n{match['set'][1:]}]" if inverted else WITHOUT_BREAKS.get(match[0], match[0])
        parts.append(part.lower() if lower and len(part) == 1 else part)
        at = match.end()
    return "".join(parts)


@lru_cache(maxsize=256)
def _is_harmless(text: str) -> bool:
    """Whether `re` takes a pattern for the same, and it takes no time to speak of in any short text: one repeat without
    an end, no repeat of a group, few choices."""
    if _across_lines(text) is None:
        return False
    parts = [match[0] for match in PLAIN.finditer(text)]
    if any(map(ODD.match, parts)):
        return False
    repeats = [number for number, part in enumerate(parts) if part in ("*", "+", "?")]
    endless = sum(parts[number] != "?" for number in repeats)
    plain = all(parts[number - 1] not in (")", "^", "$", r"\b") for number in repeats)
    return plain and endless <= 1 and len(repeats) + parts.count("|") <= CHOICES


@lru_cache(maxsize=256)
def _needed(text: str) -> str:
    """The longest text that is in all that a harmless pattern finds; "" where none is known."""
    runs, depth = [""], 0
    parts = [match[0] for match in PLAIN.finditer(text)]
    for part, after in zip(parts, [*parts[1:], ""]):
        depth += part.startswith("(") - (part == ")")
        if part == "|" and not depth:
            return ""
        literal = not depth and re.fullmatch(r"[^][\\(){}.^$*+?|]|\\\W", part) and after not in ("*", "?")
        if literal:
            runs[-1] += part[-1]
        if not literal or after == "+":
            runs.append("")
    return max(runs, key=len)


@lru_cache(maxsize=4)
def _memory(text: str, ignore_case: bool) -> list[dict[str, bool]]:
    """In which texts a pattern was found, as the one item of a list."""
    return [{}]


@lru_cache(maxsize=256)
def _compiled(text: str, ignore_case: bool, lines: bool = False) -> Any:
    import regex  # 40 ms, and only for those who use patterns

    flags = (regex.IGNORECASE if ignore_case else 0) | (regex.MULTILINE if lines else 0)
    try:
        return regex.compile(text, flags)
    except regex.error as error:
        raise PatternError(str(error).partition(" at position")[0], getattr(error, "pos", None)) from None
    except RecursionError:
        raise PatternError("it is nested too deeply") from None
