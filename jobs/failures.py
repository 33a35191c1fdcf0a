"""Why a job failed, in one sentence, and what to do about it; each kind of job adds what it knows of its own errors."""

from __future__ import annotations

import errno
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jobs.events import EventWriter, last_event

Judgement = tuple[str, str]  # (cause, fix)
Judge = Callable[[BaseException], Judgement | None]
DRIVER = re.compile(
    r"driver version is insufficient|driver on your system is too old|no kernel image is available|"
    r"forward compatibility was attempted|driver/library version mismatch|CUDA_ERROR_\w+|CUDA driver error|"
    r"CUDA error: (?!out of memory)|cannot open shared object file|undefined symbol",
    re.I,
)


@dataclass(frozen=True)
class Fix:
    """Settings that would mend it, to be laid onto the form: what is changed, and what comes of it."""

    says: str
    settings: dict[str, Any]


@dataclass(frozen=True)
class Failure:
    """`cause` and `fix` are for the person, `trace` is for whoever helps them. `fixes` are those that a form can be
    filled with."""

    cause: str
    fix: str
    trace: str
    fixes: Sequence[Fix] = ()

    @property
    def event(self) -> dict[str, Any]:
        """The values of a `failed` event."""
        told = {"cause": self.cause, "fix": self.fix, "traceback": self.trace}
        return told | ({"fixes": [asdict(fix) for fix in self.fixes]} if self.fixes else {})


def worked(folder: Path, work: Callable[[Path], None], explain: Callable[[BaseException], Failure]) -> int:
    """Do a job's work in this process; its exit code. The one place that catches everything: whatever goes wrong ends
    as a `failed` event with a cause and a fix."""
    try:
        work(folder)
    except Exception as error:  # noqa: BLE001  said in full to the person, here and in the event
        failure = explain(error)
        print(f"{failure.trace}\n{failure.cause}\n{failure.fix}", file=sys.stderr, flush=True)
        said = last_event(folder / "events.jsonl")
        if said is None or said["kind"] != "failed":  # of several processes the first to fail knows the cause
            EventWriter(folder / "events.jsonl").write("failed", **failure.event)
        return 1
    return 0


def explain(error: BaseException, judge: Judge) -> Failure:
    """What `judge`, or else what is common to all jobs, says of an error or of what it came from."""
    found = (judge(one) or of_the_disk(one) or of_the_driver(one) for one in chain(error))
    judged = next(filter(None, found), None)
    cause, fix = judged or (
        f"{type(error).__name__}: {str(error) or 'no message'}",
        "See the traceback below and log.txt in the run's folder.",
    )
    return Failure(cause, fix, "".join(traceback.format_exception(error)))


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it came from."""
    known: list[BaseException] = []
    while error is not None and error not in known:
        yield error
        known.append(error)
        error = error.__cause__ or error.__context__


def out_of_memory(error: BaseException) -> bool:
    """Of the machine or of a graphics card; by name and message, so that no library is imported for it."""
    said, kind = str(error).lower(), type(error).__name__
    in_vain = ("failed to allocate memory", "bad allocation", "can't allocate memory", "cannot allocate memory")
    return (
        isinstance(error, MemoryError)
        or kind == "OutOfMemoryError"
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        or any(words in said for words in ("out of memory", "alloc_failed", *in_vain))
    )


def of_the_driver(error: BaseException) -> Judgement | None:
    """A graphics card, its driver and the libraries that speak with it do not fit together."""
    if not isinstance(error, (RuntimeError, ImportError, OSError)) or not (found := DRIVER.search(str(error))):
        return None
    return f"The graphics card, its driver and PyTorch do not fit together ({said_there(str(error), found)}).", (
        "Run `python launch.py doctor`: it says which of them to change. Where the driver was updated meanwhile, a "
        "restart of the machine helps."
    )


def said_there(text: str, found: re.Match[str]) -> str:
    """The line in which something was found, in short."""
    line = text[text.rfind("\n", 0, found.start()) + 1 :].split("\n")[0].strip()
    return line if len(line) <= 160 else f"{line[:157]}..."


def disk_full(error: BaseException) -> bool:
    """Also in the words of libraries that raise errors of their own for it: safetensors' is no OSError, and torch says
    only that it could not write."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    said = str(error)
    return any(words in said for words in ("No space left on device", "Disk quota exceeded", "failed writing file"))


def of_the_disk(error: BaseException) -> Judgement | None:
    if disk_full(error):
        return "The disk is full.", "Free some space and press Resume: the last state that was saved is whole."
    if isinstance(error, FileNotFoundError):
        return f"A file is missing: {error.filename or error}.", "Put it back or choose another, then start again."
    if isinstance(error, PermissionError):
        return (
            f"A file or folder may not be used: {error.filename or error}.",
            "Change its permissions, or choose another.",
        )
    return None
