"""What the Runs tab knows of each run: each event in its folder is read once, and polls are answered from memory."""

from __future__ import annotations

import math
import threading
import time
from pathlib import Path
from typing import Any

from gui.curves import Curve
from jobs.events import read_events
from jobs.folder import Job, jobs
from jobs.process import JobError

FRESH = 0.4  # seconds for which an answer is good enough: several browsers may ask at once
ENDINGS = ("finished", "stopped", "failed")


class Run:
    """One job's story so far."""

    def __init__(self, job: Job):
        self.job = job
        self._offset = 0
        self._read_at = -math.inf
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self.started: dict[str, Any] = {}
        self.phase: dict[str, Any] = {}
        self.last: dict[str, Any] = {}  # the last step
        self.end: dict[str, Any] = {}
        self.warnings: list[str] = []
        self.samples: dict[tuple[int, int], dict[str, Any]] = {}  # (step, prompt) -> event
        self.checkpoints: dict[str, int] = {}  # path -> step
        self.loss = Curve(smooth=True)
        self.rates: dict[str, Curve] = {}

    def refresh(self) -> Run:
        with self._lock:
            now = time.monotonic()
            if now - self._read_at > FRESH:
                events, offset = read_events(self.job.events_path, self._offset)
                if offset < self._offset:
                    self._begin()
                for event in events:
                    self._take(event)
                self._offset = offset
                self._read_at = now
        return self

    def _take(self, event: dict[str, Any]) -> None:
        kind = event["kind"]
        if kind == "step":
            self._step(event)
        elif kind == "started":
            self.started, self.phase, self.end = event, {}, {}
            self._forget_after(event.get("step", 0))
        elif kind == "phase":
            self.phase = event
        elif kind == "sample":
            self.samples[event.get("step", 0), event.get("index", 0)] = event
        elif kind == "checkpoint":
            self.checkpoints[str(event.get("path", ""))] = event.get("step", 0)
        elif kind == "warning":
            if (message := str(event.get("message", ""))) not in self.warnings:
                self.warnings.append(message)
        elif kind == "resumed":
            self.end, self.phase = {}, {}
        elif kind in ENDINGS:
            self.end, self.phase = event, {}

    def _step(self, event: dict[str, Any]) -> None:
        self.last, self.phase = event, {}
        step = event.get("step", 0)
        self.loss.add(step, number(event.get("loss")))
        for group, rate in (event.get("lrs") or {"lr": event.get("lr")}).items():
            self.rates.setdefault(group, Curve()).add(step, number(rate))

    def _forget_after(self, step: int) -> None:
        """A run that goes on from an older state repeats steps: what came after that state did not happen."""
        self.loss.cut(step)
        for rate in self.rates.values():
            rate.cut(step)
        if self.last.get("step", 0) > step:
            self.last = {}

    @property
    def step(self) -> int:
        return self.end.get("steps") or self.end.get("step") or self.last.get("step") or self.started.get("step", 0)

    @property
    def total(self) -> int:
        return self.started.get("total_steps", 0)


class Runs:
    """All runs of a workspace."""

    def __init__(self, home: Path):
        self._home = home
        self._runs: dict[str, Run] = {}
        self._list: list[Job] = []
        self._listed_at = -math.inf
        self._states: dict[str, tuple[float, str]] = {}
        self._lock = threading.Lock()

    def jobs(self) -> list[Job]:
        """Newest first."""
        with self._lock:
            if time.monotonic() - self._listed_at > FRESH:
                known = {job.id: job for job in self._list}  # keeps what was read of each folder
                self._list = [known.get(job.id, job) for job in jobs(self._home)]
                self._listed_at = time.monotonic()
            return self._list

    def find(self, run: str) -> Run | None:
        """A run by its id. An id that is not listed does not exist, whatever it may spell as a path."""
        job = next((job for job in self.jobs() if job.id == run), None)
        if job is None:
            return None
        with self._lock:
            return self._runs.setdefault(job.id, Run(job))

    def changed(self) -> None:
        """Look again at once: a job was just made or asked for something."""
        with self._lock:
            self._listed_at = -math.inf
            self._states.clear()

    def state(self, job: Job) -> str:
        """The job's state, at most a moment old."""
        asked, state = self._states.get(job.id, (-math.inf, ""))
        if time.monotonic() - asked > FRESH:
            state = job.state()
            self._states[job.id] = (time.monotonic(), state)
        return state

    def overview(self) -> list[dict[str, Any]]:
        """One line for each run, newest first."""
        return [self._line(job) for job in self.jobs()]

    def _line(self, job: Job) -> dict[str, Any]:
        state = self.state(job)
        line = {
            "id": job.id,
            "kind": job.kind,
            "name": job.name,
            "created": job.created,
            "state": state,
            "step": 0,
            "total": 0,
        }
        if state == "running" or job.id in self._runs:  # the others' events are read when someone looks at them
            run = self.find(job.id)
            if run:
                run.refresh()
                line |= {
                    "step": run.step,
                    "total": run.total,
                    "eta": run.last.get("eta"),
                    "phase": run.phase.get("name", ""),
                }
        elif last := last_word(job):
            line["step"] = last.get("steps") or last.get("step") or 0
        return line


def last_word(job: Job) -> dict[str, Any] | None:
    try:
        return job.last_event
    except (OSError, JobError):  # removed in this moment
        return None


def number(value: Any) -> float:
    """An event's number. NaN and infinity come as text."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
