"""What was done to the captions of folders, from the journals beside them, read again only after one has changed."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from dataset.journal import Entry, Journal

KEPT = 20  # folders


class Histories:
    """A page asks every few seconds, and a journal of many pictures takes a moment to read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[Path, tuple[list[tuple[str, int, int]], list[Entry]]] = {}

    def of(self, folder: Path) -> list[Entry]:
        """Newest first."""
        journal = Journal(folder)
        with self._lock:
            now = files(journal.folder)
            known, entries = self._known.pop(folder, (None, []))
            if known != now or any(entry.state == "running" for entry in entries):
                entries = journal.history()
            self._known[folder] = (now, entries)
            while len(self._known) > KEPT:
                del self._known[next(iter(self._known))]
            return entries

    def states(self, actions: dict[str, str]) -> set[str]:
        """The states of some actions: {folder: its action's id}."""
        wanted = [(Path(folder), action) for folder, action in actions.items()]
        return {entry.state for folder, action in wanted for entry in self.of(folder) if entry.id == action}


def files(folder: Path) -> list[tuple[str, int, int]]:
    try:
        return sorted((entry.name, entry.stat().st_mtime_ns, entry.stat().st_size) for entry in os.scandir(folder))
    except OSError:  # no journal yet, or one of its files went away in this moment
        return []
