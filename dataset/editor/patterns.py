"""Regular expressions that a person types, with an end: some patterns would take years over one caption.

`regex` understands what Python's own `re` does and can be told when to give up. It is loaded when the first pattern is.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

LIMIT = 2.0  # seconds that all captions together may take


class PatternError(ValueError):
    """What is wrong with a pattern, in plain words; `position` is the character of the pattern, if it is known."""

    def __init__(self, message: str, position: int | None = None):
        self.position = position
        super().__init__(message)


class Pattern:
    """A pattern for many texts. Any of its methods raises PatternError once the texts have taken too long together."""

    def __init__(self, text: str, ignore_case: bool = False):
        self._pattern = _compiled(text, ignore_case)
        self._until = time.monotonic() + LIMIT

    @property
    def groups(self) -> int:
        return self._pattern.groups

    def found(self, text: str) -> bool:
        try:
            return self._pattern.search(text, timeout=self._left()) is not None
        except TimeoutError:
            raise _slow() from None

    def replaced(self, by: str, text: str) -> str:
        """All that the pattern finds replaced; `by` may name groups: \\1, \\g<name>. A group that took no part is
        nothing."""
        try:
            return self._pattern.sub(by, text, timeout=self._left())
        except TimeoutError:
            raise _slow() from None

    def restart(self) -> None:
        """Begin counting the time anew."""
        self._until = time.monotonic() + LIMIT

    def _left(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise _slow()
        return left


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
def _compiled(text: str, ignore_case: bool) -> Any:
    import regex  # 40 ms, and only for those who use patterns

    try:
        return regex.compile(text, regex.IGNORECASE if ignore_case else 0)
    except regex.error as error:
        raise PatternError(str(error).partition(" at position")[0], getattr(error, "pos", None)) from None
    except RecursionError:
        raise PatternError("it is nested too deeply") from None


def _slow() -> PatternError:
    return PatternError(f"this pattern takes more than {LIMIT:g} seconds over the captions; make it simpler: repeats "
                        "inside repeats, as in (a+)+, are what takes so long")
