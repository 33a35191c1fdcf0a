"""Unpacking a stranger's zip: nothing lands outside its folder, and nothing fills the disk.

What a zip says of itself is checked first, and what comes out is counted again, because it may lie. A zip that is
made to do harm is refused whole; files that a data set has no use for are passed over and told.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import struct
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from dataset.exchange.names import Names, contained, is_junk
from dataset.pictures import EXTENSIONS, FOREIGN
from dataset.problem import Problem, counted
from dataset.scan import COUNTED

CHUNK = 1 << 20
MOST_FILES = 200_000
MOST_BYTES = 200_000_000_000
RATIO = 100  # bytes out of one: pictures are packed already, and no text of a data set gets so much smaller
FREE = 1_000_000  # bytes out that no ratio is asked of
SPARE = 500_000_000  # bytes of the disk that stay free
TEXTS = frozenset({".txt", ".caption", ".json", ".jsonl", ".csv", ".tsv", ".parquet", ".toml"})
KNOWN = EXTENSIONS | TEXTS
BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, ValueError, RuntimeError,
          UnicodeDecodeError)

Progress = Callable[[str, int, int], object]
Entries = list[tuple[zipfile.ZipInfo, str]]  # with the name that each gets


class ZipError(ValueError):
    """A zip that isn't unpacked; the message says why and what to do."""


def unzip(file: Path | BinaryIO, place: Path, limit: int = MOST_BYTES,
          progress: Progress = lambda *_: None) -> list[Problem]:
    """Unpack below `place`, at most `limit` bytes; what was left out. Raises ZipError, OSError for the disk."""
    try:
        with zipfile.ZipFile(file) as archive:
            entries, problems = _chosen(Path(str(getattr(file, "name", file))), archive, limit)
            free = shutil.disk_usage(place).free - SPARE
            _extract(archive, entries, place, min(limit, free), progress)
    except ZipError:
        raise
    except BROKEN as error:
        raise ZipError(f"the zip is damaged ({error}); make it again") from error
    except OSError as error:
        if error.errno == errno.EINVAL:  # it says that something begins before its beginning
            raise ZipError("the zip is damaged; make it again") from error
        raise
    return problems


def unwrapped(place: Path) -> Path:
    """The folder inside, where all lies in one that has nothing to say itself; `10_sks dog` has."""
    inside = [entry for entry in os.scandir(place) if not entry.name.startswith(".")]
    while len(inside) == 1 and inside[0].is_dir() and not COUNTED.fullmatch(inside[0].name):
        if inside[0].name in ("img", "reg"):
            break
        place = Path(inside[0].path)
        inside = [entry for entry in os.scandir(place) if not entry.name.startswith(".")]
    return place


def refusal(name: str) -> tuple[str, str] | None:
    """Why a file isn't taken into a data set by its kind: (reason, fix); None if it is."""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in KNOWN:
        return None
    if suffix in FOREIGN:
        return f"pictures of the kind {suffix} can't be read", "save it as JPEG, PNG or WebP"
    if suffix in (".zip", ".rar", ".7z", ".tar", ".gz", ".tgz"):
        return "an archive inside isn't opened", "unpack it, or make one zip of all"
    return "it is neither a picture nor a caption", "leave it out"


def _chosen(file: Path, archive: zipfile.ZipFile, limit: int) -> tuple[Entries, list[Problem]]:
    entries, problems, names = [], [], Names()
    listed = archive.infolist()
    if len(listed) > MOST_FILES:
        raise ZipError(f"it has {len(listed):,} files; at most {MOST_FILES:,} are unpacked")
    total = sum(entry.file_size for entry in listed)
    if total > limit:
        raise ZipError(f"it would unpack to {total / 1e9:.1f} GB; at most {limit / 1e9:.1f} GB are allowed")
    packed = archive.fp.seek(0, os.SEEK_END)
    if total > FREE and total > RATIO * packed:  # entries may lie over each other, so that each looks harmless
        raise ZipError(f"it would grow to {total / 1e9:.1f} GB, more than {RATIO} times its size")
    for entry in listed:
        name = real_name(entry)
        if entry.is_dir() or is_junk(name):
            continue
        if entry.flag_bits & 0x1:
            raise ZipError("it is encrypted; make it again without a password")
        if entry.file_size > FREE and entry.file_size > RATIO * max(1, entry.compress_size):
            raise ZipError(f"{name[:100]} would grow by more than {RATIO} times; that is no picture and no caption")
        if problem := _left_out(file, entry, name):
            problems.append(problem)
        else:
            entries.append((entry, names.free(contained(name))))
    return entries, _gathered(problems)


def _left_out(file: Path, entry: zipfile.ZipInfo, name: str) -> Problem | None:
    kind = entry.external_attr >> 16
    where = Path(f"{file.name}: {name[:200]}")
    if kind and not stat.S_ISREG(kind) and stat.S_IFMT(kind):
        return Problem(where, "it is a link or a device, not a file", "put the file itself into the zip")
    if not contained(name):
        return Problem(where, "its name leads out of the folder", "make the zip again, without .. and whole paths")
    if said := refusal(name):
        return Problem(where, *said)
    return None


def _gathered(problems: list[Problem], shown: int = 50) -> list[Problem]:
    """Files of one sort by the thousand are told in one line."""
    if len(problems) <= shown:
        return problems
    rest = len(problems) - shown
    return [*problems[:shown], Problem(Path("…"), f"{counted(rest, 'more file')} left out of the zip", "see above")]


def real_name(entry: zipfile.ZipInfo) -> str:
    """The name as it was meant. Without the mark for UTF-8 the standard says cp437, and most programs write UTF-8."""
    if entry.flag_bits & 0x800:
        return entry.filename
    if path := _unicode_path(entry):
        return path
    try:
        return entry.orig_filename.partition("\0")[0].encode("cp437").decode("utf-8")
    except UnicodeError:
        return entry.filename


def _unicode_path(entry: zipfile.ZipInfo) -> str:
    """Info-ZIP's second name (extra field 0x7075), good if it was made for the first one."""
    extra = entry.extra
    while len(extra) >= 4:
        kind, length = struct.unpack("<HH", extra[:4])
        data, extra = extra[4 : 4 + length], extra[4 + length :]
        if kind == 0x7075 and len(data) > 5 and data[0] == 1:
            first = entry.orig_filename.encode("cp437", "replace")
            if struct.unpack("<I", data[1:5])[0] == zlib.crc32(first):
                return data[5:].decode("utf-8", "replace")
    return ""


def _extract(archive: zipfile.ZipFile, entries: Entries, place: Path, room: int, progress: Progress) -> None:
    for done, (entry, name) in enumerate(entries, start=1):
        path = place / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("xb")
        except (FileExistsError, NotADirectoryError) as error:
            raise ZipError(f"{name[:100]} is a file and a folder at once; make the zip again") from error
        with file, archive.open(entry) as source:
            left = entry.file_size
            while data := source.read(min(CHUNK, left + 1)):
                left -= len(data)
                room -= len(data)
                if left < 0:
                    raise ZipError(f"{name[:100]} is larger than the zip says; it isn't to be trusted")
                if room < 0:
                    raise ZipError("it unpacks to more than there is room for; make room, or upload less at a time")
                file.write(data)
        moment = time.mktime((*entry.date_time, 0, 0, -1)) if 1980 < entry.date_time[0] < 2107 else None
        if moment:
            os.utime(path, (moment, moment))
        progress("unpacking", done, len(entries))
