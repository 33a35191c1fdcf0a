"""How much of a caption is read by what is trained: which text encoder counts, how many tokens, where the cut is.

Of several encoders it is the one that reads the most. CLIP's tokens are counted exactly, T5's where its tokenizer is at
hand; those of language models (Gemma, Qwen) are estimates.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from dataset import tokens
from dataset.new_words import NONE, NewWords
from dataset.spelling import Vocabulary, spelled

LABELS = {"clip": "CLIP", "t5": "T5", "gemma": "Gemma", "qwen": "Qwen"}
LENGTHS = (tokens.LIMIT, 2 * tokens.LIMIT, 3 * tokens.LIMIT)  # that CLIP can be set to


class Trained(NamedTuple):
    """What a family of models is usually trained at."""

    resolution: int  # pixels a side
    bucket_step: int
    encoder: str  # one of LABELS
    tokens: int


FAMILIES = {
    "sd15": Trained(512, 64, "clip", 75), "sd2": Trained(768, 64, "clip", 75), "sdxl": Trained(1024, 64, "clip", 75),
    "sd3": Trained(1024, 64, "t5", 256), "flux": Trained(1024, 64, "t5", 512), "chroma": Trained(1024, 64, "t5", 512),
    "z_image": Trained(1024, 64, "qwen", 512), "qwen_image": Trained(1024, 64, "qwen", 512),
    "flux2_klein": Trained(1024, 64, "qwen", 512), "lumina2": Trained(1024, 64, "gemma", 256),
    "sana": Trained(1024, 64, "gemma", 300),
}  # fmt: skip


@dataclass(frozen=True)
class Reader:
    """`limit`: tokens that are read. `weighted`: brackets are weights, and no words (CLIP's only)."""

    encoder: str = "clip"
    limit: int = tokens.LIMIT
    weighted: bool = False

    @property
    def name(self) -> str:
        return f"{self.encoder}-{self.limit}"

    @property
    def label(self) -> str:
        return f"{LABELS[self.encoder]}, {self.limit} tokens"

    def exact(self) -> bool:
        return tokens.exact(self.encoder)

    def count(self, text: str, new: NewWords = NONE) -> int:
        """Its tokens; new words are only CLIP's."""
        if self.weighted:
            return len(spelled(text, Vocabulary(None, self.limit, True, new)).borders)
        return tokens.count(text, new) if self.encoder == "clip" else tokens.counter(self.encoder)(text)

    def cut(self, text: str, new: NewWords = NONE) -> int | None:
        """The character at which the words begin that aren't read; None: all are."""
        if self.weighted:
            place = spelled(text, Vocabulary(None, self.limit, True, new)).cut
            return None if place is None else _place(text, place)
        if self.encoder == "clip":
            rest = tokens.split(text, self.limit, new)[1]
            return _place(text, len(tokens.composed(text)) - len(rest)) if rest else None
        if self.count(text) <= self.limit:
            return None
        low, high = 0, len(text)  # the longest beginning that is read
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.count(text[:middle]) <= self.limit else (low, middle - 1)
        return text.rfind(" ", 0, low) + 1 or low


READERS = [*(Reader("clip", length) for length in LENGTHS), Reader("t5", 256), Reader("t5", 512)]


def reader(name: str) -> Reader | None:
    """One of READERS."""
    return next((one for one in READERS if one.name == name), None)


def first_cut(text: str, tags: Iterable[str], cut: int | None) -> int | None:
    """The number of the first tag that isn't read whole."""
    if cut is None:
        return None
    at = 0
    for number, tag in enumerate(tags):
        start = text.find(tag, at)
        if start < 0:
            return None
        at = start + len(tag)
        if at > cut:
            return number
    return None


def _place(text: str, composed: int) -> int:
    """A place in a text, from the place in its composed form: what is typed may have accents as signs of their own."""
    if len(tokens.composed(text)) == len(text):
        return composed
    low, high = 0, len(text)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if len(tokens.composed(text[:middle])) < composed else (low, middle)
    return low
