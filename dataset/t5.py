"""How many tokens T5's text encoder makes of a caption: counted where its tokenizer is at hand, else estimated.

The tokenizer (`tokenizer.json`, or SentencePiece's `spiece.model`) comes with every model that has such an encoder. It
is looked for where Hugging Face's programs keep what they downloaded; nothing is downloaded for a count.
"""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

FILES = ("tokenizer.json", "spiece.model")
PLACES = ("models--*t5*/snapshots/*", "models--*/snapshots/*/tokenizer_2", "models--*/snapshots/*/tokenizer_3")
VOCABULARY = range(32_000, 32_129)  # T5's own, with or without its 100 extra ones; other families' have other sizes
MAX_BYTES = 32_000_000
UNIGRAM = 1  # SentencePiece's number for this kind of model
UNKNOWN = 2  # and for the piece that stands for what isn't in the vocabulary
PIECE = re.compile(r"\w+|[^\w\s]")


def count(text: str) -> int:
    """Tokens of a text, without the one that marks its end."""
    tokenizer = at_hand()
    return len(tokenizer.encode(text, add_special_tokens=False).ids) if tokenizer else estimate(text)


def exact() -> bool:
    """Whether `count` is T5's own number."""
    return at_hand() is not None


def estimate(text: str) -> int:
    """From the lengths of the words: short ones and signs are one token each, others one for about five letters."""
    return sum(1 if len(piece) < 7 else (len(piece) + 4) // 5 for piece in PIECE.findall(text))


@lru_cache(maxsize=1)
def at_hand() -> Any | None:
    """The first tokenizer of a T5 that is on this machine."""
    cache = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface") / "hub"
    cache = Path(os.environ.get("HF_HUB_CACHE") or cache)
    paths = (folder / name for place in PLACES for folder in sorted(cache.glob(place)) for name in FILES)
    return next((tokenizer for path in paths if (tokenizer := read(path, VOCABULARY))), None)


def read(path: Path, sizes: range | None = None) -> Any | None:
    """The tokenizer in a file, if it is one of T5's kind with a vocabulary of one of these sizes; else None."""
    try:
        if path.stat().st_size > MAX_BYTES:
            return None
        data = path.read_bytes()
        pieces = _from_json(data) if path.suffix == ".json" else _Spiece(data).pieces
    except (OSError, ValueError, KeyError, TypeError, IndexError, struct.error):
        return None  # absent, or something else of that name
    if sizes is not None and len(pieces) not in sizes:
        return None
    return _from_text(data) if path.suffix == ".json" else _Spiece(data).tokenizer()


def _from_json(data: bytes) -> list[Any]:
    model = json.loads(data)["model"]
    if model["type"] != "Unigram":
        raise ValueError("not of SentencePiece's kind")
    return model["vocab"]


def _from_text(data: bytes) -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(data.decode())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


class _Spiece:
    """A SentencePiece model file: protocol buffers, of which only what a count needs is read."""

    def __init__(self, data: bytes):
        self.pieces: list[tuple[str, float]] = []
        self.unknown, self.rules = 0, b""
        for number, value in _fields(data):
            if number == 1:
                self._piece(dict(_fields(value)))
            elif number == 2 and dict(_fields(value)).get(3, UNIGRAM) != UNIGRAM:
                raise ValueError("another kind of model")
            elif number == 3:
                self.rules = dict(_fields(value)).get(2, b"")
        if not self.pieces:
            raise ValueError("no vocabulary")

    def _piece(self, fields: dict[int, Any]) -> None:
        if fields.get(3) == UNKNOWN:
            self.unknown = len(self.pieces)
        self.pieces.append((fields[1].decode(), struct.unpack("<f", fields[2])[0]))

    def tokenizer(self) -> Any:
        from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

        tokenizer = Tokenizer(models.Unigram(self.pieces, self.unknown, False))
        if self.rules:
            tokenizer.normalizer = normalizers.Precompiled(self.rules)
        at_spaces = [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(at_spaces)
        return tokenizer


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """(number, value) of each field of a message: numbers as such, all others as bytes."""
    at = 0
    while at < len(data):
        head, at = _varint(data, at)
        kind = head & 7
        if kind == 0:
            value, at = _varint(data, at)
        else:
            size, at = _varint(data, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
            value, at = data[at : at + size], at + size
        yield head >> 3, value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
