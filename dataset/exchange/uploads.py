"""Pictures that come from a browser, in parts: begun, gone on with after a lost connection, and made into a data set.

All files of an upload are one row of bytes, one behind the other in the order of a list. A part says where it begins;
it is taken if that is where the bytes so far end, and if its checksum is right. So a part that is lost, torn or sent
twice does no harm, and whoever sends the same list again goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import threading
import time
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from dataset.exchange.names import contained, is_junk
from dataset.exchange.unzip import SPARE, refusal
from dataset.files import synced
from dataset.problem import Problem, counted

PART = 4 << 20  # bytes in a part: small enough for every proxy, and a second or so on a slow line
LIMIT = 50e9  # bytes that may be on their way at one time, if the variable below says nothing
VARIABLE = "LORATORY_UPLOAD_LIMIT"  # in GB
MOST_FILES = 100_000
STALE = 14 * 24 * 3600  # seconds after which an upload that nobody goes on with is cleared away
ID = re.compile(r"[0-9a-f]{24}")


class UploadError(ValueError):
    """It can't go on like this: `status` as in HTTP, the message for the person, `offset` where to go on from."""

    def __init__(self, status: int, message: str, offset: int | None = None):
        super().__init__(message)
        self.status, self.offset = status, offset


@dataclass(frozen=True)
class Wanted:
    """A file that a browser offers."""

    path: str
    size: int
    modified: float = 0  # as the browser says; only tells two files apart


@dataclass(frozen=True)
class Begun:
    """What a browser is told: where to go on, and what it needn't send."""

    id: str
    offset: int
    total: int
    accepted: list[int]  # numbers in the list that was sent
    refused: list[Problem]


class Uploads:
    """Those below one folder. Safe to be asked by several threads."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._lock = threading.Lock()

    def begin(self, name: str, files: Iterable[Wanted]) -> Begun:
        """Begin, or go on with the same list. Raises UploadError where there is no room for it."""
        files = list(files)
        if len(files) > MOST_FILES:
            raise UploadError(413, f"At most {MOST_FILES:,} files at a time; upload a zip of them instead.")
        accepted, refused = sorted_out(files)
        if not accepted:
            why = f" {refused[0].path.name}: {refused[0].reason}." if refused else ""
            raise UploadError(415, f"There is nothing in it that a data set could use.{why}")
        total = sum(files[number].size for number in accepted)
        listed = [asdict(files[number]) for number in accepted]
        id = hashlib.sha256(json.dumps([name, listed]).encode(errors="replace")).hexdigest()[:24]
        with self._lock:
            self._sweep()
            upload = Upload(self.folder / id)
            if not upload.is_there():
                self._check_room(total)
                upload.create(name, listed, total)
            return Begun(id, upload.offset(), total, accepted, refused)

    def add(self, id: str, offset: int, data: bytes, checksum: int) -> int:
        """Take a part; how many bytes there are now. Raises UploadError."""
        upload = self.find(id)
        with self._lock:
            return upload.add(offset, data, checksum)

    def find(self, id: str) -> Upload:
        """Raises UploadError for one that isn't there (any more)."""
        upload = Upload(self.folder / id) if ID.fullmatch(id) else None
        if upload is None or not upload.is_there():
            raise UploadError(404, "This upload isn't known any more; begin it again.")
        return upload

    def discard(self, id: str) -> None:
        with self._lock:
            shutil.rmtree(self.find(id).folder, ignore_errors=True)

    def told(self) -> dict[str, Any]:
        """What a page says before anything is sent: how much may come, and what is half here."""
        unfinished = [upload.told() for upload in self.uploads()]
        return {"limit": limit(), "free": max(0, self._free()), "room": max(0, self._room()), "part": PART,
                "unfinished": unfinished}

    def uploads(self) -> list[Upload]:
        found = [Upload(path) for path in sorted(self.folder.glob("*")) if ID.fullmatch(path.name)]
        return [upload for upload in found if upload.is_there()]

    def _check_room(self, total: int) -> None:
        room = max(0, self._room())
        if total > room:
            raise UploadError(413, f"{_size(total)} are to come, and there is room for {_size(room)}: uploads may take "
                                   f"{_size(limit())} at a time ({VARIABLE}), and half of what is free on the disk.")

    def _room(self) -> float:
        """Bytes that may still be sent. Each is needed twice while the data set is made of them."""
        waiting = sum(upload.about()["total"] for upload in self.uploads())
        return min(limit() - waiting, self._free() / 2)

    def _free(self) -> int:
        near = next(path for path in (self.folder, *self.folder.parents) if path.is_dir())
        waiting = sum(upload.about()["total"] - upload.offset() for upload in self.uploads())
        return shutil.disk_usage(near).free - SPARE - waiting

    def _sweep(self) -> None:
        for upload in self.uploads():
            if time.time() - upload.touched() > STALE:
                shutil.rmtree(upload.folder, ignore_errors=True)


