"""Wishes to a running job: an empty file each in its `requests` folder, looked at once a step, removed when taken."""

from __future__ import annotations

from pathlib import Path

WISHES = ("stop", "save", "sample")


def ask(folder: Path, wish: str) -> None:
    """Leave a wish. Raises ValueError for one that no job knows."""
    if wish not in WISHES:
        raise ValueError(f"{wish!r} is not one of {', '.join(WISHES)}")
    place = folder / "requests"
    place.mkdir(exist_ok=True)
    (place / wish).touch()


def waiting(folder: Path) -> set[str]:
    """The wishes that nobody has taken yet."""
    return {wish for wish in WISHES if (folder / "requests" / wish).exists()}


def take(folder: Path) -> set[str]:
    """The wishes left since last time; each is handed out once."""
    wishes = waiting(folder)
    for wish in wishes:
        (folder / "requests" / wish).unlink(missing_ok=True)
    return wishes
