"""Exporting and importing: read records, say what will come of them, write them beside the name, give it the name.

`preview` decides everything and writes nothing; nothing that is there already is ever touched, and a run that ends in
the middle leaves nothing behind.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from dataset import masks
from dataset.exchange import folder as on_disk
from dataset.exchange import target, unzip
from dataset.exchange.formats import formats, readers, writers
from dataset.exchange.record import Found, Record
from dataset.exchange.settings import ExportSettings, ImportSettings
from dataset.prepare import SPARE
from dataset.problem import Problem, counted
from settings.errors import SettingsError
from settings.paths import absolute

Progress = Callable[[str, int, int], object]
LOSSES = {
    "repeats": ("repeats", lambda record: record.repeats > 1),
    "words": ("class words of folders", lambda record: bool(record.words)),
    "masks": ("masks", lambda record: record.mask),
    "folders": ("folders below the first", lambda record: record.folder.count("/") > 0),
}


@dataclass
class Plan:
    """What will be written. `losses` are sentences about what the format has no place for."""

    records: list[Record] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    format: str = ""  # what is written
    read_as: str = ""  # what was read; "" for a data set on disk
    output: Path = Path()
    bytes: int = 0

    @property
    def captions(self) -> int:
        return sum(bool(record.caption) for record in self.records)

    @property
    def sentence(self) -> str:
        label = formats()[self.format].label
        was = f"Read as: {formats()[self.read_as].label}. " if self.read_as else ""
        return (f"{was}{counted(len(self.records), 'picture')} ({size(self.bytes)}), {self.captions:,} with a caption, "
                f"for {self.output} as: {label}.")


def preview_export(settings: ExportSettings, caption_extension: str = ".txt") -> Plan:
    """What an export would write. Raises SettingsError where it can't be done."""
    root, output = path(settings.folder), path(settings.output)
    if not root.is_dir():
        raise SettingsError({"folder": f"there is no such folder: {root}"})
    check_output(root, output, "folder", zips=True)
    found = on_disk.records(root, caption_extension)
    return planned(found, settings.format, output, "folder")


@contextmanager
def preview_import(settings: ImportSettings, progress: Progress = lambda *_: None) -> Iterator[Plan]:
    """What an import would write; what was unpacked for it is cleared away after the block. Raises SettingsError."""
    source, output = path(settings.source), path(settings.output)
    if not source.exists():
        raise SettingsError({"source": f"there is no such file or folder: {source}"})
    check_output(source, output, "source")
    with unpacked(source, output, progress) as (inside, problems):
        name = settings.format if settings.format != "auto" else guess(inside)
        found = readers()[name].read(inside, with_absolute_images(settings))
        found.problems[:0] = problems
        plan = planned(found, settings.to, output, "source")
        plan.read_as = name
        yield plan


def planned(found: Found, format: str, output: Path, source: str, room: bool = True) -> Plan:
    """The plan for what was read. Raises SettingsError where nothing is left, or, with `room`, the disk is too full."""
    if said := lacking(format):
        raise SettingsError({"format": said})
    if not found.records:
        why = "; ".join(f"{problem.path.name}: {problem.reason}" for problem in found.problems[:2])
        raise SettingsError({source: f"there are no pictures in it that can be used{f' ({why})' if why else ''}"})
    plan = Plan([masked(record) for record in found.records], found.problems, format=format, output=output)
    keeps = writers()[format].keeps
    if "regularisation" not in keeps and (left := [one for one in plan.records if one.regularisation]):
        plan.records = [record for record in plan.records if not record.regularisation]
        plan.losses.append(f"{counted(len(left), 'regularisation picture')} left out: "
                           "this format can't tell them from the others.")
    for what, (words, has) in LOSSES.items():
        if what not in keeps and any(map(has, plan.records)):
            plan.losses.append(f"This format has no place for {words}.")
    if "short captions" in keeps and (cut := _inexpressible(plan.records)):
        plan.losses.append(f"{counted(cut, 'caption')} can't be a file's name as it is, and will be changed.")
    if not plan.records:
        raise SettingsError({source: "there are only regularisation pictures in it"})
    plan.bytes = sum(record.size for record in plan.records)
    if room:
        check_space(output, plan.bytes, "output")
    return plan


