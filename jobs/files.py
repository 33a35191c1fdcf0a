"""Small files that others read while we write them: whole or not there, never half."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]


def home() -> Path:
    """The workspace, for all that the program writes of its own accord: LORATORY_HOME, else `workspace` beside us."""
    root = Path(os.environ.get("LORATORY_HOME") or REPOSITORY / "workspace").expanduser().absolute()
    for name in ("jobs", "presets", "drafts", "cache"):
        (root / name).mkdir(parents=True, exist_ok=True)
    return root


def replace(path: Path, text: str, private: bool = False) -> None:
    """Write a file whole or not at all: a crash, a lost power or a full disk leaves the old one. `private`: nobody but
    its owner can ever read it, also while it is written."""
    aside = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    mode = 0o600 if private else 0o666
    try:
        with open(aside, "w", encoding="utf-8", newline="\n",
                  opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        _rename(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def _rename(aside: Path, path: Path) -> None:
    """Windows refuses to replace a file while someone reads it, which takes them a moment."""
    for _ in range(20 if sys.platform == "win32" else 0):
        try:
            return os.replace(aside, path)
        except PermissionError:
            time.sleep(0.01)
    os.replace(aside, path)


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a file, or None where there is no such file or nothing sensible in it."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return value if isinstance(value, dict) else None
