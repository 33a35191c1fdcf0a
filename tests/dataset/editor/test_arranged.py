"""Pictures in the order of any number, equal ones as they lie in their folders."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dataset.editor.order import CHOICES, arranged
from tests.dataset.editor.test_filter import Picture


@dataclass
class Known:
    entries: list[Picture]
    index: dict = field(default_factory=dict)
    trigger: str = ""

    def tokens(self, number: int) -> int:
        return len(self.entries[number].text.split())

    def duplicates(self, kind: str) -> list[list[int]]:
        return [[3, 1]] if kind == "" else []


SET = Known([
    Picture(Path("a.png"), "a b, c d", 100, 200, stars=1),
    Picture(Path("b.png"), "a", 300, 100, stars=5),
    Picture(Path("c.png"), "", 100, 100),
    Picture(Path("d.png"), "a, b, c, d", 200, 100, stars=1),
])  # fmt: skip


WANTED = {
    "": [0, 1, 2, 3],
    "tokens": [2, 1, 0, 3],
    "-tokens": [0, 3, 1, 2],
    "tags": [2, 1, 0, 3],
    "-tags": [3, 0, 1, 2],
    "-stars": [1, 0, 3, 2],
    "mp": [2, 0, 3, 1],
    "-mp": [1, 0, 3, 2],
    "-ar": [1, 3, 2, 0],
    "ar": [0, 2, 3, 1],
    "dup": [3, 1, 0, 2],
}


@pytest.mark.parametrize("by", CHOICES)
def test_each_order(by):
    assert arranged([0, 1, 2, 3], SET, by) == WANTED[by]
    assert arranged([1, 3], SET, by) == [number for number in WANTED[by] if number in (1, 3)]
