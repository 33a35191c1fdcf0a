"""What copies are called: a pattern with {name}, {n} and {folder}, and what to do where two would be called alike."""

from __future__ import annotations

import hashlib
import string
from pathlib import Path

from dataset.prepare import unfit_for_names

MAX_STEM = 230  # bytes: room for an extension, "-masklabel", and what other programs add, within the usual 255
WORDS = ("name", "n", "folder")
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}


def wrong(pattern: str) -> str:
    """What is wrong with a pattern, in plain words; "" if nothing is."""
    if not pattern.strip():
        return "say what the copies are called; {name} keeps the names"
    try:
        parts = list(string.Formatter().parse(pattern))
        used = [part[1] for part in parts if part[1] is not None]
        if unknown := next((word for word in used if word not in WORDS), None):
            return f"{{{unknown}}} is not known; there are {', '.join(f'{{{word}}}' for word in WORDS)}"
        for _, word, form, conversion in parts:
            if conversion or (form and (word != "n" or not (form.removesuffix("d").isdigit() and len(form) < 4))):
                return "only {n} takes a form, its digits: {n:04}"
        text = filled(pattern, "a", 1, "b")
    except (ValueError, KeyError, IndexError):
        return "has a { or } without its partner; write {{ for a brace"
    if unfit := unfit_for_names(text):
        return f"becomes a file's name, and can't have {unfit}"
    return "" if "name" in used or "n" in used else "needs {name} or {n}, or all copies would be called alike"


def counts(pattern: str) -> bool:
    """Whether it gives every copy a number of its own."""
    return any(word == "n" for _, word, _, _ in string.Formatter().parse(pattern))


def filled(pattern: str, name: str, number: int, folder: str) -> str:
    return pattern.format(name=name, n=number, folder=folder)


def fitting(stem: str) -> str:
    """A stem that every system takes: what is too long is cut and told apart by a digest."""
    clean = stem.rstrip(" .") or "_"
    if clean.partition(".")[0].lower() in RESERVED:
        clean = f"_{clean}"
    if len(clean.encode(errors="surrogateescape")) <= MAX_STEM:
        return clean
    digest = hashlib.sha256(clean.encode(errors="surrogateescape")).hexdigest()[:8]
    return f"{clean.encode(errors='surrogateescape')[:MAX_STEM - 9].decode(errors='ignore')}-{digest}"


class Taken:
    """Which names are given in each folder, whatever their case: a copy must be a file of its own everywhere."""

    def __init__(self) -> None:
        self._owners: dict[tuple[Path, str], object] = {}

    def claim(self, folder: Path, stem: str, owner: object) -> bool:
        """Whether the name is its own, from now on."""
        return self._owners.setdefault((folder, stem.casefold()), owner) == owner
