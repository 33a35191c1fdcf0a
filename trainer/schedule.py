"""The learning rate as a pure function of the step.

There is no scheduler object: the rate of step n is computed from n, so a resumed run can't be off by one, gradient
accumulation can't stretch the warm-up, and the window can draw the curve without torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainer.config import ScheduleSettings


def warmup_steps(settings: ScheduleSettings, total_steps: int) -> int:
    """Optimiser steps over which the rate rises; at most all of them."""
    return min(total_steps, round(settings.warmup * total_steps))


def schedule(settings: ScheduleSettings, total_steps: int) -> Callable[[int], float]:
    """step -> share of the full learning rate (0 to 1) for that optimiser step, counted from 0.

    It rises from 0 over the warm-up, then follows the named curve so that `total_steps`, the step after the last, would
    have `minimum` (but for a constant rate and an inverse square root, which never arrives). Beyond the end it stays
    there.
    """
    warmup = warmup_steps(settings, total_steps)
    curve = _CURVES[settings.name]
    floor = 0.0 if settings.name == "constant" else settings.minimum

    def multiplier(step: int) -> float:
        if step < warmup:
            return step / warmup
        progress = min(1.0, (step - warmup) / max(1, total_steps - warmup))
        return floor + (1.0 - floor) * curve(progress, settings)

    return multiplier


def _restarts(progress: float, settings: ScheduleSettings) -> float:
    return 0.0 if progress >= 1.0 else _cosine(settings.cycles * progress % 1.0)


def _cosine(progress: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def _stable_then_falling(progress: float, settings: ScheduleSettings) -> float:
    """Warm-up, stable, decay (Hu et al., arXiv 2404.06395)."""
    return 1.0 if progress < 1.0 - settings.decay else _cosine((progress - (1.0 - settings.decay)) / settings.decay)


def _inverse_root(progress: float, settings: ScheduleSettings) -> float:
    """The fall of Vaswani et al. (arXiv 1706.03762, section 5.3), 1 / sqrt(step / warm-up), in shares of the run, so
    that its shape does not depend on the number of steps. Without a warm-up a twentieth of the run stands for it."""
    start = settings.warmup or 0.05
    return math.sqrt(start / (start + progress * (1.0 - settings.warmup)))


# Share of the full rate that is left, at a progress of 0 to 1 after the warm-up.
_CURVES: dict[str, Callable[[float, ScheduleSettings], float]] = {
    "constant": lambda progress, settings: 1.0,
    "linear": lambda progress, settings: 1.0 - progress,
    "cosine": lambda progress, settings: _cosine(progress),
    "cosine_restarts": _restarts,
    "polynomial": lambda progress, settings: (1.0 - progress) ** settings.power,
    "inverse_sqrt": _inverse_root,
    "warmup_stable_decay": _stable_then_falling,
    # Chen, Wolfe and Kyrillidis, arXiv 2107.04197: stays high for long, then falls ever faster.
    "rex": lambda progress, settings: (1.0 - progress) / (1.0 - progress / 2),
}
