"""Work on data sets that pages have begun: started in processes of their own, watched by reading what they write."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from dataset import work
from jobs import process, requests
from jobs.events import read_events
from jobs.folder import Job
from settings.errors import check

SHOWN = 200  # problems that a page lists


class Works:
    """`report(id)` is what a page shows of a work; it is made from the work's events alone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, _Story] = {}

    def start(self, kind: str, values: dict[str, Any]) -> str:
        """Begin; the work's id. Raises SettingsError, KeyError for an unknown kind, OSError."""
        job = work.create(kind, check(work.section(kind), values))
        process.start(job)
        return job.id

    def report(self, id: str) -> dict[str, Any] | None:
        """None: there is no such work (any more)."""
        job = self.find(id)
        if job is None:
            return None
        with self._lock:
            story = self._known.setdefault(id, _Story())
            story.read(job.events_path)
            return {"id": id, "kind": job.kind, "state": job.state(), **story.told()}

    def stop(self, id: str) -> None:
        if job := self.find(id):
            requests.ask(job.folder, "stop")

    def find(self, id: str) -> Job | None:
        """The job of an id, which is compared with those that there are: no path can be made of it."""
        return next((job for job in work.works() if job.id == id), None)

    def newest(self, kind: str) -> str | None:
        """The id of the last work of a kind."""
        return next((job.id for job in reversed(work.works()) if job.kind == kind), None)


class _Story:
    """What a work has said so far."""

    def __init__(self) -> None:
        self.offset = 0
        self.progress: dict[str, Any] = {}
        self.problems: list[dict[str, Any]] = []
        self.left = 0  # problems beyond those listed
        self.warnings: list[str] = []
        self.end: dict[str, Any] = {}

    def read(self, path: Path) -> None:
        events, self.offset = read_events(path, self.offset)
        for event in events:
            kind = event["kind"]
            if kind == "progress":
                self.progress = event
            elif kind == "problem" and len(self.problems) < SHOWN:
                self.problems.append(event)
            elif kind == "problem":
                self.left += 1
            elif kind == "warning":
                self.warnings.append(str(event.get("message", "")))
            elif kind in ("finished", "failed", "stopped"):
                self.end = event

    def told(self) -> dict[str, Any]:
        return {"progress": self.progress, "problems": self.problems, "more_problems": self.left,
                "warnings": self.warnings, "end": self.end}
