"""How many tokens CLIP's text encoder makes of a caption, without the tokenizer: it sees 75 of them, and no more.

Written out here because the packages that have the tokenizer take seconds to load. Its list of merges is a data file of
the open_clip package, read where it lies; where that isn't installed, the count is an estimate.
"""

from __future__ import annotations

import gzip
import importlib.util
import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

LIMIT = 75  # what SD 1.x, 2.x and SDXL read at a time; kohya's tools can join two or three such pieces: 150, 225
MERGES = 49152 - 256 - 2  # lines of the file that count; the rest was never used
END = "</w>"

# CLIP's own pattern (Radford et al., arXiv 2103.00020) for the shape of a text, see `_shape`
_PIECE = re.compile(r"<\|startoftext\|>|<\|endoftext\|>|'(?:s|t|re|ve|m|ll|d)|[a-z]+|0|[^ a-z0]+")


def count(text: str) -> int:
    """Tokens of a caption, without the two that mark its start and end."""
    return sum(tokens for _, tokens in _pieces(_normal(text)))


def split(text: str, limit: int = LIMIT) -> tuple[str, str]:
    """(what is seen, what is cut off), parted between two words; in the composed form of Unicode (NFC). A word that is
    cut in its middle counts as cut off."""
    text, total = _normal(text), 0
    for start, tokens in _pieces(text):
        total += tokens
        if total > limit:
            return text[:start].rstrip(), text[start:]
    return text, ""


def exact() -> bool:
    """Whether `count` is CLIP's own number; else it is an estimate from the lengths of the words."""
    return bool(_ranks())


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text).replace("İ", "i\u0307")  # the one letter that is two in lower case


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    """(where it starts, tokens) of each word, digit and run of signs."""
    for match in _PIECE.finditer("".join(map(_shape, text))):
        word = text[match.start() : match.end()]
        yield match.start(), _tokens("".join(char.lower() for char in word))  # one by one: no final sigma


@lru_cache(maxsize=4096)
def _shape(char: str) -> str:
    """A character of the same class that a pattern can name: Python's patterns know no classes of Unicode."""
    if char.isascii() and char.isalpha():
        return char.lower()
    if char.isspace():
        return " "
    if char.isalpha():
        return "x"  # begins none of 's, 't, 're, 've, 'm, 'll, 'd
    if unicodedata.category(char).startswith("N"):
        return "0"
    return char if char in "<|>'" else "."


@lru_cache(maxsize=65536)
def _tokens(word: str) -> int:
    if word in ("<|startoftext|>", "<|endoftext|>"):
        return 1
    ranks, letters = _ranks(), _letters()
    if not ranks:
        return max(1, round(len(word.encode()) / 5))  # English text: right on average within a tenth
    parts = [letters[byte] for byte in word.encode(errors="replace")]
    parts[-1] += END
    while len(parts) > 1:
        rank, first, second = min((ranks.get(pair, MERGES), *pair) for pair in zip(parts, parts[1:]))
        if rank == MERGES:
            break
        parts = list(_merged(parts, first, second))
    return len(parts)


def _merged(parts: list[str], first: str, second: str) -> Iterator[str]:
    position = 0
    while position < len(parts):
        pair = parts[position : position + 2] == [first, second]
        yield first + second if pair else parts[position]
        position += 2 if pair else 1


@lru_cache(maxsize=1)
def _ranks() -> dict[tuple[str, str], int]:
    """Which two parts are merged before which others; empty where the list isn't installed."""
    package = importlib.util.find_spec("open_clip")  # found, not imported
    path = Path(package.origin).parent / "bpe_simple_vocab_16e6.txt.gz" if package and package.origin else None
    if path is None or not path.is_file():
        return {}
    with gzip.open(path, "rt", encoding="utf-8") as file:
        lines = file.read().split("\n")[1 : MERGES + 1]
    return {tuple(line.split()): rank for rank, line in enumerate(lines)}


@lru_cache(maxsize=1)
def _letters() -> list[str]:
    """A printable letter for every byte, as in GPT-2's byte-level vocabulary."""
    printable = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]