def masked(record: Record) -> Record:
    """The record with the mask that lies beside its picture."""
    mask = masks.find(record.content) if isinstance(record.content, Path) else None
    return replace(record, mask=mask) if mask else record


def write(plan: Plan, settings: ExportSettings, progress: Progress = lambda *_: None) -> None:
    """Write what was planned. Raises OSError where the disk refuses, FileExistsError where someone was quicker."""
    with opened(plan.output) as place:
        total = len(plan.records)
        progress("writing", 0, total)
        for done, _ in enumerate(written(plan, place, settings), start=1):
            progress("writing", done, total)


def written(plan: Plan, place: target.Target, settings: ExportSettings) -> Iterator[Record]:
    """Write into a target, a record at a time. What can't be read any more is left out and told."""
    yield from writers()[plan.format].write(_there(plan), place, settings)


def opened(output: Path) -> AbstractContextManager[target.Target]:
    return target.archive(output) if is_zip(output) else target.folder(output)


def guess(source: Path) -> str:
    """The format that fits a source best. Raises SettingsError where none does."""
    scores = {name: module.fits(source) for name, module in readers().items()}
    best = max(scores, key=lambda name: scores[name])
    if scores[best] == 0:
        what = "no pictures and no table that is known" if source.is_dir() else "it is no table, Parquet file or zip"
        raise SettingsError({"source": f"{what}; say which format it is"})
    return best


def lacking(format: str) -> str:
    """What has to be installed for a format; "" for nothing."""
    return formats()[format].needs() if hasattr(formats()[format], "needs") else ""


def check_output(source: Path, output: Path, what: str, zips: bool = False) -> None:
    """Raises SettingsError unless something new can be made there, away from the source."""
    if os.path.lexists(output) and (not output.is_dir() or os.listdir(output)):
        is_what = "a folder with something in it" if output.is_dir() else "a file"
        raise SettingsError({"output": f"{is_what} is there already; choose a new name"})
    if is_zip(output) and not zips:
        raise SettingsError({"output": "choose a folder, not a zip"})
    real, place = Path(os.path.realpath(source)), Path(os.path.realpath(output))
    if place == real or real in place.parents:
        raise SettingsError({"output": f"lies inside the {what}; choose a place beside it"})
    near = existing(output)
    if not os.access(near, os.W_OK | os.X_OK):
        raise SettingsError({"output": f"nothing may be written in {near}; choose another folder"})


def check_space(output: Path, needed: int, what: str) -> None:
    free = shutil.disk_usage(existing(output)).free
    if needed + SPARE > free:
        said = f"{size(needed)} are needed and {size(free)} free; choose another disk or make room"
        raise SettingsError({what: said})


@contextmanager
def unpacked(source: Path, output: Path, progress: Progress) -> Iterator[tuple[Path, list[Problem]]]:
    """The source itself, or what is in a zip, unpacked beside the output for as long as the block lasts."""
    if not (source.is_file() and source.suffix.lower() == ".zip"):
        yield source, []
        return
    near = existing(output)
    with tempfile.TemporaryDirectory(prefix=".loratory-", suffix=".part", dir=near) as aside:
        try:
            problems = unzip.unzip(source, Path(aside), progress=progress)
        except unzip.ZipError as error:
            raise SettingsError({"source": f"{source.name}: {error}"}) from error
        yield unzip.unwrapped(Path(aside)), problems


def with_absolute_images(settings: ImportSettings) -> ImportSettings:
    images = str(path(settings.images)) if settings.images.strip() else ""
    return settings.model_copy(update={"images": images})


def path(text: str) -> Path:
    return absolute(text.strip())


def existing(path: Path) -> Path:
    """The folder itself, or the nearest one above that is there."""
    return next(folder for folder in (path, *path.parents) if os.path.isdir(folder))


def is_zip(output: Path) -> bool:
    return output.suffix.lower() == ".zip"


def size(number: int) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"


def _there(plan: Plan) -> Iterable[Record]:
    for record in plan.records:
        if isinstance(record.content, Path) and not os.access(record.content, os.R_OK):
            plan.problems.append(Problem(record.content, "it isn't there any more, or may not be read", "look for it"))
        else:
            yield record


def _inexpressible(records: list[Record]) -> int:
    express = formats()["filenames"].expressible
    return sum(express(record.caption) != record.caption for record in records)
