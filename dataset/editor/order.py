"""In which order pictures are shown: as they lie in their folders, or by any number that a filter can compare."""

from __future__ import annotations

from collections.abc import Sequence

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
}
"""{what `arranged` takes: what it is called on the page}; - is from the largest down."""


def arranged(numbers: Sequence[int], facts: Facts, by: str) -> list[int]:
    """Pictures that are equal in it stay in the order of their folders. `by`: one of CHOICES."""
    if not by:
        return list(numbers)
    values = list(NUMBERS[by.lstrip("-")](facts))
    return sorted(numbers, key=values.__getitem__, reverse=by.startswith("-"))
