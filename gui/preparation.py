"""Preparing training data beside the page: the copying goes on when the page is reloaded, and pages ask for news."""

from __future__ import annotations

import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dataset.prepare import Preparation, PrepareError, PrepareSettings, copying, preview
from dataset.problem import Problem

SHOWN = 200  # copies and problems that a page lists; the sentence has the whole numbers


class Preparing:
    """At most one preparation at a time. `report()` is what the page shows."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._report: dict[str, Any] = {"state": "none"}

    def report(self) -> dict[str, Any]:
        with self._lock:
            return dict(self._report)

    def look(self, settings: PrepareSettings) -> None:
        """Report what would be copied. Raises SettingsError."""
        if not self._busy():
            self._say("preview", preview(settings))

    def begin(self, settings: PrepareSettings) -> None:
        """Start copying. Raises SettingsError. Does nothing while copying goes on."""
        if self._busy():
            return
        preparation = preview(settings)
        self._say("copying", preparation, done=0, total=len(preparation.copies) + len(preparation.texts))
        threading.Thread(target=self._copy, args=(preparation,), name="prepare", daemon=True).start()

    def _copy(self, preparation: Preparation) -> None:
        try:
            for done, total, _ in copying(preparation):
                self._say("copying", preparation, done=done, total=total)
        except PrepareError as error:
            self._say("failed", preparation, message=str(error))
        else:
            self._say("done", preparation)

    def _busy(self) -> bool:
        return self.report()["state"] == "copying"

    def _say(self, state: str, preparation: Preparation, **more: Any) -> None:
        target = preparation.folders[0].parent
        report = {
            "state": state,
            "sentence": preparation.sentence,
            "destination": str(target),
            "copies": [[str(source), relative(path, target)] for source, path in preparation.copies[:SHOWN]],
            "copied": len(preparation.copies) + len(preparation.texts),
            "problems": problems(preparation.problems),
        }
        with self._lock:
            self._report = report | more


def problems(found: list[Problem]) -> list[dict[str, Any]]:
    """Problems as the page lists them, files that are left out first."""
    listed = sorted(found, key=lambda problem: problem.used)[:SHOWN]
    return [asdict(problem) | {"path": str(problem.path), "name": problem.path.name} for problem in listed]


def relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
