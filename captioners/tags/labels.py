"""What a tagger's outputs mean: label i belongs to output i, whatever the order of categories in the list.

`selected_tags.csv` comes with the WD taggers (tag_id,name,category,count; the category a number of Danbooru's), and
`tag_mapping.json` with cl_tagger and its kin ({"0": {"tag": ..., "category": "General"}, ...}).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from captioners.base import CaptionerError

FILES = ("selected_tags.csv", "tag_mapping.json")
CATEGORIES = {"0": "general", "1": "artist", "3": "copyright", "4": "character", "5": "meta", "9": "rating"}


@dataclass(frozen=True)
class Labels:
    names: tuple[str, ...]
    categories: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def places(self) -> dict[str, np.ndarray]:
        """The outputs of each category."""
        kinds = np.array(self.categories)
        return {kind: np.flatnonzero(kinds == kind) for kind in dict.fromkeys(self.categories)}

    @cached_property
    def general(self) -> frozenset[str]:
        """Names that are general tags."""
        return frozenset(self.names[place] for place in self.places.get("general", ()))


def read(path: Path) -> Labels:
    """Read a list of labels; raises CaptionerError. The same object for the same unchanged file."""
    try:
        facts = path.stat()
        return _read(path, facts.st_mtime_ns, facts.st_size)
    except (OSError, UnicodeDecodeError, csv.Error, json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, CaptionerError):
            raise
        raise CaptionerError(f"{path} is no list of tags that can be read ({error}): download it again") from error


@lru_cache(maxsize=4)
def _read(path: Path, changed: int, size: int) -> Labels:
    with path.open(encoding="utf-8-sig", newline="") as file:
        found = list(from_csv(file) if path.suffix.lower() == ".csv" else from_json(json.load(file)))
    if not found:
        raise CaptionerError(f"{path} has no tags in it: download the model again")
    names, categories = zip(*found)
    return Labels(names, categories)


def from_csv(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for row in csv.DictReader(lines):
        yield row["name"], CATEGORIES.get(row["category"].strip(), "other")


def from_json(content: Any) -> Iterable[tuple[str, str]]:
    """A list of entries, entries by number, or two tables (number -> tag, tag -> category)."""
    if "idx_to_tag" in content:
        kinds = content["tag_to_category"]
        content = {number: {"tag": tag, "category": kinds[tag]} for number, tag in content["idx_to_tag"].items()}
    if isinstance(content, dict):
        if sorted(map(int, content)) != list(range(len(content))):
            raise ValueError("the numbers of the tags have gaps")
        content = [content[number] for number in sorted(content, key=int)]
    for entry in content:
        yield entry["tag"], str(entry["category"]).lower()
