"""What is known of the copies in a folder that the tag editor has open: looks that were taken, and taking the others.

Looks are the doctor's, kept for both. Where some are missing, a work of its own takes them while the editor goes on
with those that there are; a person may stop it, and then it isn't begun again by itself.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dataset.doctor.alike import Copies, Shown
from dataset.doctor.job import looks
from dataset.doctor.known import Known
from dataset.doctor.look import Look
from dataset.editor.album import Entry
from gui.work import Works

KIND = "looks"
Stamp = tuple[int, int]  # of a file: when it was changed, and how long it is


class Copying:
    """Of one folder. `read` before `copies`: what is told stays as it was read, until it is read again."""

    def __init__(self, works: Works, root: Path):
        self._works, self._root = works, root
        self._lock = threading.Lock()
        self._looks: dict[Path, tuple[Stamp, Look]] = {}
        self._missing: dict[Path, Stamp] = {}
        self._unread: dict[Path, Stamp] = {}  # could not be decoded
        self._asked: dict[Path, Stamp] = {}  # of the work
        self._work = ""
        self._halted = False
        self._found: tuple[Any, Copies] = (None, Copies({}))
        self._generation = 0

    def read(self, entries: Sequence[Entry]) -> None:
        """Look up what is known by now."""
        with self._lock:
            there = {entry.path: stamp for entry in entries if not entry.gone and (stamp := _stamp(entry.path))}
            kept = {path: one for path, one in self._looks.items() if one[0] == there.get(path)}
            missing = {path: stamp for path, stamp in there.items() if path not in kept}
            fresh = _known(missing)
            self._generation += bool(fresh) or len(kept) < len(self._looks)
            self._looks = kept | fresh
            self._missing = {path: stamp for path, stamp in missing.items() if path not in fresh}

    def copies(self, entries: Sequence[Entry]) -> Copies:
        """By numbers of entries."""
        with self._lock:
            captioned = bytes(entry.source is not None for entry in entries)
            known = (self._generation, captioned)
            if self._found[0] != known:
                shown = {number: Shown(self._looks[entry.path][1], entry.width * entry.height, bool(captioned[number]))
                         for number, entry in enumerate(entries) if entry.path in self._looks and not entry.gone}
                self._found = known, Copies(shown)
            return self._found[1]

    def begin(self, again: bool = False) -> dict[str, Any]:
        """How far it is, after beginning to look at what is missing. `again`: also where that was stopped.

        `looked` of `pictures` are known; `unread` can't be decoded; `work` is the id of the work that is going on, ""
        for none."""
        with self._lock:
            self._followed()
            left = {path: stamp for path, stamp in self._missing.items() if self._unread.get(path) != stamp}
            if left and not self._work and (again or not self._halted):
                self._work = self._works.start(KIND, {"folder": str(self._root)})
                self._asked, self._halted = left, False
            return {"looked": len(self._looks), "pictures": len(self._looks) + len(self._missing),
                    "unread": len(self._missing) - len(left), "work": self._work}

    def _followed(self) -> None:
        """Take in how the work ended. What a whole look at the folder didn't find can't be read."""
        job = self._works.find(self._work) if self._work else None
        state = job.state() if job else "gone"
        if state in ("running", "queued"):
            return
        if state == "finished":
            self._unread |= {path: stamp for path, stamp in self._asked.items() if self._missing.get(path) == stamp}
        self._halted = self._halted or bool(self._work and state != "finished")
        self._work = ""


def _stamp(path: Path) -> Stamp | None:
    try:
        about = path.stat()
    except OSError:  # taken away meanwhile
        return None
    return about.st_mtime_ns, about.st_size


def _known(missing: dict[Path, Stamp]) -> dict[Path, tuple[Stamp, Look]]:
    if not missing or not looks().is_file():
        return {}
    with Known(looks()) as known:
        found = ((path, stamp, known.get(path)) for path, stamp in missing.items())
        return {path: (stamp, replace(look, thumbnail=b"")) for path, stamp, look in found if look}
