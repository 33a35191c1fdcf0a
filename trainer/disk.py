"""Whether what a run will write fits onto the disk: asked before the first step and before each save, so that a full
disk costs a warning and not the run."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from jobs.failures import disk_full
from trainer.optim import STATE
from trainer.state import KEPT

if TYPE_CHECKING:
    from trainer.config import TrainSettings
    from trainer.plan import Plan
    from trainer.report import Report

SPARE = 64_000_000  # bytes left to the log, the events and whatever else writes meanwhile


def require(folder: Path, size: int) -> None:
    """Raise the system's own error for a full disk where `size` bytes more, and some to spare, would not fit."""
    free = shutil.disk_usage(folder).free
    if free < size + SPARE:
        raise OSError(
            errno.ENOSPC,
            f"{os.strerror(errno.ENOSPC)}: {(size + SPARE) / 1e6:,.0f} MB are needed and {free / 1e6:,.0f} MB are free",
            str(folder),
        )


def before_the_start(folder: Path, config: TrainSettings, plan: Plan, weights: int, report: Report) -> None:
    """Refuse a run whose states can't be kept; warn if not all its checkpoints can. `weights`: of the adapters."""
    states = (KEPT + 1) * 4 * weights * (1 + bool(config.optimizer.ema_decay) + STATE[config.optimizer.name])
    one = weights * (4 if config.save.precision == "float32" else 2) * (1 + bool(config.optimizer.ema_decay))
    require(folder, states + one)
    count = min(len(plan.saves), config.save.keep_last or len(plan.saves))
    free = shutil.disk_usage(folder).free
    if count and free < states + one * (count + 1) + SPARE:
        report.warning(
            f"{count} checkpoints of {one / 1e6:,.0f} MB may not fit: {free / 1e6:,.0f} MB are free in {folder}. "
            "Free some space, or set save.keep_last"
        )


@contextmanager
def full_is_a_warning(report: Report) -> Iterator[None]:
    """A save in the middle of a run that does not fit: what was saved before stays, the run goes on, and the next save
    tries again, perhaps after someone has made room."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:  # torch's word for it is a RuntimeError
        if not disk_full(error):
            raise
        said, where = getattr(error, "strerror", "") or str(error), getattr(error, "filename", "") or "the job"
        report.warning(
            f"nothing was saved at this step ({said}). The run goes on, the last state stays, and the next save tries "
            f"again: make room on the disk of {where}"
        )
