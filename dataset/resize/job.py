"""Makes the copies: a thread for each core, each file whole or not there; what fails is named and the rest goes on."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from dataset import masks
from dataset.caption_files import one_line
from dataset.files import FileError, content
from dataset.pictures import PictureError
from dataset.problem import Problem
from dataset.resize import faces
from dataset.resize.made import Made, Put
from dataset.resize.plan import Plan, Row, plan, source_of
from dataset.resize.render import Rendered, encoded, mask, mask_from_alpha, render
from dataset.resize.settings import Settings
from jobs.files import replace

__all__ = ["Settings", "TABLE", "resize", "work"]

TABLE = "table.json"  # what the page shows, in the job's folder
AHEAD = 2  # pictures a thread that are begun before their results are asked for
NAMED = ("copies", "captions", "masks")


class Teller(Protocol):
    """Who is told; `dataset.work.Teller` is one."""

    def progress(self, name: str, done: int, total: int) -> None: ...
    def problem(self, problem: Problem) -> None: ...
    def warn(self, message: str) -> None: ...


def work(settings: Settings, teller: Any) -> dict[str, Any]:
    """As a job of the window: what will be done is written into its folder first."""
    made = plan(settings)
    replace(teller.folder / TABLE, json.dumps(made.table()))
    return resize(settings, made, teller)


def resize(settings: Settings, made: Plan, teller: Teller) -> dict[str, Any]:
    """Do what was planned; numbers for the summary. Raises SettingsError, OSError when the disk won't go on, and what
    the teller raises for a stop: what is made by then stays, and the next run goes on from there."""
    for warning in made.warnings:
        teller.warn(warning)
    for problem in made.problems:
        teller.problem(problem)
    if settings.dry_run:
        return made.summary() | {"dry_run": True}
    return made.summary() | _Making(settings, made, teller).run()


@dataclass
class _Making:
    settings: Settings
    plan: Plan
    teller: Teller
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.made = Made(self.plan.output)
        model = faces.model_file(self.settings.face_model) if self.settings.keep == "face" else None
        self.detector = faces.Detector(model) if model else None
        self.lock = threading.Lock()

    def run(self) -> dict[str, Any]:
        rows = [row for row in self.plan.rows if row.status != "kept"]
        self.plan.output.mkdir(parents=True, exist_ok=True)
        try:
            for done, problems in enumerate(self._side_by_side(rows), start=1):
                for problem in problems:
                    self.teller.problem(problem)
                self.teller.progress("pictures", done, len(rows))
        finally:
            self.made.close()
        return {f"{what}_{how}": self.counts[what, how] for what in NAMED for how in ("made", "again", "same", "kept")
                if self.counts[what, how]} | {"by": self._by(), "failed": self.counts["failed"]}

    def _by(self) -> dict[str, int]:
        """What placed the windows, and how often."""
        return {name[1]: number for name, number in self.counts.items() if name[0] == "by"}

    def _side_by_side(self, rows: list[Row]) -> Iterator[list[Problem]]:
        """Each row's problems, in order. A few pictures in memory at a time."""
        threads = os.cpu_count() or 1
        waiting: list[Future[list[Problem]]] = []
        with ThreadPoolExecutor(threads) as pool:
            try:
                for row in rows:
                    waiting.append(pool.submit(self._row, row))
                    if len(waiting) > AHEAD * threads:
                        yield waiting.pop(0).result()
                while waiting:
                    yield waiting.pop(0).result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _row(self, row: Row) -> list[Problem]:
        problems: list[Problem] = []
        try:
            rendered = self._picture(row)
            if rendered and self.settings.masks != "none":
                problems += self._mask(row, rendered)
            problems += self._captions(row)
        except (PictureError, FileError) as error:
            self._count("failed")
            problems.append(Problem(row.source, error.reason, error.fix))
        return problems

    def _picture(self, row: Row) -> Rendered | None:
        """None where the copy is there already, or can't be."""
        mask_missing = row.mask is not None and not self._mask_target(row.target).exists()
        if row.status == "done" and not mask_missing:
            self._count(("copies", "same"))
            return None
        rendered = render(row.source, self.settings, row.crop, self.detector)
        data = encoded(rendered.image, self.settings.format, self.settings.quality)
        put = self.made.put(row.target, source_of(row.source), data, row.key,
                            f"{self.settings.rename}.{self.settings.format}")
        self._count(("copies", put))
        if put == "kept":
            raise FileError(row.target, "something else has the name by now; it stays as it is", "delete or rename it")
        self._count(("by", rendered.by))
        return rendered

    def _mask(self, row: Row, rendered: Rendered) -> list[Problem]:
        if row.mask:
            image = mask(row.mask, rendered.cut, rendered.size)
        elif self.settings.alpha_masks:
            image = mask_from_alpha(row.source, rendered.cut, rendered.size)
        else:
            return []
        if image is None:
            return []
        target = self._mask_target(row.target)
        put = self.made.put(target, source_of(row.mask or row.source), encoded(image, "png", 100))
        return self._said("masks", put, target)

    def _mask_target(self, target: Path) -> Path:
        if self.settings.masks == "masklabel":
            return target.with_name(f"{target.stem}-masklabel.png")
        return masks.place(target)

    def _captions(self, row: Row) -> list[Problem]:
        problems: list[Problem] = []
        contents = [(path, path.suffix, _read(path)) for path in row.captions]
        if row.text and not any(suffix.lower() == ".txt" for _, suffix, _ in contents):
            contents.append((row.source, ".txt", f"{one_line(row.text)}\n".encode()))
        for path, suffix, data in contents:
            target = row.target.with_name(row.target.stem + suffix)
            if self.made.was(target, source_of(path), data) and target.exists():
                self._count(("captions", "same"))  # or it was changed here since, and is newer than the picture's own
                continue
            problems += self._said("captions", self.made.put(target, source_of(path), data), target)
        return problems

    def _said(self, what: str, put: Put, target: Path) -> list[Problem]:
        self._count((what, put))
        if put != "kept":
            return []
        return [Problem(target, "something else has the name, or it was changed since; it stays as it is",
                        "delete or rename it if you want the one that belongs to the picture", used=True)]

    def _count(self, what: Any) -> None:
        with self.lock:
            self.counts[what] += 1



def _read(path: Path) -> bytes:
    data = content(path)
    if data is None:
        raise FileError(path, "the file is not there any more", "run again")
    return data
