"""Everything that a resize will do, decided before anything is written: the dry run is this and nothing more."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections import Counter
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from dataset import masks
from dataset.captions import TABLES
from dataset.files import FileError
from dataset.pictures import MAX_PIXELS
from dataset.prepare import overlap
from dataset.problem import Problem, counted
from dataset.resize import faces, names
from dataset.resize.geometry import WHOLE, Box, Cut, Size, cut
from dataset.resize.made import Made
from dataset.resize.recipes import crops_of
from dataset.resize.render import LARGEST
from dataset.resize.settings import Settings
from dataset.scan import Item, scan
from dataset.settings import Folder
from settings.errors import SettingsError
from settings.paths import absolute

Status = Literal["new", "again", "done", "kept"]
BESIDE = (".txt", ".caption", ".cap", ".tags", ".json", ".yaml")  # what programs write about a picture, by its name

UNASKED = ("no caption", "lines", "encoding", "empty", "shared caption", "masks")  # said where it matters, not here


@dataclass(frozen=True)
class Row:
    """One picture: what it is, what its copy will be."""

    source: Path
    target: Path
    before: Size
    cut: Cut
    crop: Box | None
    status: Status  # done: its copy is there already. kept: something else has its name
    key: str  # of all that decides the copy's pixels
    captions: tuple[Path, ...] = ()
    text: str = ""  # a caption that has no file of its own
    mask: Path | None = None

    @property
    def after(self) -> Size:
        return self.cut.size

    def told(self, root: Path, output: Path) -> dict[str, Any]:
        """As a line of the table."""
        return {
            "name": self.source.relative_to(root).as_posix(), "copy": self.target.relative_to(output).as_posix(),
            "before": self.before, "after": self.after, "scale": round(self.cut.scale, 4),
            "lost": round(self.cut.lost(self.before), 4), "status": self.status, "by_hand": self.crop is not None,
            "caption": bool(self.captions or self.text), "mask": self.mask is not None,
        }


@dataclass
class Plan:
    root: Path
    output: Path
    rows: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """Numbers for programs, and a sentence for people."""
        counts = Counter(row.status for row in self.rows)
        sizes = Counter(f"{row.after[0]}x{row.after[1]}" for row in self.rows)
        return {
            "output": str(self.output), "pictures": len(self.rows), **{kind: counts[kind] for kind in
                                                                      ("new", "again", "done", "kept")},
            "by_hand": sum(row.crop is not None for row in self.rows),
            "smaller_than_asked": sum(problem.kind == "small" for problem in self.problems),
            "left_out": sum(not problem.used for problem in self.problems) - counts["kept"],
            "sizes": dict(sizes.most_common(50)), "sentence": self._sentence(counts),
        }

    def _sentence(self, counts: Counter[str]) -> str:
        parts = [f"{counted(counts['new'] + counts['again'], 'copy').replace('copys', 'copies')} to make"]
        if counts["again"]:
            parts.append(f"{counts['again']:,} of them anew")
        if counts["done"]:
            parts.append(f"{counts['done']:,} there already")
        if counts["kept"]:
            parts.append(f"{counts['kept']:,} not made because something else has the name")
        return ", ".join(parts) + "."

    def table(self) -> dict[str, Any]:
        """All of it, for the page."""
        return {"summary": self.summary(), "warnings": self.warnings,
                "rows": [row.told(self.root, self.output) for row in self.rows],
                "problems": [asdict(problem) | {"path": str(problem.path)} for problem in self.problems]}


def folders(settings: Settings) -> tuple[Path, Path]:
    """The folder of the pictures and the output folder. SettingsError if one will not do."""
    root, output = (absolute(text.strip()) for text in
                    (settings.folder, settings.output))
    if not os.path.isdir(root):
        raise SettingsError({"folder": f"there is no such folder: {root}"})
    if relation := overlap(root, output):
        raise SettingsError({"output": f"{relation} the folder with your pictures; choose a new one beside it"})
    if os.path.lexists(output) and not os.path.isdir(output):
        raise SettingsError({"output": "this is a file; choose a folder"})
    above = next(folder for folder in (output, *output.parents) if os.path.isdir(folder))
    if not os.access(above, os.W_OK | os.X_OK):
        raise SettingsError({"output": f"nothing may be written in {above}; choose another folder"})
    return root, output


def plan(settings: Settings) -> Plan:
    """What will be done. Reads names, headers and what was made before; writes nothing. Raises SettingsError, and
    FileError for crops that can't be read."""
    root, output = folders(settings)
    made = Plan(root, output)
    found = scan([Folder(path=str(root))])
    made.problems += [problem for problem in found.problems if not problem.used or problem.kind not in UNASKED]
    if not found.items:
        raise SettingsError({"folder": "there are no pictures in it that can be used"})
    if settings.keep == "face" and settings.mode in ("cover", "bucket") and not faces.model_file(settings.face_model):
        why = faces.missing(settings.face_model)
        made.warnings.append(f"Faces can't be looked for: {why}. The subject is kept instead.")
    planner = _Planner(settings, made, Made(output))
    planner.all(found.items)
    return made


