"""Writes a LoRA file anew under the names of another program: the same weights, alphas and metadata."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trainer.lora import dialects, writing
from trainer.lora.reading import load
from trainer.tools.recognise import recognised


@dataclass(frozen=True)
class Converted:
    """What was written."""

    path: Path
    """A file, or the folder that PEFT and diffusers take."""
    family: str
    """Its label."""
    layers: int
    unmatched: list[str]
    """Keys of the original that were left out, since no layer of the family is called so."""


def convert(source: Path, dialect: str, to: Path | None = None, family: str = "") -> Converted:
    """Write `source` in `dialect` (keys.DIALECTS) to `to`, by default beside it under a name that is free.

    `family` is only needed where a file does not tell its own. Raises LoraError, OSError; then nothing is left behind.
    """
    found = recognised(load(source), family)
    target = to or writing.free(dialects.beside(source.absolute(), dialect))
    dialects.write(target, found.adapters, found.family.naming, dialect, found.file.metadata)
    return Converted(target, found.family.label, len(found.adapters), found.unmatched)
