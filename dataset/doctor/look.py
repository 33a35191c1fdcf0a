"""Everything that the checks want to know of one picture, taken from a single decode.

The picture is first made small, by the JPEG decoder itself where it is one and by averaging whole blocks: what follows
then costs little beside decoding, and pictures of different sizes become comparable. Looking at many pictures is done
in threads, because Pillow decodes without the interpreter's lock.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from dataset.doctor import hashes
from dataset.doctor.measure import Quality, measure, reduced
from dataset.pictures import Decoded, PictureError, decoded

FINE, COARSE = 380, 128  # pixels of the longer side, at least, where the picture has them; at most twice as many
THUMBNAIL = 112
AHEAD = 4  # pictures a thread that are begun before their results are asked for


@dataclass(frozen=True)
class Look:
    """One picture. Shares are 0..1."""

    format: str  # of the content: "JPEG", "PNG", …
    turned: bool  # upright only because its EXIF says so
    animated: bool
    transparent: bool
    bytes: int
    sha256: str  # of the file
    content: str  # the same for files that show the same pixels, whatever else is in them
    print: hashes.Print
    mirrored: hashes.Print
    quality: Quality
    thumbnail: bytes = b""  # JPEG, empty where none was asked for


def look(path: Path, thumbnail: bool = False) -> Look:
    """Decode the picture and measure it; raises PictureError."""
    picture = decoded(path, least=FINE)
    fine = reduced(picture.image, FINE)
    coarse = reduced(fine, COARSE)
    own, mirrored = hashes.of(coarse)
    return Look(
        format=picture.format,
        turned=picture.turned,
        animated=picture.animated,
        transparent=picture.transparent,
        bytes=_size(path),
        sha256=_digest(path),
        content=_content(picture, coarse),
        print=own,
        mirrored=mirrored,
        quality=measure(fine, coarse),
        thumbnail=_thumbnail(coarse) if thumbnail else b"",
    )


class Memory(Protocol):
    """Where looks may be that were taken before, as `known.Known` is."""

    def get(self, path: Path) -> Look | None: ...
    def put(self, path: Path, look: Look) -> None: ...


def looks(paths: Iterable[Path], thumbnails: bool = False, known: Memory | None = None,
          ) -> Iterator[tuple[Path, Look | PictureError]]:
    """A look at each of many pictures, in their order, or why it failed. As many threads as there are cores, and only
    a few pictures in memory at a time. What is known isn't decoded again."""
    threads = os.cpu_count() or 1
    waiting: list[tuple[Path, Look | None, Future[Look | PictureError] | None]] = []

    def first() -> tuple[Path, Look | PictureError]:
        path, before, future = waiting.pop(0)
        if future is None:
            return path, before
        found = future.result()
        if known and isinstance(found, Look):
            known.put(path, found)
        return path, found

    with ThreadPoolExecutor(threads) as pool:
        for path in paths:
            before = known.get(path) if known else None
            new = before is None or (thumbnails and not before.thumbnail)
            waiting.append((path, before, pool.submit(partial(_looked, path, thumbnails)) if new else None))
            if len(waiting) > AHEAD * threads:
                yield first()
        while waiting:
            yield first()


def _looked(path: Path, thumbnail: bool) -> Look | PictureError:
    try:
        return look(path, thumbnail)
    except PictureError as error:
        return error


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise PictureError(f"the file can't be read ({error.strerror})", "scan the folder again") from error


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise PictureError(f"the file can't be read ({error.strerror})", "scan the folder again") from error


def _content(picture: Decoded, coarse: Image.Image) -> str:
    """Of the averages of all blocks: hashing every pixel of a large picture costs about as much as decoding it, and
    finds no other pair unless two pictures differ by less than training can see."""
    digest = hashlib.blake2b(repr(picture.size).encode(), digest_size=32)  # four times as quick as SHA-256
    digest.update(np.asarray(coarse))
    return digest.hexdigest()


def _thumbnail(coarse: Image.Image) -> bytes:
    image = coarse.copy()
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=70)
    return buffer.getvalue()
