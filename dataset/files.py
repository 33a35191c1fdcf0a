"""Changing a person's small file so that it is always the old or the new one, and never over a change of theirs.

The new text is written aside, in the same folder, and takes the name in one step; what is there is compared with what
was expected right before that, and looked at once more after it. Programs of ours wait for each other on a lock of the
folder, which the system lets go when its holder dies; so whoever holds it may clear away what a killed one left there.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

ASIDE = (".loratory-", ".part")  # how a file that is being written is called: hidden, and short beside any long name
MOMENT = 0.05  # seconds between emptying a file and filling it, at most, for a program that saves like that
PATIENCE = 10.0  # seconds for another program of ours, which needs milliseconds
THREADS = 8  # files that are made lasting at once
Swap = tuple[Path, bytes | None, bytes | None]  # file, what it has, what it should have
NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF, errno.EINVAL, errno.ENOSYS}
NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
EVERY_FILE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE}


class FileError(ValueError):
    """This one file can't be read or changed, and was left as it is: `reason` and `fix` are clauses for people."""

    def __init__(self, path: Path, reason: str, fix: str):
        super().__init__(f"{path}: {reason}; {fix}")
        self.path, self.reason, self.fix = path, reason, fix


@contextmanager
def named(path: Path) -> Iterator[None]:
    """What the system says of this file, as a FileError; a full or broken disk, which all files share, as it is."""
    try:
        yield
    except OSError as error:
        if error.errno in EVERY_FILE:
            raise
        raise FileError(path, f"the system says: {error.strerror or error}", "check the file, its name and folder "
                        "and their permissions") from error


def content(path: Path, limit: int | None = None) -> bytes | None:
    """All bytes of a file; None where there is none. FileError for what is no file, can't be read or is too long."""
    with named(path):
        try:
            facts = path.stat()
            if not stat.S_ISREG(facts.st_mode):
                raise FileError(path, "this isn't a file", "move it away")
            if limit is not None and facts.st_size > limit:
                raise FileError(path, "the file is too long for what its name says", "move it away or rename it")
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None


def swap(path: Path, before: bytes | None, after: bytes | None, note: Callable[[], object] = lambda: None,
         lasting: bool = True) -> bool:
    """Make `after` of a file that has `before`; None: no file. False if it has something else, and stays as it is.

    `note` is called when all is known to be well and nothing done yet. `lasting`: the new file is on the disk before
    it takes the name, so that also a power failure leaves the old or the new one. FileError where this file can't be
    changed, OSError where none could be."""
    with named(path), alone(path.parent) as mine:
        if not mine:
            raise FileError(path, "another program is writing in this folder", "try again when it has finished")
        return _settled(path) == before and _exchange(path, before, after, note, lasting)


def swap_all(folder: Path, swaps: Sequence[Swap], note: Callable[[list[int]], object] = lambda numbers: None,
             lasting: bool = True) -> list[bool | FileError]:
    """Many swaps in one folder, each of another file, in threads: a disk can make several lasting at once. Each is told
    what `swap` would return or raise for it. `note` is called once, with the numbers of those that are about to be
    made; if it raises, none is made.

    `Unfinished`, which is an OSError, where none can be made any more (the disk is full)."""
    with named(folder), alone(folder) as mine, ThreadPoolExecutor(THREADS) as pool:
        if not mine:
            raise FileError(folder, "another program is writing in this folder", "try again when it has finished")
        results = list(pool.map(lambda one: _tried(_ready, *one), swaps))
        ready = [number for number, result in enumerate(results) if result is True]
        note([number for number in ready if swaps[number][1] != swaps[number][2]])
        exchange = partial(_exchange, lasting=lasting)
        for number, result in zip(ready, pool.map(lambda number: _tried(exchange, *swaps[number]), ready)):
            results[number] = result
    stopped = next((result for result in results if isinstance(result, OSError)), None)
    if stopped:
        raise Unfinished(stopped, [result is True for result in results]) from stopped
    return results


class Unfinished(OSError):
    """Some of many swaps were made, then the disk took no more."""

    def __init__(self, error: OSError, done: list[bool]):
        super().__init__(error.errno, error.strerror)
        self.done = done


def _tried(work: Callable[..., bool], path: Path, before: bytes | None, after: bytes | None) -> Any:
    try:
        with named(path):
            return work(path, before, after)
    except (FileError, OSError) as error:
        return error


def _ready(path: Path, before: bytes | None, after: bytes | None) -> bool:
    if _settled(path) != before:
        return False
    if before is not None and before != after:
        writable(path)
    return True


def _exchange(path: Path, before: bytes | None, after: bytes | None, note: Callable[[], object] = lambda: None,
              lasting: bool = True) -> bool:
    """The part of `swap` that follows when the file was found as expected."""
    if before == after:
        return True
    if before is None:
        note()
        return _replace(path, None, after, None, lasting)
    facts = writable(path)
    with _Witness(path) as witness:
        note()
        if not _replace(path, before, after, facts, lasting):
            return False
        late = witness.late(before)
    if late is None:
        return True
    _replace(path, after, late, facts, lasting)
    return False


