"""New words in a caption, which textual inversion teaches: each counts as many tokens as it has vectors, wherever it
stands whole. The trainer's tokenizer and whatever counts tokens beforehand find them by the same pattern."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

TAKEN = "\ue000"  # a character that no word has


def pattern(word: str) -> str:
    """Where a word stands in a caption, as a regular expression: whole, not as a part of another word, large and small
    letters being one."""
    return rf"(?i:(?<![\w-]){re.escape(word)}(?![\w-]))"


@dataclass(frozen=True)
class NewWords:
    """Words with their numbers of vectors."""

    vectors: tuple[tuple[str, int], ...] = ()

    def parts(self, text: str) -> Iterator[tuple[int, int, int, int]]:
        """(where usual words begin, where they end, where the new word behind them ends, its tokens); the last part
        has no new word behind it, and 0 tokens."""
        found, last = [], 0
        for word, vectors in self.vectors:  # one by one, as the tokenizer: a word that was found parts its neighbours
            found += [(*match.span(), vectors) for match in re.finditer(pattern(word), text)]
            text = re.sub(pattern(word), lambda match: TAKEN * len(match[0]), text)
        for start, end, vectors in sorted(found):
            yield last, start, end, vectors
            last = end
        yield last, len(text), len(text), 0


NONE = NewWords()
