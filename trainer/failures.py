"""Why a run failed, in one sentence, and what to do about it."""

from __future__ import annotations

import errno
import traceback
from dataclasses import dataclass

from settings.errors import SettingsError
from trainer.models import ModelError


@dataclass(frozen=True)
class Failure:
    """`cause` and `fix` are for the person, `trace` is for whoever helps them."""

    cause: str
    fix: str
    trace: str


def explain(error: BaseException) -> Failure:
    """Judge an error, or what it came from, by type and message; torch and the hub need not be imported for it."""
    causes = [error]
    while (deeper := causes[-1].__cause__ or causes[-1].__context__) and deeper not in causes:
        causes.append(deeper)
    judged = next((judgement for one in causes if (judgement := _judge(one))), None)
    cause, fix = judged or (
        f"{type(error).__name__}: {str(error) or 'no message'}",
        "See the traceback below and log.txt in the run's folder.",
    )
    return Failure(cause, fix, "".join(traceback.format_exception(error)))


def _judge(error: BaseException) -> tuple[str, str] | None:
    said, kind = str(error), type(error).__name__
    if isinstance(error, SettingsError):
        return "Some settings are wrong: " + said, "Change them and start again."
    if isinstance(error, ModelError):
        return f"The base model can't be used: {said}.", "Choose another base model (model.base)."
    if kind == "OutOfMemoryError" or isinstance(error, MemoryError) or "out of memory" in said.lower():
        return "There was not enough memory.", (
            "Cheapest first: batch size 1 with more accumulation; gradient checkpointing; a smaller resolution."
        )
    if isinstance(error, FloatingPointError):
        return said[:1].upper() + said[1:] + ".", "A lower learning rate, clipping at 1 and bf16 instead of fp16 help."
    return _of_the_hub(kind) or _of_the_disk(error)


def _of_the_hub(kind: str) -> tuple[str, str] | None:
    """By the names of huggingface_hub's errors. Some of them are also FileNotFoundErrors, so they are asked first."""
    if kind == "GatedRepoError":
        return "The hub refuses this model without a login.", (
            "Accept its licence on its page, then put your token into the environment variable HF_TOKEN."
        )
    if kind in ("RepositoryNotFoundError", "RevisionNotFoundError", "EntryNotFoundError", "RemoteEntryNotFoundError"):
        return "The hub has no such base model.", "Check the name (author/model) in model.base."
    if kind in ("LocalEntryNotFoundError", "OfflineModeIsEnabled"):
        return "The base model is not on this machine and the hub could not be asked for it.", (
            "Check the connection, or choose a file or folder on this machine (model.base)."
        )
    return None


def _of_the_disk(error: BaseException) -> tuple[str, str] | None:
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