class Upload:
    """A folder with `upload.json`, what it is, `files.json`, the list, which may be long, and `bytes`, what came."""

    def __init__(self, folder: Path):
        self.folder, self.bytes, self._about = folder, folder / "bytes", folder / "upload.json"
        self._files = folder / "files.json"

    def is_there(self) -> bool:
        return self._about.is_file()

    def create(self, name: str, files: list[dict[str, Any]], total: int) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.bytes.touch()
        self._files.write_text(json.dumps(files), encoding="utf-8")
        about = {"name": name, "files": len(files), "total": total, "begun": time.time()}
        aside = self._about.with_suffix(".part")
        aside.write_text(json.dumps(about), encoding="utf-8")
        aside.replace(self._about)  # last: an upload without this file isn't there

    def about(self) -> dict[str, Any]:
        return json.loads(self._about.read_text(encoding="utf-8"))

    def offset(self) -> int:
        return self.bytes.stat().st_size

    def touched(self) -> float:
        return self.bytes.stat().st_mtime

    def told(self) -> dict[str, Any]:
        about = self.about()
        return {"id": self.folder.name, "name": about["name"], "files": about["files"], "total": about["total"],
                "offset": self.offset(), "begun": about["begun"]}

    def add(self, offset: int, data: bytes, checksum: int) -> int:
        there, total = self.offset(), self.about()["total"]
        if offset != there:
            raise UploadError(409, "This part belongs elsewhere.", there)
        if len(data) > PART or offset + len(data) > total:
            raise UploadError(413, "This part is too long.", there)
        if zlib.crc32(data) != checksum:
            raise UploadError(422, "This part was damaged on the way.", there)
        try:
            with self.bytes.open("ab") as file:
                file.write(data)
                if offset + len(data) == total:
                    synced(file.fileno())
        except OSError as error:
            os.truncate(self.bytes, there)
            raise UploadError(507, f"It can't be written: {error.strerror}. Make room on the disk.", there) from error
        return there + len(data)

    def is_whole(self) -> bool:
        return self.offset() == self.about()["total"]

    def files(self) -> list[tuple[str, int, int]]:
        """(name, where it begins, its size) of each."""
        found, start = [], 0
        for file in json.loads(self._files.read_text(encoding="utf-8")):
            found.append((file["path"], start, file["size"]))
            start += file["size"]
        return found

    def open(self, start: int, size: int, name: str) -> BinaryIO:
        """One of the files, to be read."""
        return io.BufferedReader(Stretch(self.bytes, start, size, name), 1 << 20)


class Stretch(io.RawIOBase):
    """A part of a file as a file of its own."""

    def __init__(self, path: Path, start: int, size: int, name: str):
        self._file, self._start, self._size, self._at = path.open("rb", buffering=0), start, size, 0
        self.name = name

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._file.seek(self._start + self._at)
        data = self._file.read(max(0, min(len(buffer), self._size - self._at)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError("before the beginning")  # as files do
        self._at = base + offset
        return self._at

    def close(self) -> None:
        self._file.close()
        super().close()


def sorted_out(files: list[Wanted]) -> tuple[list[int], list[Problem]]:
    """(numbers of the files to send, why others needn't be sent). What systems leave behind is passed over."""
    accepted, refused = [], []
    for number, file in enumerate(files):
        if is_junk(file.path):
            continue
        said = None if file.path.lower().endswith(".zip") else refusal(file.path)
        if not contained(file.path):
            said = "its name leads out of the folder", "rename it"
        elif file.size <= 0:
            said = "the file is empty", "leave it out, or save it again"
        if said:
            refused.append(Problem(Path(file.path[-200:].replace("\0", "")), *said))
        else:
            accepted.append(number)
    if len(refused) > 200:
        more = Problem(Path("…"), f"{counted(len(refused) - 200, 'more file')} of these sorts", "see above")
        refused[200:] = [more]
    return accepted, refused


def limit() -> float:
    """Bytes that may be on their way at one time."""
    try:
        return float(os.environ.get(VARIABLE) or LIMIT / 1e9) * 1e9
    except ValueError:
        return LIMIT


def _size(number: float) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"
