"""Where a data set is written: a folder that gets its name when it is whole, or a zip that is a stream.

Formats only add files by name; that no file lands outside or over another is seen to here.
"""

from __future__ import annotations

import io
import os
import secrets
import shutil
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from dataset import masks
from dataset.exchange.names import Names, contained
from dataset.exchange.record import Content, Record

CHUNK = 1 << 20
TEXTS = (".txt", ".caption", ".json", ".jsonl", ".csv", ".toml")  # what a zip makes smaller


class Target(Protocol):
    place: str  # what the set will be called by other programs: its path, or "" for a zip

    def open(self, name: str) -> contextmanager[BinaryIO]:
        """A new file to be written from beginning to end."""


def add(target: Target, name: str, content: Content) -> None:
    with target.open(name) as file:
        if isinstance(content, Path):
            with content.open("rb") as source:
                shutil.copyfileobj(source, file, CHUNK)
        else:
            file.write(Record(name, content).bytes())


def picture(target: Target, name: str, record: Record) -> None:
    """A record's picture under a name, and its mask in a folder beside it, where trainers look for it."""
    add(target, name, record.content)
    if record.mask:
        pure = PurePosixPath(name)
        add(target, (pure.parent / masks.FOLDER / f"{pure.stem}{record.mask.suffix}").as_posix(), record.mask)


def text(target: Target, name: str, words: str) -> None:
    with target.open(name) as file:
        file.write(words.encode("utf-8", "replace"))


class FolderTarget:
    """Files below `root`, which is being filled under another name than the one it will have, `place`."""

    def __init__(self, root: Path, place: Path):
        self.root, self.place = root, str(place)

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        path = self.root / _checked(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            yield file


class ZipTarget:
    """Entries of a zip that is written straight into a stream, which need not be able to go back."""

    place = ""

    def __init__(self, stream: BinaryIO):
        self._zip = zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=True)
        self._names = Names()

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        if self._names.free(_checked(name)) != name:
            raise FileExistsError(17, "two files of the set have the same name", name)
        entry = zipfile.ZipInfo(name, time.localtime()[:6])
        entry.external_attr = 0o644 << 16
        if name.lower().endswith(TEXTS):
            entry.compress_type = zipfile.ZIP_DEFLATED
        with self._zip.open(entry, "w", force_zip64=True) as file:
            yield file

    def close(self) -> None:
        self._zip.close()


class Buffer(io.RawIOBase):
    """A stream whose bytes are taken out as they come, so that a zip is sent while it is made."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


@contextmanager
def folder(place: Path) -> Iterator[FolderTarget]:
    """A new folder, which is there when the block has ended well and not at all otherwise. FileExistsError where there
    is something of that name, other than an empty folder."""
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = place.with_name(f".{secrets.token_hex(8)}.part")
    aside.mkdir()
    try:
        yield FolderTarget(aside, place)
        if place.is_dir() and not place.is_symlink() and not os.listdir(place):
            place.rmdir()  # Windows renames onto nothing, and elsewhere it is the same
        if os.path.lexists(place):
            raise FileExistsError(17, "it is there already", str(place))
        aside.rename(place)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def archive(place: Path) -> Iterator[ZipTarget]:
    """A new zip file, whole or not at all."""
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = place.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with aside.open("xb") as file:
            target = ZipTarget(file)
            try:
                yield target
            finally:
                target.close()  # also of what is thrown away: it would try later, when its file is closed
        if os.path.lexists(place):
            raise FileExistsError(17, "it is there already", str(place))
        aside.rename(place)
    finally:
        aside.unlink(missing_ok=True)


def _checked(name: str) -> str:
    if not contained(name) or name.startswith("/"):
        raise ValueError(f"no name for a file of a set: {name!r}")
    return name
