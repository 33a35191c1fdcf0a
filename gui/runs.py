"""What the Runs tab knows of each run: each event in its folder is read once, and polls are answered from memory.

Of runs that nobody looks at only the last words are known, of those that were looked at only the latest are kept whole:
a workspace may have hundreds, each of tens of thousands of steps.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gui.curves import Curve
from jobs.events import last_event, read_events
from jobs.folder import Job
from jobs.process import JobError

FRESH = 0.4  # seconds for which an answer is good enough: several browsers may ask at once
AT_ONCE = 1 << 20  # bytes of events; as objects they are many times as large
WHOLE = 24  # runs that are kept in memory, about a megabyte each
ENDINGS = ("finished", "stopped", "paused", "failed")
PICTURES = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp"}  # that a sample may be
AGAIN = ("resumed", "changed")  # what is said of a job between two processes that work on it
STRIP = 6  # captions that a page shows while they come
QUEUED = "queued.json"  # is there while a job waits for its turn
COUNTS = ("written", "same", "kept", "failed")  # what became of a captioning job's pictures


class Run:
    """One job's story so far."""

    def __init__(self, job: Job):
        self.job = job
        self._offset = 0
        self._read_at = -math.inf
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self.seconds = 0.0  # that processes worked on it, all together
        self._moment: float | None = None  # of the last event, while one works
        self.started: dict[str, Any] = {}
        self.phase: dict[str, Any] = {}
        self.last: dict[str, Any] = {}  # the last step
        self.end: dict[str, Any] = {}
        self.warnings: list[str] = []
        self.class_images = ""  # their folder, if it has some
        self.samples: dict[tuple[int, int], dict[str, Any]] = {}  # (step, prompt) -> event
        self.checkpoints: dict[str, int] = {}  # path -> step
        self.loss = Curve(smooth=True)
        self.rates: dict[str, Curve] = {}
        self.validation: dict[str, Curve] = {}  # the error on pictures that are held out: in all, and at each size

    def refresh(self) -> Run:
        with self._lock:
            now = time.monotonic()
            if now - self._read_at > FRESH:
                while self._read():
                    pass
                self._read_at = now
        return self

    def _read(self) -> bool:
        """Take what is new, as much as is wise at one time; whether there was anything."""
        events, offset = read_events(self.job.events_path, self._offset, AT_ONCE)
        if offset < self._offset:
            self._begin()
        for event in events:
            self._clock(event)
            self._take(event)
        before, self._offset = self._offset, offset
        return offset != before

    def _clock(self, event: dict[str, Any]) -> None:
        """Counts the time between two events of one process; what lies between two processes does not count."""
        moment = number(event.get("time"))
        if self._moment is not None and event["kind"] not in AGAIN and moment > self._moment:
            self.seconds += moment - self._moment
        self._moment = None if event["kind"] in (*AGAIN, *ENDINGS) or math.isnan(moment) else moment

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
        elif kind == "validation":
            self._validated(event)
        elif kind == "class_images":
            self.class_images = str(event.get("folder", ""))
        elif kind == "checkpoint":
            self.checkpoints[str(event.get("path", ""))] = event.get("step", 0)
        elif kind == "warning":
            if (message := str(event.get("message", ""))) not in self.warnings:
                self.warnings.append(message)
        elif kind == "resumed":
            self.end, self.phase = {}, {}
        elif kind == "changed":  # it goes on with other settings, more steps perhaps
            self.end, self.phase = {}, {}
            self.started = self.started | {"total_steps": event.get("total_steps", self.total)}
        elif kind in ENDINGS:
            self.end, self.phase = event, {}

    def _step(self, event: dict[str, Any]) -> None:
        self.last, self.phase = event, {}
        step = event.get("step", 0)
        self.loss.add(step, number(event.get("loss")))
        for group, rate in (event.get("lrs") or {"lr": event.get("lr")}).items():
            if group not in self.rates:
                self.rates[group] = Curve()
            self.rates[group].add(step, number(rate))

    def _validated(self, event: dict[str, Any]) -> None:
        step = event.get("step", 0)
        sizes = {f"held out, {side} px": loss for side, loss in (event.get("sizes") or {}).items()}
        for name, loss in ({"held out": event.get("loss")} | sizes).items():
            curve = self.validation.setdefault(name, Curve())
            curve.cut(step - 1)  # looked at again where a run went on
            curve.add(step, number(loss))

    def _forget_after(self, step: int) -> None:
        """A run that goes on from an older state repeats steps: what came after that state did not happen."""
        self.loss.cut(step)
        for curve in (*self.validation.values(), *self.rates.values()):
            curve.cut(step)
        if self.last.get("step", 0) > step:
            self.last = {}

    def file(self, name: str) -> Path | None:
        """A file of the run, by its name inside its folder; None for what is none, or is led out of it by a link."""
        path = self.job.folder / name
        real = path.resolve()
        return path if real.is_file() and real.is_relative_to(self.job.folder.resolve()) else None

    def sample(self, step: int, index: int) -> Path | None:
        """A picture that was drawn on the way."""
        path = self.file(str(self.samples.get((step, index), {}).get("path", "")))
        return path if path and path.suffix.lower() in PICTURES else None

    @property
    def step(self) -> int:
        return self.end.get("steps") or self.end.get("step") or self.last.get("step") or self.started.get("step", 0)

    @property
    def total(self) -> int:
        return self.started.get("total_steps", 0)


