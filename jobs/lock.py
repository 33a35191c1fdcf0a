"""One holder at a time, also between programs: a lock on a file, which the system lets go when its holder dies."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

if sys.platform == "win32":
    import msvcrt

    def _lock(file: BinaryIO) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

AGAIN = 0.02  # seconds between two tries


@contextmanager
def locked(path: Path, patience: float = 0) -> Iterator[bool]:
    """Hold the lock while the block runs: True. False where someone else holds it for longer than `patience` seconds.
    The file stays behind."""
    with path.open("ab") as file:
        yield _take(file, time.monotonic() + patience)  # closing the file lets go


def held(path: Path) -> bool:
    """Whether someone holds the lock. Asking takes it for a moment: whoever wants it has to have some patience."""
    if not path.exists():
        return False
    with locked(path) as free:
        return not free


def _take(file: BinaryIO, until: float) -> bool:
    while True:
        try:
            _lock(file)
        except (BlockingIOError, PermissionError):
            if time.monotonic() >= until:
                return False
            time.sleep(AGAIN)
        else:
            return True
