"""What stands on the training form, as far as other rooms go by it: which text encoder reads captions, and how much."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dataset.reading import FAMILIES, LENGTHS, Reader
from trainer.families import families

if TYPE_CHECKING:
    from gui.window import Window

AS_IN_TRAIN = "train"  # what the choice of a reader is called that follows the form


def family(window: Window) -> str:
    """The family on the form; the first one where none is known there."""
    typed = (window.drafts.load("train").get("model") or {}).get("family")
    return typed if typed in FAMILIES else next(iter(FAMILIES))


def reader(window: Window) -> Reader:
    """How a run with the settings on the form reads captions."""
    name = family(window)
    usual = Reader(FAMILIES[name].encoder, FAMILIES[name].tokens)
    if "clip_words" not in families()[name].traits:
        return usual
    typed: dict[str, Any] = window.drafts.load("train").get("captions") or {}
    length = typed.get("length")
    return replace(usual, limit=length if length in LENGTHS else usual.limit, weighted=typed.get("weighted") is True)
