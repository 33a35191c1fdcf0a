"""Why a training run failed, in one sentence, and what to do about it."""

from __future__ import annotations

from jobs import failures
from jobs.failures import Failure, Judgement, out_of_memory
from settings.errors import SettingsError
from trainer.models import ModelError


def explain(error: BaseException) -> Failure:
    """Judge an error, or what it came from, by type and message; torch and the hub need not be imported for it."""
    return failures.explain(error, _judge)


def _judge(error: BaseException) -> Judgement | None:
    said, kind = str(error), type(error).__name__
    if isinstance(error, SettingsError):
        return "Some settings are wrong: " + said, "Change them and start again."
    if isinstance(error, ModelError):
        return f"The base model can't be used: {said}.", "Choose another base model (model.base)."
    if out_of_memory(error):
        return "There was not enough memory.", (
            "Cheapest first: batch size 1 with more accumulation; gradient checkpointing; a smaller resolution."
        )
    if isinstance(error, FloatingPointError):
        return said[:1].upper() + said[1:] + ".", (
            "Resume would come to the same. Train on from what was saved as a new run (lora.weights) with a lower "
            "learning rate; clipping at 1 and bf16 instead of fp16 help too."
        )
    return _of_the_hub(kind)


def _of_the_hub(kind: str) -> Judgement | None:
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
