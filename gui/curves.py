"""A curve of a run, kept whole here and sent thinned out: 20,000 steps drawn as they are would stall the browser."""

from __future__ import annotations

import math
import threading
from array import array
from typing import Any

import numpy as np

MEMORY = 0.98  # of the smoothed line: it follows about the last fifty steps


class Curve:
    """Values by step. `smooth` also keeps a running mean, corrected for its start (as Adam's). One request may read it
    while another adds what is new: an array that is being copied can't grow."""

    def __init__(self, smooth: bool = False):
        self._lock = threading.RLock()
        self._begin(smooth)

    def _begin(self, smooth: bool) -> None:
        self._steps = array("q")
        self._values = array("f")  # seven digits are enough for a curve, and there may be many
        self._means = array("f") if smooth else None
        self._sum = self._weight = 0.0

    def __len__(self) -> int:
        return len(self._steps)

    def add(self, step: int, value: float) -> None:
        with self._lock:
            self._steps.append(step)
            self._values.append(value)
            if self._means is not None:
                self._means.append(self._mean(value))

    def _mean(self, value: float) -> float:
        if math.isfinite(value):
            self._sum = MEMORY * self._sum + (1 - MEMORY) * value
            self._weight = MEMORY * self._weight + (1 - MEMORY)
        return self._sum / self._weight if self._weight else math.nan

    def cut(self, step: int) -> None:
        """Forget what lies after a step."""
        with self._lock:
            kept = [(s, v) for s, v in zip(self._steps, self._values) if s <= step]
            if len(kept) == len(self):
                return
            self._begin(smooth=self._means is not None)
            for s, v in kept:
                self.add(s, v)

    def thinned(self, points: int) -> dict[str, list[Any]]:
        """At most `points` stretches of steps, each as its last step, lowest, highest and (smoothed) last value.

        Lowest and highest keep every spike visible. `lost` are steps whose value was not a number."""
        with self._lock:
            steps, values = np.array(self._steps), np.array(self._values)
            means = np.array(self._means) if self._means is not None else values
        if not len(steps):
            return {"steps": [], "low": [], "high": [], "mean": [], "lost": []}
        edges = np.unique(np.linspace(0, len(steps), min(points, len(steps)) + 1).astype(int))
        starts, ends = edges[:-1], edges[1:] - 1
        finite = np.isfinite(values)
        low = np.minimum.reduceat(np.where(finite, values, np.inf), starts)
        high = np.maximum.reduceat(np.where(finite, values, -np.inf), starts)
        return {
            "steps": steps[ends].tolist(),
            "low": rounded(low),
            "high": rounded(high),
            "mean": rounded(means[ends]),
            "lost": steps[~finite][:100].tolist(),
        }


def rounded(values: np.ndarray) -> list[float | None]:
    """Five digits are more than a screen can show; None for what is not a number (JSON has no word for it)."""
    return [float(f"{value:.5g}") if math.isfinite(value) else None for value in values.tolist()]
