"""The list of runs as a person searches it: by words, state, kind and tag, over what is written in the jobs' folders.

What was read of a folder is read again only after one of its files has changed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from gui.chosen import value, values
from gui.figures import family
from gui.run import number
from gui.runs import Runs, stamp
from jobs import bin as job_bin
from jobs import notes
from jobs.folder import Job
from jobs.notes import Notes

Sort = Literal["newest", "oldest", "name", "loss", "steps"]
MANY = 50  # lines that a page shows at first
BEST = "★"  # as a tag: the runs with a star
EXCERPT = 120  # characters of a note that a line shows
WORDS = {"train": "training", "captions": "captioning"}  # also found by what the page calls them


class Query(BaseModel):
    """What a person asks the list for. Empty texts: no condition."""

    search: str = Field("", max_length=500)
    state: str = Field("", max_length=20)
    kind: str = Field("", max_length=20)
    tag: str = Field("", max_length=100)
    sort: Sort = "newest"
    many: int = Field(MANY, ge=1, le=10_000)


@dataclass(frozen=True)
class Known:
    """What stands in a job's folder besides its events."""

    job: Job
    touched: tuple[Any, ...]
    notes: Notes
    family: str

    @cached_property
    def text(self) -> str:
        """All of it in lower case, to be searched: a list that nobody searches does without reading all settings."""
        job, written = self.job, self.notes
        parts = [job.name, job.id, job.kind, WORDS.get(job.kind, ""), self.family, written.text, *written.tags]
        return "\n".join([*parts, *(f"{path}={value}" for path, value in values(job).items())]).lower()


class History:
    """The runs of a workspace, searched."""

    def __init__(self, home: Path, runs: Runs):
        self._home = home
        self._runs = runs
        self._known: dict[str, Known] = {}

    def found(self, query: Query) -> dict[str, Any]:
        """The lines that fit, as many as are asked for; how many fit, how many there are, and what can be chosen."""
        jobs = self._runs.jobs()
        known = {job.id: self.known(job) for job in jobs}
        self._known = known  # those that went are forgotten
        states = {job.id: self._runs.glance(job).word for job in jobs}
        fitting = [job for job in jobs if fits(query, job, states[job.id], known[job.id])]
        ordered = self._sorted(fitting, query.sort)
        tags = {tag.casefold(): tag for one in known.values() for tag in one.notes.tags}
        return {
            "runs": [self._line(job) for job in ordered[: query.many]],
            "found": len(fitting),
            "all": len(jobs),
            "tags": [tags[tag] for tag in sorted(tags)],
            "best": any(one.notes.best for one in known.values()),
            "kinds": sorted({job.kind for job in jobs}),
            "states": sorted(set(states.values())),
            "binned": job_bin.count(self._home),
        }

    def known(self, job: Job) -> Known:
        touched = tuple(stamp(path) for path in (job.config_path, job.folder / notes.FILE))
        known = self._known.get(job.id)
        return known if known and known.touched == touched else read(job, touched)

    def _sorted(self, jobs: list[Job], sort: Sort) -> list[Job]:
        """`jobs` are the newest first."""
        if sort == "oldest":
            return jobs[::-1]
        if sort == "name":
            return sorted(jobs, key=lambda job: job.name.casefold())
        if sort == "loss":
            return sorted(jobs, key=lambda job: math.inf if (loss := self._loss(job)) is None else loss)
        if sort == "steps":
            return sorted(jobs, key=lambda job: -self._runs.line(job)["step"])
        return jobs

    def _loss(self, job: Job) -> float | None:
        loss = number(self._runs.glance(job).step.get("loss_average"))
        return loss if math.isfinite(loss) else None

    def _line(self, job: Job) -> dict[str, Any]:
        known = self._known[job.id]
        return self._runs.line(job) | {
            "family": known.family,
            "loss": self._loss(job),
            "tags": known.notes.tags,
            "best": known.notes.best,
            "note": " ".join(known.notes.text[: 2 * EXCERPT].split())[:EXCERPT],
        }


def read(job: Job, touched: tuple[Any, ...]) -> Known:
    label = family(str(value(job, "model.family") or "")) if job.kind == "train" else ""
    return Known(job, touched, notes.read(job.folder), label)


def fits(query: Query, job: Job, state: str, known: Known) -> bool:
    if query.state and state != query.state or query.kind and job.kind != query.kind:
        return False
    if query.tag == BEST and not known.notes.best:
        return False
    if query.tag not in ("", BEST) and query.tag.casefold() not in map(str.casefold, known.notes.tags):
        return False
    return all(word in known.text or word in state for word in query.search.lower().split())
