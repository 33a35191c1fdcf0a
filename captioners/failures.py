"""Why a captioning run failed, in one sentence, and what to do about it."""

from __future__ import annotations

from captioners.base import CaptionerError
from dataset.files import FileError
from dataset.journal import JournalError
from jobs import failures
from jobs.failures import Failure, Judgement, out_of_memory
from settings.errors import SettingsError


def explain(error: BaseException) -> Failure:
    """Judge an error, or what it came from, by type and message; no library need be imported for it."""
    return failures.explain(error, _judge)


def _judge(error: BaseException) -> Judgement | None:
    said = str(error)
    if isinstance(error, SettingsError):
        return "Some settings are wrong: " + said, "Change them and start again."
    if isinstance(error, (CaptionerError, FileError, JournalError)):
        return said[:1].upper() + said[1:] + ".", "Put that right, then press Resume: what was said so far is kept."
    if out_of_memory(error):
        return "There was not enough memory for the model.", (
            "Choose a smaller model, close other programs, or compute on the CPU (run.device); then press Resume."
        )
    return None
