"""Masks: where in a picture a trainer should look. White is learnt, black is not.

Ours lie in a folder `masks` beside the pictures, as PNG files of grey with the picture's name: kohya
(`conditioning_data_dir`), ai-toolkit and diffusion-pipe (`mask_path`) read exactly that, and none of them takes it for
pictures. OneTrainer's `a-masklabel.png` and the common `a_mask.png`, beside `a.jpg`, are understood too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from dataset import pictures

FOLDER = "masks"
SUFFIXES = ("-masklabel", "_mask")  # of a stem, beside the picture
ENDINGS = (".png", ".webp", ".jpg", ".jpeg")  # in the folder; ours are the first


def place(picture: Path) -> Path:
    """Where a picture's mask is written."""
    return picture.parent / FOLDER / f"{picture.stem}.png"


def find(picture: Path) -> Path | None:
    """A picture's mask; None if it has none."""
    return Masks().find(picture)


class Masks:
    """Finds the masks of many pictures. Each folder is listed once, when it is first asked about."""

    def __init__(self) -> None:
        self._names: dict[str, frozenset[str]] = {}

    def find(self, picture: Path) -> Path | None:
        folder, name = os.path.split(picture)
        stem = os.path.splitext(name)[0]
        inner, beside = self._listing(os.path.join(folder, FOLDER)), self._listing(folder)
        found = next((stem + ending for ending in ENDINGS if stem + ending in inner), None)
        if found:
            return picture.parent / FOLDER / found
        names = (f"{stem}{suffix}.png" for suffix in SUFFIXES)
        return next((picture.with_name(other) for other in names if other in beside and other != name), None)

    def _listing(self, folder: str) -> frozenset[str]:
        if folder not in self._names:
            try:
                with os.scandir(folder) as entries:
                    self._names[folder] = frozenset(entry.name for entry in entries if entry.is_file())
            except OSError:
                self._names[folder] = frozenset()
        return self._names[folder]


def read(path: Path) -> Image.Image:
    """The mask as grey, 8 bit. Raises PictureError."""
    return pictures.read(path).convert("L")


def among(names: Iterable[str]) -> set[str]:
    """Which of the files of a folder are masks of others in it, by their names."""
    names = [name for name in names if _is_picture(name)]
    if not any(suffix in name for suffix in SUFFIXES for name in names):
        return set()
    stems = {name: os.path.splitext(name)[0] for name in names}
    known = set(stems.values())
    return {name for name, stem in stems.items()
            if any(stem.endswith(suffix) and stem.removesuffix(suffix) in known for suffix in SUFFIXES)}


def is_folder_of(path: Path, names: Iterable[str]) -> bool:
    """Whether a folder holds masks of the pictures (by `names`) that lie beside it."""
    if path.name.lower() != FOLDER:
        return False
    stems = {os.path.splitext(name)[0] for name in names if _is_picture(name)}
    try:
        return any(os.path.splitext(name)[0] in stems for name in os.listdir(path) if _is_picture(name))
    except OSError:
        return False


def _is_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in pictures.EXTENSIONS
