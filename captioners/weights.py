"""Where a captioner's model is: a folder that was typed, the toy world, or the hub's cache; else what a download takes.

Nothing is downloaded that nobody agreed to: size and licence are known before, from the captioner's own file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from captioners.base import Progress

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Published:
    """A model on the hub that is known to work."""

    licence: str
    bytes: int  # of the files that are needed
    files: tuple[str, ...]  # patterns of these files, as the hub's snapshot_download takes them
    about: str = ""  # what it is good for, in a few words
    revision: str = ""


@dataclass(frozen=True)
class Weights:
    """A model that was chosen. `folder` is None while it is not on this machine."""

    model: str  # as it was typed
    where: Literal["folder", "toy", "cache", "hub"]
    folder: Path | None
    missing: tuple[str, ...] = ()  # patterns of a half download that nothing matches
    published: Published | None = None  # None: nobody knows its size and licence here


def find(model: str, published: dict[str, Published]) -> Weights:
    """What a typed model means. Raises CaptionerError if it is neither a folder nor a hub name."""
    raise NotImplementedError


def fetch(weights: Weights, agreed: bool, progress: Progress) -> Weights:
    """The model on this machine: downloaded or repaired if `agreed`. Raises CaptionerError, which tells size, licence
    and how to agree."""
    raise NotImplementedError
