"""In which order pictures are shown: as they lie in their folders, by any number that a filter can compare, or copies
together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from dataset.editor.terms import NUMBERS, Facts

CHOICES = {
    "": "In the order of the folders",
    "tokens": "Fewest tokens first",
    "-tokens": "Most tokens first",
    "tags": "Fewest tags first",
    "-tags": "Most tags first",
    "-stars": "Most stars first",
    "mp": "Smallest first",
    "-mp": "Largest first",
    "-ar": "Widest first",
    "ar": "Tallest first",
    "dup": "Copies side by side",
}
"""{what `arranged` takes: what it is called on the page}; - is from the largest down."""


def arranged(numbers: Sequence[int], facts: Facts, by: str) -> list[int]:
    """Pictures that are equal in it stay in the order of their folders. `by`: one of CHOICES."""
    if not by:
        return list(numbers)
    if by == "dup":
        groups = sorted(facts.duplicates(""), key=min)
        places = {number: place for place, number in enumerate(chain.from_iterable(groups))}
        return sorted(numbers, key=lambda number: places.get(number, len(places)))
    values = list(NUMBERS[by.lstrip("-")](facts))
    return sorted(numbers, key=values.__getitem__, reverse=by.startswith("-"))
