"""Who has signed in. Kept as hashes in a private file, so that a restart of the window signs nobody out."""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from jobs.files import replace

LIFETIME = 30 * 24 * 3600  # seconds
NO_FILE = (0, 0)


@dataclass(frozen=True)
class Open:
    """A browser that is signed in. `id` names it on the page, and lets nobody in."""

    id: str
    began: float
    mine: bool


class Sessions:
    """Session ids handed out as cookies. They are bound to the password: another one ends them all.

    `path` None keeps them in memory only. The file holds one "hash expiry" line for each; it is read again when another
    window on the same workspace has changed it."""

    def __init__(self, path: Path | None, password: str):
        self._path = path
        self._password = password
        self._ends: dict[str, int] = {}
        self._read = NO_FILE  # which file it was that we have read

    def begin(self) -> str:
        """A new session's id, for the cookie."""
        session = secrets.token_urlsafe(32)
        self._keep(self._now() | {self._hash(session): int(time.time() + LIFETIME)})
        return session

    def knows(self, session: str) -> bool:
        return self._hash(session) in self._now()

    def open(self, session: str) -> list[Open]:
        """All that are open, the newest first. `session`: the one that asks."""
        mine = self._hash(session)
        ends = sorted(self._now().items(), key=lambda entry: -entry[1])
        return [Open(known[:16], end - LIFETIME, known == mine) for known, end in ends]

    def end(self, session: str) -> None:
        self._keep({known: end for known, end in self._now().items() if known != self._hash(session)})

    def end_named(self, id: str) -> None:
        """End one by the id that `open` gave it."""
        self._keep({known: end for known, end in self._now().items() if known[:16] != id})

    def end_others(self, session: str) -> None:
        """Sign out every browser but the one that asks."""
        self._keep({known: end for known, end in self._now().items() if known == self._hash(session)})

    def _now(self) -> dict[str, int]:
        """Those that have not run out."""
        if self._path and (changed := self._changed()) != self._read:
            self._read = changed
            text = self._path.read_text(encoding="ascii", errors="replace") if changed != NO_FILE else ""
            pairs = (line.split() for line in text.splitlines())
            self._ends = {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}
        return {known: end for known, end in self._ends.items() if end > time.time()}

    def _keep(self, ends: dict[str, int]) -> None:
        self._ends = ends
        if self._path:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            replace(self._path, "".join(f"{known} {end}\n" for known, end in ends.items()), private=True)
            self._read = self._changed()

    def _changed(self) -> tuple[int, int]:
        """Each change is another file under the name; by its time alone two within one tick would look the same."""
        assert self._path
        found = self._path.stat() if self._path.is_file() else None
        return (found.st_ino, found.st_mtime_ns) if found else NO_FILE

    def _hash(self, session: str) -> str:
        return hashlib.sha256(f"{self._password}\n{session}".encode()).hexdigest()
