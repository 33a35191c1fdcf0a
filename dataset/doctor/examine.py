"""Examining a data set: scan it, look once at every picture, run every check, most serious findings first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataset.doctor import captions, duplicates, files, fine, lettering, meaning, quality, sizes
from dataset.doctor.check import CHECKS, NOTHING, Aim, Case, Finding, Subject
from dataset.doctor.look import Memory, looks
from dataset.pictures import PictureError
from dataset.problem import Problem
from dataset.scan import Dataset, Item, folders, scan
from dataset.settings import DatasetSettings
from dataset.stats import stats
from settings.paths import absolute

# where the checks are: importing them is what registers them
FILES = (files, captions, duplicates, quality, sizes, lettering, meaning)
ORDER = ("serious", "warning", "note")


@dataclass(frozen=True)
class Examination:
    """What was found in a data set."""

    subject: Subject
    findings: list[Finding]  # most serious first
    fine: list[Finding] = field(default_factory=list)  # what a person has looked at and found to be fine

    @property
    def serious(self) -> bool:
        return any(finding.severity == "serious" for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: findings, buckets, and the manifest: every picture with its hashes and figures. Paths are relative
        to `folder`, with forward slashes."""
        found = stats(Dataset(self.subject.items, self.subject.problems), self.subject.settings)
        return {
            "folder": str(self.subject.root),
            "trigger": self.subject.trigger,
            "resolution": self.subject.settings.resolution,
            "serious": self.serious,
            "reads": self.subject.aim.reader.label,
            "tokens_exact": self.subject.aim.reader.exact(),
            "findings": [self._finding(finding) for finding in self.findings],
            "fine": [self._finding(finding) for finding in self.fine],
            "buckets": sizes.rows(self.subject, found.buckets),
            "mean_crop_loss": round(found.mean_crop_loss, 4),
            "pictures": [self._picture(item) for item in self.subject.items],
        }

    def name(self, path: Path) -> str:
        """How a file is called in reports."""
        inside = path.is_relative_to(self.subject.root) and path != self.subject.root
        return (path.relative_to(self.subject.root) if inside else path).as_posix()

    def _finding(self, finding: Finding) -> dict[str, Any]:
        return {
            "name": finding.name, "severity": finding.severity, "title": finding.title, "what": finding.what,
            "effect": finding.effect, "fix": finding.fix, "cases": [self._case(case) for case in finding.cases],
        }

    def _case(self, case: Case) -> dict[str, Any]:
        told = {"key": case.key(self.subject.root), "paths": [self.name(path) for path in case.paths],
                "detail": case.detail}
        told |= {"about": case.about} if case.about else {}
        return told if case.keep is None else {**told, "keep": self.name(case.keep)}

    def _picture(self, item: Item) -> dict[str, Any]:
        look = self.subject.looks[item.path]
        return {
            "path": self.name(item.path), "sha256": look.sha256, "content": look.content, "bytes": look.bytes,
            "width": item.width, "height": item.height, "format": look.format, "caption": item.caption,
            "tokens": self.subject.aim.reader.count(item.caption),
            "repeats": item.repeats, "regularisation": item.regularisation,
            "phash": f"{look.print.phash:016x}", "dhash": f"{look.print.dhash:016x}",
            "sharpness": round(look.quality.sharpness, 2), "darkness": round(look.quality.darkness, 4),
            "brightness": round(look.quality.brightness, 4), "entropy": round(look.quality.entropy, 3),
        }


def examine(folder: Path | str, settings: DatasetSettings, aim: Aim = NOTHING, thumbnails: bool = False,
            progress: Callable[[int, int], object] | None = None, known: Memory | None = None) -> Examination:
    """Every finding about a folder of pictures, as training with these settings would see it. With an `img` and a `reg`
    folder as `prepare` makes them, both are examined; `settings.folders` has no say. `progress(done, of)` is called
    after each picture; pictures that are `known` aren't decoded again. Writes nothing beside the pictures, and never
    raises for what is on disk."""
    root = absolute(folder)
    found = scan(folders(root), settings.caption_extension)
    items, problems, seen = [], list(found.problems), {}
    for item, (path, look) in zip(found.items, looks((item.path for item in found.items), thumbnails, known)):
        if isinstance(look, PictureError):
            problems.append(Problem(path, look.reason, look.fix))
        else:
            seen[path] = look
            items.append(item)
        if progress:
            progress(len(seen) + len(problems) - len(found.problems), len(found.items))
    subject = Subject(root, settings, items, problems, seen, aim)
    findings = [finding for check in CHECKS for finding in check(subject)]
    findings.sort(key=lambda finding: ORDER.index(finding.severity))
    return Examination(subject, *fine.parted(root, findings, fine.read(root)))


def restored(told: dict[str, Any]) -> list[Finding]:
    """The findings of an examination, with those of their cases that were fine, from what `as_dict` has told."""
    root, found = Path(told["folder"]), {}
    for one in (*told["findings"], *told["fine"]):
        cases = tuple(_case(root, case) for case in one["cases"])
        before = found.get(one["name"])
        found[one["name"]] = before.only(before.cases + cases) if before else Finding(
            one["name"], one["severity"], one["what"], one["effect"], one["fix"], cases)
    return list(found.values())


def _case(root: Path, told: dict[str, Any]) -> Case:
    keep = told.get("keep")
    return Case(tuple(root / path for path in told["paths"]), told["detail"], root / keep if keep else None,
                told.get("about", ""))
