"""From what a process prints to log.txt: whole lines, without secrets, colours and the redrawing of progress bars.

The process writes into a file of its own, `output`, and never into a pipe: nobody whose death could end or stall it
stands between. Whoever watches over the job carries over what is new, and how far that has come is in `output.at`.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

from jobs.events import folded

RAW, AT, LOG, OLDER = "output", "output.at", "log.txt", "log.1.txt"
LIMIT = 20_000_000  # bytes of log.txt; then it becomes log.1.txt, and the one that was that goes
AT_ONCE = 1_000_000
LONGEST = 64 * 1024  # bytes of a line; a longer one is broken
BAR_SECONDS = 10.0  # between two lines of a progress bar that is still drawn
FULL = (errno.ENOSPC, errno.EDQUOT)


class Output:
    """One job's output on its way into its log. Only one process at a time may carry it over."""

    def __init__(self, folder: Path, redact: Callable[[str], str]):
        self._raw, self._at, self._log, self._older = (folder / name for name in (RAW, AT, LOG, OLDER))
        self._redact = redact
        self._offset = _number(self._at)
        self._bar_at = time.monotonic()
        self._missing = False  # lines that a full disk has cost

    def carry(self, last: bool = False) -> None:
        """Carry over what is new. `last`: nobody writes any more, so a line without an end counts as one."""
        while (data := self._read()) and (taken := self._carry(data, last)):
            self._offset += taken
            self._note()
        if self._offset > LIMIT and self._raw.exists() and self._raw.stat().st_size == self._offset:
            # The process appends, so it goes on at the new end. What it prints in this very moment would be lost.
            os.truncate(self._raw, 0)
            self._offset = 0
            self._note()

    def finish(self) -> None:
        """Carry over the rest, and leave only the log."""
        self.carry(last=True)
        try:
            self._raw.unlink(missing_ok=True)
            self._at.unlink(missing_ok=True)
        except PermissionError:  # on Windows, while a program that was left behind has it open
            self._note()

    def _read(self) -> bytes:
        try:
            with self._raw.open("rb") as file:
                if self._offset > file.seek(0, os.SEEK_END):
                    self._offset = 0
                file.seek(self._offset)
                return file.read(AT_ONCE)
        except FileNotFoundError:
            return b""

    def _carry(self, data: bytes, last: bool) -> int:
        """Write the lines in it; how many bytes that were."""
        end = len(data) if last else data.rfind(b"\n") + 1
        lines = data[:end].removesuffix(b"\n").split(b"\n") if end else []
        rest = data[end:]
        if not lines and len(rest) >= LONGEST:
            lines, end = [rest], len(data)
        elif (bar := rest.rfind(b"\r")) > 0 and time.monotonic() - self._bar_at > BAR_SECONDS:
            lines, end = [*lines, rest[:bar]], end + bar
        if lines:
            self._bar_at = time.monotonic()
            self._write([self._redact(folded(line)) for line in lines])
        return end

    def _write(self, lines: list[str]) -> None:
        text = ("\n[some lines are missing: the disk was full]\n" if self._missing else "") + "\n".join(lines) + "\n"
        try:
            with self._log.open("ab") as file:
                file.write(text.encode())
            self._missing = False
            if self._log.stat().st_size > LIMIT:
                os.replace(self._log, self._older)
        except OSError as error:
            if error.errno not in FULL and not isinstance(error, (FileNotFoundError, PermissionError)):
                raise
            self._missing = True  # the work is worth more than what is told of it

    def _note(self) -> None:
        try:
            self._at.write_text(f"{self._offset:<20}")  # always as long: a full disk has room for it once it is there
        except OSError:
            return  # whoever comes after us carries some lines over twice


def _number(path: Path) -> int:
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return 0
