"""Repeats by which each concept of a data set is seen about equally often, however many pictures it has."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from dataset.exchange.folder import bare, parts
from dataset.scan import Item, scan
from dataset.settings import Folder

MOST = 9999
NEAR = (0.7, 1.4)  # how much shorter or longer an epoch may become


@dataclass(frozen=True)
class Concept:
    """One folder of pictures that belong together. What is seen is pictures x repeats, in an epoch."""

    path: Path
    words: str
    pictures: int
    repeats: int
    proposed: int
    regularisation: bool = False

    @property
    def before(self) -> int:
        return self.pictures * self.repeats

    @property
    def after(self) -> int:
        return self.pictures * self.proposed


class Unclear(ValueError):
    """The folder's layout doesn't say what the concepts are; the message says what to do."""


def balance(root: Path, caption_extension: str = ".txt") -> list[Concept]:
    """The concepts of a data set with the repeats proposed for each; those of regularisation stay as they are. Raises
    Unclear."""
    concepts = []
    for part, regularisation in parts(root):
        dataset = scan([Folder(path=str(part), regularisation=regularisation)], caption_extension)
        concepts += _concepts(part, dataset.items, regularisation)
    mine = [concept for concept in concepts if not concept.regularisation]
    if len(mine) < 2:
        raise Unclear("There is only one concept in it: nothing to balance. Each concept is a folder of its own, "
                      "such as 10_sks dog.")
    proposed = iter(repeats([concept.pictures for concept in mine], [concept.repeats for concept in mine]))
    return [concept if concept.regularisation else replace(concept, proposed=next(proposed)) for concept in concepts]


def repeats(pictures: list[int], now: list[int]) -> list[int]:
    """Repeats, at least 1 each, for concepts of so many pictures: the most equal ones among those that keep an epoch
    about as long as it is; of equally good ones the nearest to that length."""
    mean = sum(map(_times, pictures, now)) / len(pictures)
    least = max(pictures)  # no concept is seen less often than the largest one, once
    low, high = max(1, int(mean * NEAR[0])), int(mean * NEAR[1]) + 1
    goals = range(max(low, least), max(high, least) + 1)
    goals = goals[:: max(1, len(goals) // 500)]

    def cost(goal: int) -> tuple[float, float]:
        found = _for(goal, pictures)
        seen = list(map(_times, pictures, found))
        return round(max(seen) / min(seen), 2), abs(sum(seen) / len(seen) - mean)

    return _for(min(goals, key=cost), pictures)


def _for(goal: int, pictures: list[int]) -> list[int]:
    return [min(MOST, max(1, round(goal / count))) for count in pictures]


def _times(pictures: int, repeats: int) -> int:
    return pictures * repeats


def _concepts(root: Path, items: Iterable[Item], regularisation: bool) -> list[Concept]:
    """The folders right below the root, each with all that lies in it; the root itself where it has none."""
    counted: Counter[Path] = Counter()
    now: dict[Path, int] = {}
    for item in items:
        inside = item.path.relative_to(root).parts
        path = root / inside[0] if len(inside) > 1 else root
        counted[path] += 1
        if now.setdefault(path, item.repeats) != item.repeats:
            raise Unclear(f"Inside {path.name} are folders with different repeats; open that folder and balance it.")
    if root in counted and len(counted) > 1:
        raise Unclear(f"Some pictures lie beside the folders of {root.name}: move them into a folder of their own.")
    return [Concept(path, bare(path.name), pictures, now[path], now[path], regularisation)
            for path, pictures in sorted(counted.items())]


def rows(concepts: list[Concept]) -> list[dict[str, object]]:
    """The rows of the training form that say the same: {path, repeats, regularisation} each."""
    return [Folder(path=os.fspath(concept.path), repeats=concept.proposed,
                   regularisation=concept.regularisation).model_dump() for concept in concepts]


