"""How many tokens CLIP's text encoder makes of a caption, without the tokenizer: it sees 75 of them, and no more.

Written out here because the packages that have the tokenizer take seconds to load. Its list of merges is a data file of
the open_clip package, read where it lies; where that isn't installed, the count is an estimate.
"""

from __future__ import annotations

import gzip
import importlib.util
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from dataset import t5
from dataset.new_words import NONE, NewWords

LIMIT = 75  # what SD 1.x, 2.x and SDXL see at a time; two or three such pieces can be read as one: 150, 225
MERGES = 49152 - 256 - 2  # lines of the file that count; the rest was never used
END = "</w>"

SPECIAL = ("<|startoftext|>", "<|endoftext|>")
Ranks = dict[tuple[str, str], int]  # two parts that are merged -> how early

# CLIP's own pattern (Radford et al., arXiv 2103.00020) for the shape of a text, see `_shape`
_PIECE = re.compile(r"<\|startoftext\|>|<\|endoftext\|>|'(?:s|t|re|ve|m|ll|d)|[a-z]+|0|[^ a-z0]+")


def count(text: str, new: NewWords = NONE) -> int:
    """Tokens of a caption, without the two that mark its start and end. `new`: the words that are learnt."""
    text = _normal(text)
    return sum(sum(map(_tokens_between_spaces, text[start:end].split())) + vectors
               for start, end, _, vectors in new.parts(text))


def split(text: str, limit: int = LIMIT, new: NewWords = NONE) -> tuple[str, str]:
    """(what is seen, what is cut off), parted between two words; in the composed form of Unicode (NFC). A word that is
    cut in its middle counts as cut off."""
    text, total = _normal(text), 0
    for start, tokens in _pieces_and(text, new):
        total += tokens
        if total > limit:
            return text[:start].rstrip(), text[start:]
    return text, ""


def composed(text: str) -> str:
    """The text as `split` and `borders` speak of it: in Unicode's composed form, NFC, as the tokenizer has it."""
    return _normal(text)


def borders(text: str, ranks: Ranks | None = None, new: NewWords = NONE) -> list[tuple[int, int]]:
    """Where each token begins and ends in `composed(text)`, in characters. Of a letter or a new word that is several
    tokens the first has all, the others are empty. `ranks`: the merges of another vocabulary than CLIP's own."""
    text, found = _normal(text), []
    ranks = _ranks() if ranks is None else ranks
    for begin, end, after, vectors in new.parts(text):
        found += [(begin + start, begin + stop) for start, stop in _borders(text[begin:end], ranks)]
        found += [(end if vector == 0 else after, after) for vector in range(vectors)]
    return found


def _borders(text: str, ranks: Ranks) -> list[tuple[int, int]]:
    """Of usual words alone."""
    found = []
    for start, word in _words(text):
        lower = [char.lower() for char in word]
        if word.lower() in SPECIAL:
            found.append((start, start + len(word)))
        elif not ranks:
            count = _estimated("".join(lower))
            found += [(start + len(word) * part // count, start + len(word) * (part + 1) // count)
                      for part in range(count)]
        else:
            ends = [start + place for place, char in enumerate(lower, start=1)
                    for _ in char.encode(errors="replace")]  # of each byte: where its letter ends
            read = 0
            for part in _merges("".join(lower), ranks):
                size = len(part.removesuffix(END))
                found.append((start if not read else ends[read - 1], ends[read + size - 1]))
                read += size
    return found


def ranks_of(merges: Iterable[Sequence[str]]) -> Ranks:
    """The merges of a vocabulary, in their order, for `borders`."""
    return {(first, second): rank for rank, (first, second) in enumerate(merges)}


def exact(encoder: str = "clip") -> bool:
    """Whether the count for an encoder is its own number; else it is an estimate from the lengths of the words."""
    return {"clip": lambda: bool(_ranks()), "t5": t5.exact}.get(encoder, lambda: False)()


def counter(encoder: str = "clip") -> Callable[[str], int]:
    """How the tokens of a text are counted for an encoder: "clip", "t5", or another, whose are estimated."""
    return {"clip": count, "t5": t5.count}.get(encoder, t5.estimate)


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text).replace("İ", "i\u0307")  # the one letter that is two in lower case


def _pieces_and(text: str, new: NewWords) -> Iterator[tuple[int, int]]:
    """As `_pieces`, with new words among them."""
    for begin, end, _, vectors in new.parts(text):
        yield from ((begin + start, tokens) for start, tokens in _pieces(text[begin:end]))
        if vectors:
            yield end, vectors


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    """(where it starts, tokens) of each word, digit and run of signs."""
    for start, word in _words(text):
        yield start, _tokens("".join(char.lower() for char in word))  # one by one: no final sigma


def _words(text: str) -> Iterator[tuple[int, str]]:
    for match in _PIECE.finditer("".join(map(_shape, text))):
        yield match.start(), text[match.start() : match.end()]


@lru_cache(maxsize=1 << 17)  # captions of one set are made of few words, and no token reaches over a space
def _tokens_between_spaces(text: str) -> int:
    return sum(tokens for _, tokens in _pieces(text))


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
    if word in SPECIAL:
        return 1
    ranks = _ranks()
    return len(_merges(word, ranks)) if ranks else _estimated(word)


def _estimated(word: str) -> int:
    return max(1, round(len(word.encode(errors="replace")) / 5))  # English text: right on average within a tenth


def _merges(word: str, ranks: Ranks) -> list[str]:
    """The tokens of a word, a letter for each of their bytes."""
    letters = _letters()
    parts = [letters[byte] for byte in word.encode(errors="replace")]
    parts[-1] += END
    while len(parts) > 1:
        rank, first, second = min((ranks.get(pair, MERGES), *pair) for pair in zip(parts, parts[1:]))
        if rank == MERGES:
            break
        parts = list(_merged(parts, first, second))
    return parts


def _merged(parts: list[str], first: str, second: str) -> Iterator[str]:
    position = 0
    while position < len(parts):
        pair = parts[position : position + 2] == [first, second]
        yield first + second if pair else parts[position]
        position += 2 if pair else 1


@lru_cache(maxsize=1)
def _ranks() -> Ranks:
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
