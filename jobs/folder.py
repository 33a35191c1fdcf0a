"""A job as a folder: what is in it, how one is made, and its state, which is computed from its files, never stored."""

from __future__ import annotations

import json
import re
import sys
import time
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from jobs.devices import ONE, Needs
from jobs.events import FINAL, last_event
from jobs.files import home, read_json, replace
from jobs.process import JobError, has_process, is_running, is_watched

State = Literal["queued", "running", "finished", "failed", "stopped", "paused", "interrupted"]


@dataclass(frozen=True)
class Job:
    """One job. Holds nothing but its folder, so that two of them for the same folder never disagree."""

    folder: Path

    @cached_property
    def _info(self) -> dict[str, Any]:
        info = read_json(self.folder / "job.json")
        if not (info and {"kind", "name", "created", "argv"} <= info.keys() and info["argv"]):
            raise JobError(f"{self.folder} is not the folder of a job")
        return info

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def kind(self) -> str:
        return self._info["kind"]

    @property
    def name(self) -> str:
        """As the person typed it."""
        return self._info["name"]

    @property
    def created(self) -> float:
        """Seconds since 1970."""
        return self._info["created"]

    @property
    def argv(self) -> list[str]:
        """The command that works on this job, wherever the folder lies now."""
        words = [word.replace("{job}", str(self.folder.absolute())) for word in self._info["argv"]]
        return [sys.executable, *words[1:]] if words[0] == "python" else words

    @property
    def needs(self) -> Needs:
        """What it computes on."""
        return Needs(**self._info.get("needs", {}))

    @property
    def config_path(self) -> Path:
        return self.folder / "config.toml"

    @property
    def events_path(self) -> Path:
        return self.folder / "events.jsonl"

    @property
    def log_path(self) -> Path:
        return self.folder / "log.txt"

    @property
    def samples(self) -> Path:
        return self.folder / "samples"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def last_event(self) -> dict[str, Any] | None:
        """Its last word. A warning is none: somebody else may have added it."""
        return last_event(self.events_path, lambda event: event["kind"] != "warning")

    def state(self) -> State:
        """What is true now. The process is looked at before the events, since its last word comes before its end."""
        started = has_process(self.folder)
        if started and is_running(self.folder, thorough=False):
            return "running"
        last = self.last_event
        if last and last["kind"] in FINAL:
            return last["kind"]
        if not started:
            return "queued"
        # What it left behind may go on; and where nothing lives, somebody may be about to say how it ended.
        if is_running(self.folder) or is_watched(self.folder):
            return "running"
        last = self.last_event  # said meanwhile
        return last["kind"] if last and last["kind"] in FINAL else "interrupted"


def something_left(job: Job) -> bool:
    """Whether going on makes sense: it never came to its end, or its last word counts parts of the work that failed."""
    return job.state() != "finished" or bool((job.last_event or {}).get("failed"))


def create(
    kind: str, name: str, config_text: str, argv: list[str], at: Path | None = None, needs: Needs = ONE
) -> Job:
    """A new folder with a job in it, under home() or, if given, `at` (which must be new or empty).

    In `argv`, "{job}" stands for the folder, and "python" in front for this Python. Nothing is started."""
    folder = _folder(name) if at is None else at.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise JobError(f"{folder} is not empty; a job needs a folder of its own")
    job = Job(folder)
    job.samples.mkdir()
    job.checkpoints.mkdir()
    replace(job.config_path, config_text)
    info = {"kind": kind, "name": name, "created": time.time(), "argv": argv, "needs": asdict(needs)}
    replace(folder / "job.json", json.dumps(info, indent=1) + "\n")  # last: a folder without it is no job yet
    return job


def change(job: Job, config_text: str, argv: list[str], needs: Needs = ONE) -> None:
    """Other settings, and what follows from them, for a job that goes on with them."""
    info = read_json(job.folder / "job.json") or {}
    replace(job.config_path, config_text)
    replace(job.folder / "job.json", json.dumps(info | {"argv": argv, "needs": asdict(needs)}, indent=1) + "\n")


def _folder(name: str) -> Path:
    """A folder that did not exist before. Two that are made in the same second differ by a number."""
    stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{_safe(name)}"
    count = 1
    while True:
        folder = home() / "jobs" / (stem if count == 1 else f"{stem}-{count}")
        try:
            folder.mkdir()
        except FileExistsError:
            count += 1
        else:
            return folder


def _safe(name: str) -> str:
    """A name as a part of a folder's name on every system: at most 120 bytes, in any script."""
    name = re.sub(r'[<>:"/\\|?*\x00-\x1f\x7f]', "_", name)
    return name.encode(errors="ignore")[:120].decode(errors="ignore").strip(" .") or "job"


def jobs(root: Path | None = None) -> list[Job]:
    """The jobs of a workspace, newest first. A folder that holds none, or half of one, is passed over."""
    root = home() if root is None else root
    found = []
    for folder in (root / "jobs").iterdir():
        job = Job(folder)
        try:
            found.append((job.created, job.id, job))
        except JobError:
            continue
    return [job for *_, job in sorted(found, key=lambda entry: entry[:2], reverse=True)]
