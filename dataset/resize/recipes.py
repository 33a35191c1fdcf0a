"""Crops that a person has drawn, kept beside the pictures in `.loratory/crops.json` and used by every later resize.

A crop is four shares of the upright picture (left, top, right, bottom), so it outlives any change of size. Nothing is
cut from the pictures themselves. What was changed is in the file too: it can be undone, also after a restart.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataset.files import FileError, content, swap
from dataset.resize.geometry import Box
from settings.paths import absolute

FILE = Path(".loratory") / "crops.json"
VERSION = 1
MAX_BYTES = 64_000_000
STEPS = 200  # that can be undone
LEAST = 0.001  # share of a side that a crop has at least


def crops_of(root: Path, pictures: Iterable[Path]) -> dict[Path, Box]:
    """The crops of pictures below a root, by the root's own list first, then by those of the folders in it and above
    it: the same data set may have been opened at any of them."""
    pictures = list(pictures)
    own = dict.fromkeys(Path(folder) for folder in dict.fromkeys(os.path.dirname(picture) for picture in pictures))
    folders = dict.fromkeys([root, *(above for folder in own for above in (folder, *folder.parents)), *root.parents])
    lists = [(folder, Recipes(folder).all()) for folder in folders if (folder / FILE).is_file()]
    if not lists:
        return {}
    found: dict[Path, Box] = {}
    for folder, crops in lists:
        found = {folder / key: crop for key, crop in crops.items()} | found
    return {picture: found[picture] for picture in pictures if picture in found}


@dataclass
class _State:
    crops: dict[str, Box] = field(default_factory=dict)
    done: list[dict[str, list[Box | None]]] = field(default_factory=list)  # a step: {picture: [before, after]}
    undone: list[dict[str, list[Box | None]]] = field(default_factory=list)


class Recipes:
    """The crops of the pictures below `root`. FileError where their file can't be read or written; one that is broken
    is never written over. Several programs may use one."""

    def __init__(self, root: Path | str):
        self.root = absolute(root)
        self.path = self.root / FILE
        self._lock = threading.Lock()

    def all(self) -> dict[str, Box]:
        """{path below the root, with slashes: crop}."""
        return self._read()[1].crops

    def of(self, picture: Path) -> Box | None:
        return self.all().get(self.key(picture))

    def key(self, picture: Path) -> str:
        return picture.relative_to(self.root).as_posix()

    def put(self, changes: Mapping[Path, Box | None]) -> None:
        """Set crops, or take them away with None: one step. ValueError for what is no crop."""
        wanted = {self.key(picture): checked(crop) if crop else None for picture, crop in changes.items()}

        def change(state: _State) -> bool:
            step = {key: [state.crops.get(key), crop] for key, crop in wanted.items() if state.crops.get(key) != crop}
            _apply(state.crops, step, 1)
            if step:
                state.done, state.undone = [*state.done, step][-STEPS:], []
            return bool(step)

        self._change(change)

    def undo(self) -> int:
        """Take the last step back; how many crops that changed."""
        return self._move("done", "undone", 0)

    def redo(self) -> int:
        return self._move("undone", "done", 1)

    def steps(self) -> tuple[int, int]:
        """How many steps can be undone, and done again."""
        state = self._read()[1]
        return len(state.done), len(state.undone)

    def _move(self, source: str, target: str, side: int) -> int:
        moved = 0

        def change(state: _State) -> bool:
            nonlocal moved
            if not getattr(state, source):
                return False
            step = getattr(state, source).pop()
            getattr(state, target).append(step)
            _apply(state.crops, step, side)
            moved = len(step)
            return True

        self._change(change)
        return moved

    def _change(self, change: Callable[[_State], bool]) -> None:
        with self._lock:
            for _ in range(10):
                data, state = self._read()
                if not change(state):
                    return
                self.path.parent.mkdir(exist_ok=True)
                if swap(self.path, data, _written(state)):
                    return
        raise FileError(self.path, "another program changes it all the time", "close that one and try again")

    def _read(self) -> tuple[bytes | None, _State]:
        data = content(self.path, limit=MAX_BYTES)
        if data is None:
            return None, _State()
        try:
            values = json.loads(data)
            state = _State({str(key): checked(crop) for key, crop in values["crops"].items()},
                           [_step(step) for step in values.get("done", [])],
                           [_step(step) for step in values.get("undone", [])])
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise FileError(self.path, "this isn't a list of crops", "mend it, or move it away") from error
        return data, state


def checked(crop: Any) -> Box:
    """Four shares with some area between them. ValueError for anything else."""
    values = tuple(float(share) for share in crop)
    if len(values) != 4 or not all(0 <= share <= 1 for share in values):
        raise ValueError(f"a crop is four shares from 0 to 1: {crop!r}")
    left, top, right, bottom = values
    if right - left < LEAST or bottom - top < LEAST:
        raise ValueError(f"a crop has some width and height: {crop!r}")
    return left, top, right, bottom


def _apply(crops: dict[str, Box], step: dict[str, list[Box | None]], side: int) -> None:
    for key, sides in step.items():
        if sides[side] is None:
            crops.pop(key, None)
        else:
            crops[key] = sides[side]


def _step(values: dict[str, Any]) -> dict[str, list[Box | None]]:
    return {str(key): [checked(crop) if crop else None for crop in (before, after)]
            for key, (before, after) in values.items()}


def _written(state: _State) -> bytes:
    values = {"version": VERSION, "crops": dict(sorted(state.crops.items())), "done": state.done,
              "undone": state.undone}
    return (json.dumps(values, ensure_ascii=True, indent=1) + "\n").encode()
