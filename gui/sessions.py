"""Who has signed in. Kept as hashes in a private file, so that a restart of the window signs nobody out."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from pathlib import Path

LIFETIME = 30 * 24 * 3600  # seconds


class Sessions:
    """Session ids handed out as cookies. They are bound to the token: another token ends them all.

    `path` None keeps them in memory only. The file holds one "hash expiry" line for each."""

    def __init__(self, path: Path | None, token: str):
        self._path = path
        self._token = token
        self._ends: dict[str, float] = {}
        if path and path.is_file():
            pairs = (line.split() for line in path.read_text(encoding="ascii", errors="replace").splitlines())
            self._ends = {pair[0]: float(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}

    def begin(self) -> str:
        """A new session's id, for the cookie."""
        session = secrets.token_urlsafe(32)
        now = time.time()
        self._ends = {known: end for known, end in self._ends.items() if end > now}
        self._ends[self._hash(session)] = int(now + LIFETIME)
        if self._path:
            self._write()
        return session

    def knows(self, session: str) -> bool:
        return self._ends.get(self._hash(session), 0) > time.time()

    def _hash(self, session: str) -> str:
        return hashlib.sha256(f"{self._token}\n{session}".encode()).hexdigest()

    def _write(self) -> None:
        assert self._path
        self._path.parent.mkdir(parents=True, exist_ok=True)
        aside = self._path.with_name(self._path.name + ".partial")
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.writelines(f"{known} {int(end)}\n" for known, end in self._ends.items())
        os.replace(aside, self._path)