class CaptionRun(Run):
    """A captioning job's story: its steps are pictures, and what it makes are captions."""

    def _begin(self) -> None:
        super()._begin()
        self.captions: dict[str, dict[str, Any]] = {}  # picture -> event, in the order in which they were said
        self.problems: dict[str, dict[str, Any]] = {}  # picture -> event
        self.newest: deque[dict[str, Any]] = deque(maxlen=STRIP)  # what was said last, by whatever captioner

    def _take(self, event: dict[str, Any]) -> None:
        kind, picture = event["kind"], str(event.get("picture", ""))
        if kind == "progress":
            self.last, self.phase = event, {}
        elif kind == "caption":
            self.captions.pop(picture, None)  # said again by a resumed run: it comes last
            self.captions[picture] = event
            self.problems.pop(picture, None)
            self.newest.append(event)
        elif kind == "said":  # by one of several captioners, the caption is not made yet
            self.newest.append(event)
        elif kind == "problem":
            if self.captions.get(picture, {}).get("outcome") != "kept":  # that is told with the caption
                self.problems[picture] = event
        else:
            super()._take(event)

    def _forget_after(self, step: int) -> None:
        self.last = {}
        self.problems.clear()  # what failed is tried again
        self.newest.clear()

    @property
    def counts(self) -> dict[str, int]:
        """How many captions were written, were right already, were kept because of a change, and failed."""
        known = self.end if "written" in self.end else self.last
        return {name: int(known.get(name) or 0) for name in COUNTS}

    @property
    def step(self) -> int:
        """Pictures done; of several captioners, each does its part of every picture."""
        if self.end.get("kind") == "finished":
            return self.total
        passes = int(self.last.get("passes") or 1)
        done = (int(self.last.get("pass") or 1) - 1) * self.total + int(self.last.get("done") or 0)
        return done // max(passes, 1)

    @property
    def total(self) -> int:
        return int(self.last.get("total") or self.started.get("total") or 0)


KINDS: dict[str, type[Run]] = {"captions": CaptionRun}  # by the job's kind; any other is a training's


@dataclass
class Glance:
    """What a list says of a job, true until one of its files changes."""

    touched: tuple[Any, ...]
    asked: float = -math.inf
    state: str = ""
    word: str = ""  # what a page calls it: of what has not begun, whether it is in the queue
    last: dict[str, Any] = field(default_factory=dict)  # the last event
    step: dict[str, Any] = field(default_factory=dict)  # the last one of a step, or of progress


