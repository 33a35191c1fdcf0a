"""What the doctor's page shows: an examination as it lies in its job's folder, with what a person has found fine since.

An examination of many thousand pictures is megabytes; a page gets the first cases of each finding, and more when asked.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataset.bin import Bin, Binned
from dataset.doctor import fine
from dataset.doctor.check import Case, Finding
from dataset.doctor.examine import restored
from dataset.doctor.fixes import Fix, fixes
from dataset.doctor.job import RESULT, FixSettings, Settings, result_of, settings_of
from dataset.doctor.steps import Step
from dataset.pictures import EXTENSIONS
from dataset.work import works
from jobs.folder import Job
from settings.errors import SettingsError

if TYPE_CHECKING:
    from gui.window import Window

KIND = "check"
CASES = 24  # that a page shows of a finding before it is asked for more
TOGETHER = 12  # pictures of one case
KEPT = 3  # examinations in memory


class Examined:
    """One examination, read from its job's folder."""

    def __init__(self, job: Job, told: dict[str, Any]):
        self.job, self.told = job, told
        self.root = Path(told["folder"])
        self.findings = restored(told)
        self._pictures = {self.root / picture["path"] for picture in told["pictures"]}
        self._by_stem = {path.with_suffix(""): path for path in self._pictures}

    def finding(self, name: str) -> Finding | None:
        return next((finding for finding in self.findings if finding.name == name), None)

    def parted(self) -> tuple[list[Finding], list[Finding]]:
        """(what is to be told, what was found to be fine) by now."""
        return fine.parted(self.root, self.findings, fine.read(self.root))

    def shown(self, path: Path) -> Path | None:
        """The picture to show for a file: itself, or the one that a caption file belongs to."""
        if path in self._pictures or (path.suffix.lower() in EXTENSIONS and path.is_file() and self._may_be(path)):
            return path
        return self._by_stem.get(path.with_suffix(""))

    def name(self, path: Path) -> str:
        inside = path.is_relative_to(self.root) and path != self.root
        return (path.relative_to(self.root) if inside else path).as_posix()

    def _may_be(self, path: Path) -> bool:
        """Whether it was left out for another reason than that it can't be read."""
        found = self.finding("files.excluded")
        return bool(found) and any(path in case.paths for case in found.cases)


class Doctoring:
    """The examinations of the folder that is open."""

    def __init__(self, window: Window):
        self._window = window
        self._lock = threading.Lock()
        self._kept: dict[str, Examined] = {}

    @property
    def folder(self) -> str:
        """The folder that is open, as it was typed; "" for none."""
        return str(self._window.drafts.load("dataset").get("path") or "")

    @property
    def root(self) -> Path:
        """The open folder. SettingsError if there is none."""
        return Settings(folder=self.folder).root

    @property
    def place(self) -> Path | None:
        """The same where nothing is to be said if there is none."""
        try:
            return self.root
        except SettingsError:
            return None

    def newest(self) -> dict[str, str | None]:
        """Ids: of the last examination of the folder that has come to its end, and of the one that is going on."""
        found: dict[str, str | None] = {"examined": None, "running": None}
        for job in works():
            if job.kind != KIND or not self._is_of_this_folder(job):
                continue
            if job.state() in ("running", "queued"):
                found["running"] = job.id
            elif (job.folder / RESULT).is_file():
                found["examined"] = job.id
        return found

    def examined(self, id: str) -> Examined | None:
        """An examination by its id; None if there is no such one (any more)."""
        with self._lock:
            if id not in self._kept:
                job = self._window.works.find(id)
                told = result_of(job) if job and job.kind == KIND else None
                if told is None:
                    return None
                self._kept[id] = Examined(job, told)
                while len(self._kept) > KEPT:
                    del self._kept[next(iter(self._kept))]
            return self._kept[id]

    def wish(self, found: Examined, values: dict[str, Any]) -> Settings:
        """An examination's settings, with a fix of what it found."""
        before = settings_of(found.job)
        wish = FixSettings(**values | {"examined": found.job.id})
        return before.model_copy(update={"fix": wish})

    def shown(self, found: Examined) -> dict[str, Any]:
        told, dismissed = found.parted()
        facts = {name: found.told[name] for name in
                 ("folder", "trigger", "resolution", "buckets", "mean_crop_loss", "tokens_exact")}
        facts["reads"] = found.told.get("reads", "")  # older ones don't say
        return facts | {
            "id": found.job.id,
            "time": found.job.created,
            "pictures": len(found.told["pictures"]),
            "serious": sum(finding.severity == "serious" for finding in told),
            "findings": [self.finding_line(found, finding) for finding in told],
            "fine": [self.finding_line(found, finding) for finding in dismissed],
        }

    def finding_line(self, found: Examined, finding: Finding) -> dict[str, Any]:
        return {
            "name": finding.name, "severity": finding.severity, "title": finding.title, "effect": finding.effect,
            "fix": finding.fix, "count": len(finding.cases), "fixes": [fix_line(fix) for fix in fixes(finding.name)],
            "cases": [self.case_line(found, case) for case in finding.cases[:CASES]],
        }

    def case_line(self, found: Examined, case: Case) -> dict[str, Any]:
        return {
            "key": case.key(found.root), "detail": case.detail, "about": case.about,
            "files": [self.file_line(found, path, path == case.keep) for path in case.paths[:TOGETHER]],
            "more": max(0, len(case.paths) - TOGETHER),
        }

    def file_line(self, found: Examined, path: Path, keep: bool = False) -> dict[str, Any]:
        """`id` is that of the picture to show, "" where there is none."""
        picture = found.shown(path)
        return {"name": path.name, "path": found.name(path), "keep": keep,
                "id": self._window.thumbnails.id_of(picture) if picture else ""}

    def step_line(self, found: Examined, step: Step) -> dict[str, Any]:
        return self.file_line(found, step.picture) | step.told()

    def binned(self) -> list[dict[str, Any]]:
        root = self.place
        return [self._bin_line(root, thing) for thing in Bin(root).things()] if root else []

    def _bin_line(self, root: Path, thing: Binned) -> dict[str, Any]:
        picture = thing.path.suffix.lower() in EXTENSIONS
        return {
            "key": thing.id, "name": thing.origin.name, "path": thing.origin.relative_to(root).as_posix(),
            "others": [path.name for path in thing.with_it], "label": thing.label, "time": thing.time,
            "bytes": thing.bytes, "id": self._window.thumbnails.id_of(thing.path) if picture else "",
        }

    def _is_of_this_folder(self, job: Job) -> bool:
        try:
            return settings_of(job).root == self.place
        except (SettingsError, OSError):
            return False


def fix_line(fix: Fix) -> dict[str, Any]:
    return {
        "how": fix.how, "label": fix.label, "all": fix.all,
        "options": [{"name": option.name, "label": option.label, "choices": option.choices} for option in fix.options],
    }
