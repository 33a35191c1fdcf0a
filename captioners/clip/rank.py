"""Which phrases fit a picture, best first: all of them, some that differ, or a chain that fits better and better.

Everything here is arithmetic on vectors of length 1; what encodes texts is given. "Reverse" asks for what fits worst:
one sign is turned, everywhere alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

Encode = Callable[[Sequence[str]], np.ndarray]  # texts -> [n, width]
Fits = Callable[[Sequence[str]], list[bool]]


def rank(image: np.ndarray, table: np.ndarray, count: int, reverse: bool = False, chunk: int = 8192) -> np.ndarray:
    """Indices of the `count` rows of `table` [n, width] that fit `image` [width] best (in reverse: worst), best first;
    of equal ones the earlier first. Never more than `chunk` rows are computed with at once."""
    sign = -1.0 if reverse else 1.0
    kept, scores = np.empty(0, np.int64), np.empty(0, np.float32)
    for start in range(0, len(table), chunk):
        part = table[start : start + chunk].astype(np.float32)
        kept = np.concatenate([kept, np.arange(start, start + len(part))])
        # Unlike a matrix product, this gives a row the same score whatever chunk it is in.
        scores = np.concatenate([scores, sign * (part * image).sum(1)])
        # Each chunk may hold all of the best, so as many as are wanted stay of all that was seen.
        best = np.argsort(-scores, kind="stable")[: max(0, count)]
        kept, scores = kept[best], scores[best]
    return kept


def diverse(scores: np.ndarray, table: np.ndarray, count: int, diversity: float) -> list[int]:
    """`count` rows that fit well and differ, one after the other, each the best by `Variety` given those before it."""
    variety = Variety(scores, table, diversity)
    chosen: list[int] = []
    for _ in range(min(count, len(table))):
        merit = variety.merit()
        merit[chosen] = -np.inf
        chosen.append(int(merit.argmax()))
        variety.add(table[chosen[-1]])
    return chosen


class Variety:
    """Maximal marginal relevance (Carbonell and Goldstein, 1998): fit, less what was said already.

    Models differ in how alike they find any two texts, and in the range of their scores. So both are scaled: the fit to
    0..1 among the candidates, likeness to 0 for the average two phrases and 1 for the same."""

    def __init__(self, scores: np.ndarray, table: np.ndarray, diversity: float):
        span = float(np.ptp(scores)) if len(scores) else 0.0
        self.fit = (scores - scores.min()) / span if span > 0 else np.zeros(len(scores), np.float32)
        self.table, self.diversity = table.astype(np.float32), diversity
        mean = self.table.mean(0) if len(table) else np.zeros(1, np.float32)
        self.usual = min(0.99, float(mean @ mean))
        self.likeness = np.zeros(len(table), np.float32)

    def add(self, said: np.ndarray) -> None:
        """Something with this vector has been said."""
        alike = (self.table @ said.astype(np.float32) - self.usual) / (1 - self.usual)
        self.likeness = np.maximum(self.likeness, alike)

    def merit(self) -> np.ndarray:
        return (1 - self.diversity) * self.fit - self.diversity * self.likeness


@dataclass(frozen=True)
class Phrases:
    """Candidates with their vectors."""

    labels: Sequence[str]
    table: np.ndarray  # [n, width]

    def some(self, indices: Sequence[int] | np.ndarray) -> Phrases:
        return Phrases([self.labels[index] for index in indices], self.table[np.asarray(indices, np.int64)])


@dataclass
class Chain:
    """Appends phrase after phrase to a text, each time the one with which the whole fits the picture best, for as long
    as the whole fits better than before (or is shorter than `least` phrases); the best text on the way is the result.

    Only the `filter` most promising candidates are tried at each step, by `Variety`; 0 tries all, which is the plain
    greedy search. With 32 phrases of 2,048 that encodes 65,000 texts for a picture."""

    encode: Encode
    fits: Fits
    least: int = 8
    most: int = 32
    filter: int = 48
    diversity: float = 0.2
    reverse: bool = False
    score: float = field(default=0.0, init=False)  # how well the last result fits; in reverse with its sign turned

    def grow(self, image: np.ndarray, phrases: Phrases, begin: str = "") -> str:
        """The text, which begins with `begin` where there is one."""
        left = dict.fromkeys(range(len(phrases.labels)))
        variety = Variety(self._score(image, phrases.table.astype(np.float32)), phrases.table, self.diversity)
        now, score = begin, -np.inf
        if begin:
            vector = self.encode([begin])[0]
            score = float(self._score(image, vector))
            variety.add(vector)
        best, self.score = now, score
        for step in range(self.most):
            texts = self._next(now, phrases, left, variety)
            if not texts:
                break
            scores = self._score(image, self.encode(list(texts.values())))
            winner = list(texts)[int(scores.argmax())]
            if scores.max() <= score and step >= self.least:
                break
            now, score = texts[winner], float(scores.max())
            if score > self.score:
                best, self.score = now, score
            del left[winner]
            variety.add(phrases.table[winner])
        return best

    def _next(self, now: str, phrases: Phrases, left: dict[int, None], variety: Variety) -> dict[int, str]:
        """The texts to try next by the number of what they add, as far as the model sees them whole."""
        indices = np.fromiter(left, np.int64, len(left))
        if self.filter and len(indices) > self.filter:
            merit = variety.merit()[indices]
            indices = indices[np.sort(np.argsort(-merit, kind="stable")[: self.filter])]
        texts = {int(index): joined(now, phrases.labels[index]) for index in indices}
        return {index: text for (index, text), fits in zip(texts.items(), self.fits(list(texts.values()))) if fits}

    def _score(self, image: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        return (vectors @ image) * (-1.0 if self.reverse else 1.0)


def joined(text: str, phrase: str) -> str:
    return f"{text}, {phrase}" if text else phrase


def fitting(begin: str, phrases: Sequence[str], fits: Fits) -> str:
    """`begin` and as many of the phrases as the model sees whole, with commas between; a beginning that is too long
    itself loses words at its end."""
    words = begin.split()
    while words and not fits([" ".join(words)])[0]:
        words.pop()
    text = " ".join(words)
    for phrase in phrases:
        longer = joined(text, phrase)
        if not fits([longer])[0]:
            break
        text = longer
    return text