@dataclass
class _Planner:
    settings: Settings
    plan: Plan
    made: Made
    taken: names.Taken = field(default_factory=names.Taken)

    def __post_init__(self) -> None:
        self.crops: dict[Path, Box] = {}
        self.listings: dict[Path, dict[str, list[str]]] = {}
        self.masks = masks.Masks()
        model = faces.model_file(self.settings.face_model) if self.settings.keep == "face" else None
        self.digest = _digest([self.settings.pixels_depend_on(), model and [str(model), self._stamp(model)]])
        self.pattern = f"{self.settings.rename}.{self.settings.format}"
        self.number = 0

    def all(self, items: list[Item]) -> None:
        self.crops = crops_of(self.plan.root, [item.path for item in items])
        for item in items:  # names that were given once stay, also where pictures were added in between
            if known := self.made.name_of(self._real(item), self.pattern):
                target = self.plan.output / known
                self.number += self.taken.claim(target.parent, target.stem, item.path)
        for item in items:
            self._row(item)

    def _row(self, item: Item) -> None:
        crop = self.crops.get(item.path)
        size = item.width, item.height
        what = cut(size, self.settings, crop or WHOLE)
        target = self._target(item)
        if max(what.size) > LARGEST[self.settings.format] or math.prod(what.size) > MAX_PIXELS:
            return self._problem(item.path, f"its copy would have {what.size[0]} x {what.size[1]} pixels",
                                 "ask for less, or for another format")
        mask = self.masks.find(item.path) if self.settings.masks != "none" else None
        key = _digest([self.digest, self._stamp(item.path), crop, mask and self._stamp(mask)])
        captions, text = self._captions(item)
        status = self._status(item, target, key)
        if self.settings.mode in ("cover", "contain") and (what.inner[0] < what.size[0] and what.inner[1] < what.size[1]
                                                           or what.size != self.settings.size):
            self._problem(item.path, f"it is smaller than asked for, and gets {what.inner[0]} x {what.inner[1]}",
                          "switch enlarging on, or leave it", used=True, kind="small")
        self.plan.rows.append(Row(item.path, target, size, what, crop, status, key, captions, text, mask))

    def _target(self, item: Item) -> Path:
        known = self.made.name_of(self._real(item), self.pattern)
        if known:
            return self.plan.output / known
        folder = self.plan.output / item.path.parent.relative_to(self.plan.root)
        counting = names.counts(self.settings.rename)
        while True:
            self.number += 1
            stem = names.fitting(names.filled(self.settings.rename, item.path.stem, self.number,
                                              item.path.parent.name if item.path.parent != self.plan.root
                                              else self.plan.root.name))
            if self.taken.claim(folder, stem, item.path):
                break
            if not counting:
                stem = self._other(folder, stem, item)
                break
        return folder / f"{stem}.{self.settings.format}"

    def _other(self, folder: Path, stem: str, item: Item) -> str:
        """A name for the second of two that would be called alike (a.jpg and a.png), the same in every run."""
        relative = item.path.relative_to(self.plan.root).as_posix()
        for ending in (item.path.suffix[1:].lower(), _digest(relative)[:8]):
            if self.taken.claim(folder, other := names.fitting(f"{stem}-{ending}"), item.path):
                return other
        return names.fitting(f"{stem}-{_digest(relative)}")

    def _status(self, item: Item, target: Path, key: str) -> Status:
        source = self._real(item)
        if not os.path.lexists(target):
            return "new"
        if self.made.is_done(target, source, key):
            return "done"
        try:
            if self.made.is_ours(target, source):
                return "again"
        except FileError as error:
            self._problem(target, error.reason, error.fix)
            return "kept"
        self._problem(target, "something else has the name, or it was changed since; it stays as it is",
                      "delete or rename it if you want the copy")
        return "kept"

    def _captions(self, item: Item) -> tuple[tuple[Path, ...], str]:
        """The files that say something about the picture; or its caption, where that stands in a table."""
        if not self.settings.captions:
            return (), ""
        listing = self._listing(item.path.parent)
        beside = tuple(item.path.with_name(name) for name in listing.get(item.path.stem, ()))
        if item.caption_from and item.caption_from.name in TABLES:
            return beside, item.caption
        return beside, ""

    def _listing(self, folder: Path) -> dict[str, list[str]]:
        if folder not in self.listings:
            found: dict[str, list[str]] = {}
            for name in sorted(os.listdir(folder)):
                stem, ending = os.path.splitext(name)
                if ending.lower() in BESIDE and name not in TABLES:
                    found.setdefault(stem, []).append(name)
            self.listings[folder] = found
        return self.listings[folder]

    def _stamp(self, path: Path) -> list[int]:
        try:
            facts = path.stat()
        except OSError:
            return []
        return [facts.st_mtime_ns, facts.st_size]

    def _real(self, item: Item) -> Path:
        return source_of(item.path)

    def _problem(self, path: Path, reason: str, fix: str, used: bool = False, kind: str = "") -> None:
        self.plan.problems.append(Problem(path, reason, fix, used, kind))


def source_of(path: Path) -> Path:
    """How a file is known in the record of what was made: by its name, and its folder by way of all links."""
    folder, name = os.path.split(path)
    return _real_folder(folder) / name


@lru_cache(maxsize=256)  # asked for one picture after the other
def _real_folder(folder: str) -> Path:
    return Path(os.path.realpath(folder))


def _digest(values: Any) -> str:
    return hashlib.blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=12).hexdigest()
