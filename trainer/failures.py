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
    """Judge an error by its type and its message, so that torch need not be imported to say what went wrong."""
    cause, fix = _judge(error)
    return Failure(cause, fix, "".join(traceback.format_exception(error)))


def _judge(error: BaseException) -> tuple[str, str]:
    said = str(error)
    if isinstance(error, SettingsError):
        return "Some settings are wrong: " + said, "Change them and start again; nothing was trained yet."
    if isinstance(error, ModelError):
        return f"The base model can't be used: {said}.", "Choose another base model (model.base)."
    if type(error).__name__ == "OutOfMemoryError" or isinstance(error, MemoryError) or "out of memory" in said.lower():
        return "There was not enough memory.", (
            "Cheapest first: batch size 1 with more accumulation; gradient checkpointing; a smaller resolution."
        )
    if isinstance(error, FloatingPointError):
        return said[:1].upper() + said[
            1:
        ] + ".", "A lower learning rate, clipping at 1 and bf16 instead of fp16 usually help."
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "The disk is full.", "Free some space and press Resume: the last state that was saved is whole."
    if isinstance(error, FileNotFoundError):
        return f"A file is missing: {error.filename or said}.", "Put it back or choose another, then start again."
    if "gated repo" in said.lower() or "401 client error" in said.lower():
        return "The hub refuses this model without a login.", (
            "Accept its licence on its page, then put your token into the environment variable HF_TOKEN."
        )
    if type(error).__name__ in ("LocalEntryNotFoundError", "OfflineModeIsEnabled", "RepositoryNotFoundError"):
        return "The base model is not on this machine and the hub could not be asked for it.", (
            "Check the name and the connection, or choose a file or folder on this machine."
        )
    return f"{type(error).__name__}: {said or 'no message'}", "See the traceback below and log.txt in the run's folder."
