"""Causes and fixes in plain words."""

import errno

import pytest
from huggingface_hub import errors

from settings.errors import SettingsError
from trainer.base_model.models import ModelError
from trainer.failures import explain


class OutOfMemoryError(RuntimeError):
    """As torch calls its own."""


def hub(kind: type) -> Exception:
    """An error of the hub as it is raised, without an answer of a server to wrap."""
    return kind.__new__(kind, "said")


@pytest.mark.parametrize(
    "error, cause, fix",
    [
        (SettingsError({"lora.rank": "must be at least 1"}), "lora.rank", "Change them"),
        (ModelError("x is SDXL"), "x is SDXL", "model.base"),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate"), "memory", "batch size 1"),
        (MemoryError(), "memory", "batch size 1"),
        (FloatingPointError("the loss was no number"), "The loss was no number.", "learning rate"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk is full", "Resume"),
        (FileNotFoundError(2, "No such file", "/a/b"), "/a/b", "Put it back"),
        (PermissionError(13, "Permission denied", "/a/b"), "/a/b", "permissions"),
        (hub(errors.GatedRepoError), "login", "HF_TOKEN"),
        (hub(errors.RepositoryNotFoundError), "no such base model", "model.base"),
        (hub(errors.LocalEntryNotFoundError), "could not be asked", "connection"),
        (ValueError("odd"), "ValueError: odd", "traceback"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_cause_and_fix(error, cause, fix):
    failure = explain(error)
    assert cause in failure.cause and fix in failure.fix and failure.trace


def test_what_a_library_wraps_is_found():
    """Offline, diffusers raises a plain OSError from what the hub said."""
    try:
        try:
            raise hub(errors.LocalEntryNotFoundError)
        except errors.LocalEntryNotFoundError as inner:
            raise OSError("Cannot load model someone/some-model") from inner
    except OSError as error:
        assert "could not be asked" in explain(error).cause
