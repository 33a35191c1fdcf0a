"""What was typed into a form, kept at every change: reloading the page or restarting the window loses nothing.

Only a token of the hub that was pasted into a field is not kept: its place is Settings, Tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jobs.files import replace
from jobs.secrets import without


class Drafts:
    """One JSON file for each form in a folder. Values are unchecked: a half-typed form is a fine draft."""

    def __init__(self, folder: Path):
        self._folder = folder

    def load(self, name: str) -> dict[str, Any]:
        """What was saved last; empty if there is nothing, or nothing legible."""
        try:
            values = json.loads(self._path(name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return values if isinstance(values, dict) else {}

    def save(self, name: str, values: dict[str, Any]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        replace(self._path(name), without(json.dumps(values), {}))

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"
