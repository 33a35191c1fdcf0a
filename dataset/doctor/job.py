"""The doctor as work of its own process: examine a folder, or first mend what an earlier examination has found.

What it found lies in the job's folder: `examination.json` for the page, the report as one HTML file, and the sums of
all files as `sha256sum --check` reads them. Every job is a whole examination, so a page needs to know only the newest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from dataset.doctor import report
from dataset.doctor.check import Aim, Case, Finding
from dataset.doctor.examine import Examination, examine, restored
from dataset.doctor.fixes import Ground, fix_of
from dataset.doctor.known import Known
from dataset.doctor.steps import Plan, apply
from dataset.reading import FAMILIES, Reader
from dataset.settings import DatasetSettings
from jobs.files import read_json
from jobs.folder import Job, home
from settings import toml
from settings.errors import SettingsError, check
from settings.paths import absolute
from settings.section import Section, Ui

RESULT, REPORT, SUMS = "examination.json", "report.html", "SHA256SUMS"


class FixSettings(Section):
    """What is to be mended, and how."""

    finding: str = ""
    """The finding's name, as `captions.lines`. Empty: only look."""

    how: str = ""
    """Which of its fixes. Empty: the usual one."""

    options: list[str] = []
    """What a fix lets you choose, as `encoding=cp1251`."""

    cases: list[str] = []
    """Which cases, by their keys in the examination. Empty: all that there are."""

    keep: list[str] = []
    """Of duplicates: files to keep instead of those that are suggested, as the examination names them."""

    examined: str = ""
    """The examination that the cases are from: the id of its work."""

    digest: str = ""
    """What the plan was known by that you have agreed to. Empty: whatever it is now."""


class Settings(Section):
    """Looks for what is wrong with a folder of pictures and captions, and says what it does to training."""

    folder: Annotated[str, Ui("Pictures", level="quick", kind="folder")] = ""
    """The pictures, or a folder that was prepared for training."""

    family: Annotated[Literal[tuple(FAMILIES)], Ui("For", level="quick")] = "sd15"
    """What will be trained, which decides the sizes and how much of a caption is read."""

    resolution: Annotated[int | None, Field(ge=64, le=8192), Ui(level="quick", step=64)] = None
    """In pixels. Empty: the family's own, 512, 768 or 1024."""

    tokens: Annotated[int | None, Field(ge=1, le=2048), Ui("Tokens read", level="quick")] = None
    """How much of a caption is read. Empty: the family's own; 75 for SD 1.x, 2.x and SDXL, which can be set to 150 or
    225."""

    trigger: Annotated[str, Ui("Trigger word", level="quick")] = ""
    """The word that every caption should have."""

    caption_extension: str = ".txt"
    """Where captions are looked for first."""

    fix: FixSettings = FixSettings()

    @property
    def root(self) -> Path:
        """The folder. SettingsError where there is none."""
        root = absolute(self.folder)
        if not self.folder.strip() or not root.is_dir():
            raise SettingsError({"folder": "choose the folder with the pictures" if not self.folder.strip() else
                                 f"there is no such folder: {root}"})
        return root

    def ensure(self) -> None:
        """SettingsError for what can be known to be wrong before beginning."""
        _ = self.root, self.sizes()

    @property
    def aim(self) -> Aim:
        usual = FAMILIES[self.family]
        return Aim(self.trigger.strip(), Reader(usual.encoder, self.tokens or usual.tokens))

    def sizes(self) -> DatasetSettings:
        """As training would be set. SettingsError for a resolution that the family can't have."""
        usual = FAMILIES[self.family]
        return check(DatasetSettings, {"resolution": self.resolution or usual.resolution,
                                       "bucket_step": usual.bucket_step,
                                       "caption_extension": self.caption_extension})


def work(settings: Settings, teller: Any) -> dict[str, Any]:
    """As a job of the window: mend, if that is wished, then look at all of it again."""
    root, sizes, told = settings.root, settings.sizes(), {}
    if settings.fix.finding:
        plan = planned(settings, found_by(Job(teller.folder.parent / Path(settings.fix.examined).name)))
        if settings.fix.digest not in ("", plan.digest):
            raise SettingsError({"fix": "files have changed since you looked at what it would do; look at it again"})
        outcome = apply(root, plan, lambda done, total: teller.progress("Fixing", done, total))
        for problem in outcome.kept:
            teller.problem(problem)
        told = {"fixed": outcome.changed, "kept": len(outcome.kept), "deed": outcome.id, "label": plan.label}
    with Known(looks()) as known:
        found = examine(root, sizes, settings.aim, True,
                        lambda done, total: teller.progress("Examining", done, total), known)
    keep(found, teller.folder)
    return told | {"pictures": len(found.subject.items), "findings": len(found.findings),
                   "serious": sum(finding.severity == "serious" for finding in found.findings)}


def looks() -> Path:
    """Where looks at pictures are kept."""
    return home() / "cache" / "looks.sqlite"


def planned(settings: Settings, findings: Iterable[Finding]) -> Plan:
    """What a fix would do to the cases that were chosen. SettingsError for what there isn't."""
    wish, root = settings.fix, settings.root
    finding = next((finding for finding in findings if finding.name == wish.finding), None)
    if finding is None:
        raise SettingsError({"fix": f"nothing of this name was found: {wish.finding}"})
    options = dict(part.split("=", 1) if "=" in part else (part, "") for part in wish.options)
    keep = frozenset(root / name for name in wish.keep)
    ground = Ground(root, settings.caption_extension, settings.aim, keep, options)
    return fix_of(wish.finding, wish.how).plan(ground, chosen(root, finding.cases, wish.cases))


def chosen(root: Path, cases: Iterable[Case], keys: Iterable[str]) -> list[Case]:
    """The cases of these keys; all for none."""
    wanted = set(keys)
    return [case for case in cases if not wanted or case.key(root) in wanted]


def keep(found: Examination, folder: Path) -> None:
    """Write what was found into a folder."""
    told = found.as_dict()
    (folder / RESULT).write_text(json.dumps(told), encoding="utf-8")
    report.write(found, folder / REPORT)
    (folder / SUMS).write_text("".join(sums(found)), encoding="utf-8", errors="replace")


def result_of(job: Job) -> dict[str, Any] | None:
    """What an examination has found, as `Examination.as_dict` tells it; None if it hasn't come to its end."""
    told = read_json(job.folder / RESULT)
    return told if isinstance(told, dict) and "findings" in told else None


def found_by(job: Job) -> list[Finding]:
    """The findings of an examination. SettingsError if there is none any more."""
    told = result_of(job)
    if told is None:
        raise SettingsError({"examined": "that examination isn't there any more; examine the folder again"})
    return restored(told)


def settings_of(job: Job) -> Settings:
    """What an examination was asked to do. SettingsError if it can't be read."""
    return toml.read(Settings, job.config_path)


def sums(found: Examination) -> Iterator[str]:
    """A line for each picture and each caption file, as `sha256sum` writes them."""
    for item in found.subject.items:
        yield _line(found.subject.looks[item.path].sha256, found.name(item.path))
    captions = dict.fromkeys(item.caption_from for item in found.subject.items if item.caption_from)
    for path in captions:
        yield from (_line(digest, found.name(path)) for digest in _digest(path))


def _line(digest: str, name: str) -> str:
    """Names with backslashes and line breaks are written so that `sha256sum` understands them."""
    safe = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"{'' if safe == name else chr(92)}{digest}  {safe}\n"


def _digest(path: Path) -> Iterator[str]:
    try:
        yield hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return  # gone in this moment
