"""Small copies of pictures for the page, made when first asked for and kept on disk."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from pathlib import Path

from PIL import Image

from dataset import pictures

SIDES = (64, 256, 768)  # the sizes that a page may ask for
KNOWN = 200_000  # pictures that have an id at one time: a few large data sets
AT_ONCE = threading.BoundedSemaphore(max(2, (os.cpu_count() or 2) // 2))  # decoding is work; the page should stay quick


class Thumbnails:
    """Pictures get an id when a data set is shown; only those can be asked for: no path ever comes from outside."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._paths: OrderedDict[str, Path] = OrderedDict()

    def id_of(self, path: Path) -> str:
        """The picture's id, from now on."""
        known = hashlib.blake2b(os.fsencode(path), digest_size=12).hexdigest()
        self._paths[known] = path
        self._paths.move_to_end(known)
        while len(self._paths) > KNOWN:
            self._paths.popitem(last=False)
        return known

    def path_of(self, picture: str) -> Path | None:
        return self._paths.get(picture)

    def small(self, path: Path, side: int) -> Path:
        """A WebP file of the picture, at most `side` pixels wide and high. Raises PictureError or OSError."""
        side = min(SIDES, key=lambda known: abs(known - side))
        about = path.stat()
        key = f"{os.fsdecode(path)}\n{about.st_mtime_ns}\n{about.st_size}\n{side}"
        name = hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
        target = self._folder / name[:2] / f"{name}.webp"
        if not target.exists():
            with AT_ONCE:
                self._make(path, side, target)
        return target

    def _make(self, path: Path, side: int, target: Path) -> None:
        picture = pictures.decoded(path, least=2 * side).image  # a photograph in a third of the time
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = target.with_name(f".{target.stem}-{threading.get_ident()}.partial")
        picture.save(aside, "WEBP", quality=82, method=2)
        os.replace(aside, target)
