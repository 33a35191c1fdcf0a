"""One job's story, as pages tell it: each event in its folder is read once, and polls are answered from memory."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

from gui.curves import Curve
from jobs.events import read_events
from jobs.folder import Job

FRESH = 0.4  # seconds for which an answer is good enough: several browsers may ask at once
AT_ONCE = 1 << 20  # bytes of events; as objects they are many times as large
ENDINGS = ("finished", "stopped", "paused", "failed")
PICTURES = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp"}  # that a sample may be
AGAIN = ("resumed", "changed")  # what is said of a job between two processes that work on it
STRIP = 6  # captions that a page shows while they come
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


def number(value: Any) -> float:
    """An event's number. NaN and infinity come as text."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
