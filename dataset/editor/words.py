"""What the words of a caption are: tags between separators, or a sentence, which is never split at its commas.

Nothing in a caption file says which of the two it is, so it is guessed from the words; the editor's switch "tags |
prose | auto" overrules the guess.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

SEPARATOR = ","

# Words that sentences are held together by and that tags seldom have
SMALL = frozenset("""a an the this that these those and or but while is are was were be been being has have had
    with without of on in at to from by for into onto over under near behind beside between through against around
    above below its his her their it he she they who which there as""".split())
STOPS = ".!?…。！？"
ENDS = re.compile(rf"[{STOPS}][\"'”’)]*(?=\s|$)")
WORD = re.compile(r"\w+(?:['’]\w+)*")
LONG = 4.0  # words between two commas, on average, from which on it may be a sentence
JOINED = 0.2  # share of small words in it that makes it one
SPOKEN = 5  # words before a full stop that make a sentence; fewer are an abbreviation, or a tag


def is_prose(caption: str, separator: str = SEPARATOR) -> bool:
    """Whether a caption reads like a sentence: it ends like one, or its pieces are long and full of small words.

    A guess: a single piece of four words ("red star on white") is taken for prose only with small words in it."""
    if any(map(caption.__contains__, STOPS)):  # looking for the marks first is much quicker than for the pattern
        end = ENDS.search(caption)
        if end and len(WORD.findall(caption, 0, end.start())) >= SPOKEN and _small(caption[: end.start()]):
            return True
    mark = _mark(separator)
    pieces = caption.count(mark) + 1 if mark else 1
    words = caption.count(" ") + 1
    if words < LONG * pieces:  # nearly always: spared the rest, which is dear
        return False
    found = WORD.findall(caption.replace("_", "-"))
    return len(found) >= LONG * pieces and _small(caption) >= JOINED * len(found)


def _small(text: str) -> int:
    return sum(word in SMALL for word in WORD.findall(text.lower()))


def split(caption: str, separator: str = SEPARATOR, prose: bool | None = None) -> tuple[str, ...]:
    """The tags of a caption, stripped, without empty ones. Prose is one piece; None: guessed."""
    mark = _mark(separator)
    if is_prose(caption, separator) if prose is None else prose:
        whole = caption.strip()
        return (whole,) if whole else ()
    pieces = caption.split(mark) if mark else caption.split()
    return tuple(filter(None, map(str.strip, pieces)))


def join(tags: Iterable[str], separator: str = SEPARATOR) -> str:
    """Tags as a caption: "a, b". Split again, not as prose, they are the same, if none has the separator in it."""
    return f"{_mark(separator)} ".join(tags)


@lru_cache(maxsize=1 << 17)
def key(tag: str) -> str:
    """What counts as the same tag: `Long_Hair` is `long hair`, and `miku \\(vocaloid\\)` is `miku (vocaloid)`."""
    if not tag.isascii():
        tag = unicodedata.normalize("NFC", tag)
    if "\\" in tag:
        tag = tag.replace("\\(", "(").replace("\\)", ")")
    return " ".join(tag.replace("_", " ").split()).casefold()


def keys(tags: Iterable[str]) -> set[str]:
    return {key(tag) for tag in tags}


def has_phrase(text: str, phrase: str) -> bool:
    """Whether the words stand in a text as whole words, whatever the case and underscores."""
    wanted = key(phrase)
    if not wanted:
        return True
    text = key.__wrapped__(text)  # whole captions would fill the memory of tags
    start = text.find(wanted)
    while start >= 0:
        before, after = text[start - 1 : start], text[start + len(wanted) :][:1]
        if not (_is_word(before) and _is_word(wanted[0])) and not (_is_word(after) and _is_word(wanted[-1])):
            return True
        start = text.find(wanted, start + 1)
    return False


@lru_cache(maxsize=1024)
def wildcards(text: str, anywhere: bool = False) -> re.Pattern[str]:
    """A pattern for `match`, where `*` is anything and `?` one character; `anywhere` in a text, or all of it.

    Each part is looked for once, behind the one before it, so that no text takes long (as in fnmatch)."""
    parts = ["".join("." if char == "?" else re.escape(char) for char in part) for part in text.split("*")]
    if anywhere:
        return re.compile("".join(f"(?>.*?{part})" for part in parts if part), re.DOTALL)
    first, *between, last = parts if len(parts) > 1 else (parts[0], None)
    if last is None:
        return re.compile(rf"{first}\Z", re.DOTALL)
    return re.compile(first + "".join(f"(?>.*?{part})" for part in between if part) + rf".*{last}\Z", re.DOTALL)


def _is_word(char: str) -> bool:
    return char.isalnum()


def _mark(separator: str) -> str:
    """What the pieces are split at: the separator without the spaces about it; "" for a separator of spaces only."""
    return separator.strip()
