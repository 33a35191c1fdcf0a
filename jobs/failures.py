"""Why a job failed, in one sentence, and what to do about it; each kind of job adds what it knows of its own errors."""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jobs.events import EventWriter, last_event

Judgement = tuple[str, str]  # (cause, fix)
Judge = Callable[[BaseException], Judgement | None]


@dataclass(frozen=True)
class Failure:
    """`cause` and `fix` are for the person, `trace` is for whoever helps them."""

    cause: str
    fix: str
    trace: str


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
            words = {"cause": failure.cause, "fix": failure.fix, "traceback": failure.trace}
            EventWriter(folder / "events.jsonl").write("failed", **words)
        return 1
    return 0


def explain(error: BaseException, judge: Judge) -> Failure:
    """What `judge`, or else what is common to all jobs, says of an error or of what it came from."""
    causes = [error]
    while (deeper := causes[-1].__cause__ or causes[-1].__context__) and deeper not in causes:
        causes.append(deeper)
    judged = next((judgement for one in causes if (judgement := judge(one) or of_the_disk(one))), None)
    cause, fix = judged or (
        f"{type(error).__name__}: {str(error) or 'no message'}",
        "See the traceback below and log.txt in the run's folder.",
    )
    return Failure(cause, fix, "".join(traceback.format_exception(error)))


def out_of_memory(error: BaseException) -> bool:
    """Of the machine or of a graphics card; by name and message, so that no library is imported for it."""
    said, kind = str(error).lower(), type(error).__name__
    asked_in_vain = "failed to allocate memory" in said or "bad allocation" in said  # onnxruntime's words
    return isinstance(error, MemoryError) or kind == "OutOfMemoryError" or "out of memory" in said or asked_in_vain


def of_the_disk(error: BaseException) -> Judgement | None:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "The disk is full.", "Free some space and press Resume: the last state that was saved is whole."
    if isinstance(error, FileNotFoundError):
        return f"A file is missing: {error.filename or error}.", "Put it back or choose another, then start again."
    if isinstance(error, PermissionError):
        return (
            f"A file or folder may not be used: {error.filename or error}.",
            "Change its permissions, or choose another.",
        )
    return None
