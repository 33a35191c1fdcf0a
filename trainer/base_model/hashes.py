"""The hashes of a single-file base model, by which A1111 and model sites know it. To read seven gigabytes takes a
while, so the long one is reckoned beside the training, and remembered for as long as the file stays what it was."""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path

from jobs.files import home, read_json, replace
from settings.paths import located

_AT_WORK = threading.Lock()


def short(base: str) -> str | None:
    """The eight digits of A1111's first kind of hash, of 64 KiB alone; None for folders and hub names."""
    path = located(base)
    if path is None or not path.is_file():
        return None
    with path.open("rb") as file:
        file.seek(0x100000)
        return hashlib.sha256(file.read(0x10000)).hexdigest()[:8]


def begin(base: str) -> None:
    """Start to reckon the long one, in a thread that no process waits for at its end."""
    threading.Thread(target=long, args=(base,), daemon=True).start()


def long(base: str) -> str | None:
    """The SHA-256 of all of it, at once if it is known, else when it is reckoned; None for folders and hub names."""
    path = located(base)
    if path is None or not path.is_file():
        return None
    with _AT_WORK:  # who asks while it is under way waits for it
        fact, known = path.stat(), read_json(notebook()) or {}
        stamp = [fact.st_size, fact.st_mtime_ns]
        found = known.get(str(path))
        if not isinstance(found, list) or found[:2] != stamp:
            with path.open("rb") as file:
                found = [*stamp, hashlib.file_digest(file, "sha256").hexdigest()]
            notebook().parent.mkdir(parents=True, exist_ok=True)
            replace(notebook(), json.dumps({**known, str(path): found}))
        return found[2]


def notebook() -> Path:
    """{path: [size, when it changed, digits]}."""
    return home() / "cache" / "base-hashes.json"