class Runs:
    """All runs of a workspace."""

    def __init__(self, home: Path):
        self._home = home
        self._whole: OrderedDict[str, Run] = OrderedDict()  # what was looked at last comes last
        self._list: list[Job] = []
        self._listed_at = -math.inf
        self._glances: dict[str, Glance] = {}
        self._lock = threading.Lock()

    def jobs(self) -> list[Job]:
        """Newest first."""
        with self._lock:
            if time.monotonic() - self._listed_at > FRESH:
                self._look()
                self._listed_at = time.monotonic()
            return self._list

    def _look(self) -> None:
        """As `jobs.folder.jobs`, but what is known of a folder is not read again; of one that went it is dropped."""
        known = {job.id: job for job in self._list}
        found = []
        for folder in (self._home / "jobs").iterdir():
            job = known.get(folder.name) or Job(folder)
            try:
                found.append((job.created, job.id, job))
            except JobError:
                continue
        self._list = [job for *_, job in sorted(found, key=lambda entry: entry[:2], reverse=True)]
        for gone in known.keys() - {job.id for job in self._list}:
            self._whole.pop(gone, None)
            self._glances.pop(gone, None)

    def find(self, run: str) -> Run | None:
        """A run by its id. An id that is not listed does not exist, whatever it may spell as a path."""
        job = next((job for job in self.jobs() if job.id == run), None)
        return self._of(job) if job else None

    def _of(self, job: Job) -> Run:
        with self._lock:
            run = self._whole.pop(job.id, None) or KINDS.get(job.kind, Run)(job)
            self._whole[job.id] = run
            while len(self._whole) > WHOLE:
                self._whole.popitem(last=False)
            return run

    def changed(self) -> None:
        """Look again at once: a job was just made or asked for something."""
        with self._lock:
            self._listed_at = -math.inf
            for glance in list(self._glances.values()):
                glance.asked = -math.inf

    def state(self, job: Job) -> str:
        """The job's state, at most a moment old."""
        return self.glance(job).state

    def glance(self, job: Job) -> Glance:
        """What is true of a job that does not run stays so until its files change. Whether a process still lives is not
        to be seen from files, so a running one is asked about again."""
        touched = tuple(stamp(path) for path in (job.events_path, job.folder / "process.json", job.folder / QUEUED))
        known = self._glances.get(job.id)
        if known is None or known.touched != touched or (
            known.state == "running" and time.monotonic() - known.asked > FRESH
        ):
            state = job.state()
            known = Glance(touched, time.monotonic(), state, word(state, job))
            try:
                known.last = last_event(job.events_path) or {}
                known.step = last_event(job.events_path, is_step) or {} if known.last else {}
            except OSError:  # removed in this moment
                pass
            self._glances[job.id] = known
        return known

    def overview(self, live: bool = False) -> list[dict[str, Any]]:
        """One line for each run, newest first; `live`: only those that run or wait."""
        return [self.line(job) for job in self.jobs() if not live or self.state(job) in ("running", "queued")]

    def line(self, job: Job) -> dict[str, Any]:
        glance = self.glance(job)
        line = {
            "id": job.id,
            "kind": job.kind,
            "name": job.name,
            "created": job.created,
            "state": glance.state,
            "word": glance.word,
            "step": 0,
            "total": 0,
        }
        if glance.state == "running":  # the others' events are read when someone looks at them
            run = self._of(job).refresh()
            return line | {
                "step": run.step,
                "total": run.total,
                "eta": run.last.get("eta"),
                "phase": run.phase.get("name", ""),
            }
        last, step = glance.last, glance.step
        done = last.get("steps") or last.get("step") or step.get("step")
        return line | {"step": done or sum(int(last.get(name) or 0) for name in COUNTS)}


def word(state: str, job: Job) -> str:
    """A state as pages call it."""
    if state != "queued":
        return state
    return "waiting" if (job.folder / QUEUED).exists() else "not queued"


def stamp(path: Path) -> tuple[int, int, int] | None:
    """Another one whenever a file was written or replaced."""
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_mtime_ns, about.st_size, about.st_ino


def is_step(event: dict[str, Any]) -> bool:
    return event["kind"] in ("step", "progress")


def number(value: Any) -> float:
    """An event's number. NaN and infinity come as text."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
