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

if TYPE_CHECKING:
    from trainer.needs.room import Room
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


def before_the_start(folder: Path, needed: Room, report: Report) -> None:
    """Refuse a run whose states can't be kept; warn if not all its checkpoints can."""
    require(folder, int(needed.least))
    free = shutil.disk_usage(folder).free
    if needed.files > 1 and free < needed.most + SPARE:
        report.warning(
            f"{needed.files - 1} checkpoints of {needed.file / 1e6:,.0f} MB may not fit: {free / 1e6:,.0f} MB are free "
            f"in {folder}. Free some space, or set save.keep_last"
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