def sweep(folder: Path) -> None:
    """Clear away what killed programs of ours were about to write in this folder."""
    if not any(map(_is_aside, os.listdir(folder))):
        return
    with alone(folder) as mine:  # nobody is writing now
        for name in filter(_is_aside, os.listdir(folder) if mine else ()):
            (folder / name).unlink(missing_ok=True)


@contextmanager
def alone(path: Path, patience: float = PATIENCE) -> Iterator[bool]:
    """Hold the lock on a file or folder: True; False where someone else holds it for longer than `patience` seconds.
    On a disk that knows no locks everybody holds them."""
    handle = _opened(path)
    try:
        yield _locked(handle, time.monotonic() + patience)
    finally:
        os.close(handle)  # lets go


def synced(handle: int) -> None:
    """Wait until what was written is on the disk, if that disk can tell."""
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise


class _Witness:
    """Keeps hold of the file that is replaced, for programs that write into a file rather than replace it: what one
    had begun to write in that moment would be in a file that has no name any more."""

    def __init__(self, path: Path):
        # Windows replaces no file that anybody has open, and so needs no witness, and would refuse because of it
        self._handle = None if sys.platform == "win32" else os.open(path, os.O_RDONLY)

    def late(self, before: bytes) -> bytes | None:
        """What was written too late, or None."""
        if self._handle is None:
            return None
        with open(self._handle, "rb", closefd=False) as file:
            if file.read() == before:
                return None
            time.sleep(MOMENT)  # it was emptied, perhaps, and not yet filled
            file.seek(0)
            return file.read()

    def __enter__(self) -> _Witness:
        return self

    def __exit__(self, *_: object) -> None:
        if self._handle is not None:
            os.close(self._handle)


def _settled(path: Path) -> bytes | None:
    """The content of a file; of one that was emptied a moment ago, what it is when the moment is over."""
    for _ in range(100):
        if data := content(path):
            return data
        if data is None or not 0 <= time.time() - path.stat().st_mtime < MOMENT:
            return data
        time.sleep(MOMENT / 5)
    raise FileError(path, "another program empties it again and again", "close that one and try again")


def _replace(path: Path, before: bytes | None, after: bytes | None, facts: os.stat_result | None,
             lasting: bool) -> bool:
    if after is None:
        os.unlink(path)
        return True
    aside = path.with_name(f"{ASIDE[0]}{secrets.token_hex(8)}{ASIDE[1]}")
    try:
        with aside.open("xb") as file:
            file.write(after)
            file.flush()
            if lasting:
                synced(file.fileno())
        if facts:
            _like(aside, facts)
        if content(path) != before:
            return False
        _rename(aside, path, new=before is None)
    except FileExistsError:
        return False
    finally:
        aside.unlink(missing_ok=True)
    return True


def _rename(aside: Path, path: Path, new: bool) -> None:
    if new and sys.platform != "win32":
        try:
            return os.link(aside, path)  # unlike a rename it never replaces what came in between
        except FileExistsError:
            raise
        except OSError:
            pass  # a file system without links, such as a memory stick's
    for _ in range(20 if sys.platform == "win32" else 0):  # which refuses while someone reads it
        try:
            return os.replace(aside, path)
        except PermissionError:
            time.sleep(0.01)
    os.replace(aside, path)


def writable(path: Path) -> os.stat_result:
    """What the system knows of a file that may be changed; FileError if it is write-protected."""
    facts = path.stat()
    if not facts.st_mode & 0o222 or not os.access(path, os.W_OK):  # the folder alone would allow to replace it
        raise FileError(path, "the file is write-protected", "allow writing to it if it may be changed")
    return facts


def _like(aside: Path, facts: os.stat_result) -> None:
    """The permissions and, where we may, the owner of the file that is replaced: a person's caption stays theirs."""
    own = aside.stat()
    with contextlib.suppress(PermissionError):  # memory sticks and some shares have none to change
        if sys.platform != "win32" and (own.st_uid, own.st_gid) != (facts.st_uid, facts.st_gid):
            os.chown(aside, facts.st_uid, facts.st_gid)
    with contextlib.suppress(PermissionError):
        os.chmod(aside, stat.S_IMODE(facts.st_mode))


def _is_aside(name: str) -> bool:
    return name.startswith(ASIDE[0]) and name.endswith(ASIDE[1])


def _opened(path: Path) -> int:
    if sys.platform != "win32":
        return os.open(path, os.O_RDONLY)
    # Windows locks files only, and a locked one can't be read: an empty one stands for it
    name = hashlib.sha256(os.path.normcase(os.path.realpath(path)).encode(errors="surrogatepass")).hexdigest()[:32]
    return os.open(Path(tempfile.gettempdir()) / f"loratory-{name}.lock", os.O_RDWR | os.O_CREAT)


def _locked(handle: int, until: float) -> bool:
    while True:
        try:
            if sys.platform == "win32":
                msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno in NO_LOCKS:
                return True
            if error.errno not in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
                raise
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
