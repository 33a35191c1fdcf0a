"""Names of files that strangers have chosen, made such that a file lands where it is meant to and nowhere else.

A name keeps all that this system can hold: a caption's file finds its picture by the name alone.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from dataset.pictures import EXTENSIONS
from dataset.scan import SYSTEM_FOLDERS

LONGEST = 240  # bytes of one part: 255 less room for "_2", another extension, the name while it is written
LONGEST_PATH = 2000  # bytes of all parts together: systems take 4,096 with what comes in front
DEEPEST = 40  # folders inside each other
JUNK = {"thumbs.db", "desktop.ini", "ehthumbs.db", "icon\r"}
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
STEERING = re.compile("[\u202a-\u202e\u2066-\u2069\u200e\u200f]")  # turns the rest of a name around: gpj.exe


def contained(name: str, windows: bool = os.name == "nt") -> str:
    """A path with slashes that stays inside whatever folder it is put below; "" where it leads out, or nowhere."""
    path = name.replace("\\", "/")
    if path.startswith("/") or re.match(r"[A-Za-z]:", path) or "\0" in path:
        return ""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or ".." in (part.strip() for part in parts) or len(parts) > DEEPEST:
        return ""
    inside = "/".join(_part(part, windows) for part in parts)
    return inside if len(inside.encode()) < LONGEST_PATH and not re.match(r"[A-Za-z]:", inside) else ""


def is_junk(name: str) -> bool:
    """What systems leave in folders and zips: no person's file. Hidden files are passed over like everywhere."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    hidden = (part.startswith(".") and part.strip() != ".." for part in parts)
    return any(hidden) or any(part in SYSTEM_FOLDERS or part.lower() in JUNK for part in parts)


def is_picture(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in EXTENSIONS


class Names:
    """Hands out names inside one set, no two the same whatever their case. With `stems` they differ before the
    extension already, because that is what a caption's file is found by."""

    def __init__(self, stems: bool = False):
        self._stems = stems
        self._taken: set[str] = set()

    def free(self, name: str) -> str:
        pure = PurePosixPath(name)
        free, number = pure, 2
        while self._key(free) in self._taken:
            tail = f"_{number}"
            stem = _short(pure.stem, LONGEST - len(tail) - len(pure.suffix.encode()))
            free, number = pure.with_name(f"{stem}{tail}{pure.suffix}"), number + 1
        self._taken.add(self._key(free))
        return free.as_posix()

    def _key(self, path: PurePosixPath) -> str:
        text = path.with_suffix("").as_posix() if self._stems and path.suffix else path.as_posix()
        return unicodedata.normalize("NFC", text).casefold()


def walk(root: Path) -> Iterator[Path]:
    """Every file below a folder by name, hidden ones and systems' own left out; links to folders are not followed."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in SYSTEM_FOLDERS)
        yield from (Path(folder, name) for name in sorted(files) if not name.startswith("."))


def below(root: Path, name: str) -> Path | None:
    """The file that a table below `root` names, links resolved; None where it isn't there or leads out."""
    inside = contained(name)
    if not inside:
        return None
    # The name as it stands, too: a table may have been written on a system with other rules
    for path in (root / name.replace("\\", "/"), root / inside, root / name):
        real = Path(os.path.realpath(path))
        if real.is_relative_to(os.path.realpath(root)) and real.is_file():
            return path
    return None


def _part(part: str, windows: bool) -> str:
    part = "".join("_" if unicodedata.category(char) in ("Cc", "Cs") else char for char in part)
    part = STEERING.sub("_", part)
    if windows:
        part = re.sub(r'[<>:"|?*]', "_", part).rstrip(". ") or "_"
        if part.partition(".")[0].strip().lower() in RESERVED:
            part = f"_{part}"
    if len(part.encode()) > LONGEST:
        stem, suffix = os.path.splitext(part)
        part = _short(stem, LONGEST - len(suffix.encode())) + suffix if len(suffix) < 16 else _short(part, LONGEST)
    return part


def _short(text: str, room: int) -> str:
    """A text of at most `room` bytes, still different from others that begin alike."""
    if len(text.encode()) <= room:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{text.encode()[: room - 9].decode(errors='ignore')}-{digest}"
