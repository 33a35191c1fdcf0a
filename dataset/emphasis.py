"""The weights that a caption gives its own words, in the signs of A1111's prompts and kohya's weighted captions.

Round brackets make what is in them 1.1 times heavier, square ones as much lighter, and `(these words:1.5)` say how
heavy. Brackets may stand in brackets, and one that is never closed reaches to the end. A backslash makes a plain sign
of a bracket or of another backslash.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

ROUND, SQUARE = 1.1, 1 / 1.1
WEIGHT = r":\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*\)"
_SIGN = re.compile(rf"\\[()\[\]\\]|\\|{WEIGHT}|[()\[\]:]|[^\\()\[\]:]+")


@dataclass(frozen=True)
class Part:
    """Words of one weight that stand together. `places`: where in the caption each of their characters is."""

    text: str
    weight: float
    places: tuple[int, ...]


def parts(caption: str) -> list[Part]:
    """The caption without the signs, cut where the weight changes; [] for one with no words."""
    joined = []
    for weight, group in groupby(_weighed(caption), key=lambda run: run[2]):
        runs = list(group)
        places = tuple(place for start, text, _ in runs for place in range(start, start + len(text)))
        joined.append(Part("".join(text for _, text, _ in runs), weight, places))
    return joined


def _weighed(caption: str) -> Iterator[tuple[int, str, float]]:
    """(where it starts, text, weight) of every run of words and every plain sign."""
    runs: list[list] = []
    opened: dict[str, list[int]] = {"(": [], "[": []}  # how many runs there were before each bracket that is open

    def close(bracket: str, factor: float) -> None:
        for run in runs[opened[bracket].pop() :]:
            run[2] *= factor

    for sign in _SIGN.finditer(caption):
        said, weight = sign[0], sign[1]
        if said[0] == "\\":
            runs.append([sign.start() + 1, said[1:], 1.0])
        elif said in opened:
            opened[said].append(len(runs))
        elif weight is not None and opened["("]:
            close("(", float(weight))
        elif said == ")" and opened["("]:
            close("(", ROUND)
        elif said == "]" and opened["["]:
            close("[", SQUARE)
        else:
            runs.append([sign.start(), said, 1.0])
    for bracket, factor in (("(", ROUND), ("[", SQUARE)):
        while opened[bracket]:
            close(bracket, factor)
    return ((start, text, weight) for start, text, weight in runs if text)
