"""How the text encoder reads a caption: which letters make a token, and from where on nothing is seen.

The tokenizer is that of the base model where it is a folder on this machine; else CLIP's, which most of them share.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from dataset import emphasis, tokens
from dataset.new_words import NONE, NewWords
from dataset.settings import CaptionSettings
from settings.paths import located


@dataclass(frozen=True)
class Vocabulary:
    """How captions become tokens. `ranks` None: CLIP's own list. `limit`: tokens that are read. `weighted`: brackets
    are weights, and no words. `new`: the words that a run teaches."""

    ranks: tokens.Ranks | None = None
    limit: int = tokens.LIMIT
    weighted: bool = False
    new: NewWords = NONE

    @property
    def exact(self) -> bool:
        return self.ranks is not None or tokens.exact()


@dataclass(frozen=True)
class Spelling:
    """A caption as the text encoder reads it. `borders`: (start, end) of each token in `text`, in characters; from the
    token number `limit` on nothing is seen."""

    text: str
    borders: list[tuple[int, int]]
    limit: int

    @property
    def cut(self) -> int | None:
        """Where in the text the unseen part begins; None where all is seen."""
        return self.borders[self.limit][0] if len(self.borders) > self.limit else None


def reads(base: str, settings: CaptionSettings, new: NewWords = NONE) -> Vocabulary:
    """How a run with this base model and these settings reads captions, in which it teaches some words."""
    found = vocabulary(base)
    return replace(found, limit=settings.length // tokens.LIMIT * found.limit, weighted=settings.weighted, new=new)


def vocabulary(base: str) -> Vocabulary:
    """The tokenizer of a base model, where it is a folder on this machine; else CLIP's, which they share."""
    place = located(base)
    return (place and _read(place / "tokenizer")) or Vocabulary()


def _read(folder: Path) -> Vocabulary | None:
    """A CLIP tokenizer in transformers' layout: tokenizer.json, or merges.txt."""
    try:
        longest = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8")).get("model_max_length")
        if (folder / "tokenizer.json").is_file():
            merges = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["merges"]
        else:
            merges = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()[1:]
        pairs = [pair.split() if isinstance(pair, str) else pair for pair in merges]
        ranks = tokens.ranks_of(pair for pair in pairs if len(pair) == 2)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # a single file, a hub's name, or no tokenizer of this kind: they all read with CLIP's
    limit = longest - 2 if isinstance(longest, int) and 2 < longest < 10_000 else tokens.LIMIT
    return Vocabulary(ranks, limit) if ranks else None


def spelled(caption: str, read: Vocabulary) -> Spelling:
    text = tokens.composed(caption)
    if not read.weighted:
        return Spelling(text, tokens.borders(text, read.ranks, read.new), read.limit)
    borders = [
        (part.places[start], part.places[end - 1] + 1) if end > start else (part.places[end - 1] + 1,) * 2
        for part in emphasis.parts(text)
        for start, end in tokens.borders(part.text, read.ranks, read.new)
    ]
    return Spelling(text, borders, read.limit)
