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
ENDS = re.compile(rf"[{STOPS}][\"'”’)]*(?=\s+[^\W\d_a-z]|\s*$)")  # of sentences: a capital follows, or nothing
WORD = re.compile(r"\w+(?:['’]\w+)*")
FEW = 3  # words; fewer with a full stop are an abbreviation, or a tag
LONG = 4.0  # words between two commas, on average, from which on it may be a sentence
JOINED = 0.2  # share of small words that makes it one
SPOKEN = 0.3  # the same of one that ends like a sentence and doesn't begin like one


def is_prose(caption: str, separator: str = SEPARATOR) -> bool:
    """Whether a caption reads like a sentence: it begins and ends like one, or its pieces are long and full of small
    words. A guess; a single piece such as "red star on white" is prose only if enough of its words are small."""
    if any(map(caption.__contains__, STOPS)) and _has_sentence(caption):  # the marks are looked for much quicker
        return True
    mark = _mark(separator)
    pieces = caption.count(mark) + 1 if mark else 1
    if caption.count(" ") + 1 < LONG * pieces:  # nearly always: spared the rest, which is dear
        return False
    found = WORD.findall(caption.replace("_", "-"))
    return len(found) >= LONG * pieces and _small(caption) >= JOINED * len(found)


def _has_sentence(caption: str) -> bool:
    end = ENDS.search(caption)
    if end is None:
        return False
    sentence = caption[: end.start()].lstrip()
    found = len(WORD.findall(sentence))
    if end[0][0] in "。！？":
        return found > 0
    return found >= FEW and (sentence[:1].isupper() or _small(sentence) >= SPOKEN * found)


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
    return " ".join(fold(tag).split())


def fold(text: str) -> str:
    """A text in the spelling that searches go by: composed, lower case, with spaces for underscores."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    if "\\" in text:
        text = text.replace("\\(", "(").replace("\\)", ")")
    return text.casefold().replace("_", " ")


def keys(tags: Iterable[str]) -> set[str]:
    return {key(tag) for tag in tags}


def has_phrase(text: str, phrase: str) -> bool:
    """Whether the words stand in a text as whole words, whatever the case and underscores."""
    wanted = key(phrase)
    if not wanted:
        return True
    text = fold(text)
    at = text.find(wanted)
    while at >= 0 and not whole(text, at, at + len(wanted)):
        at = text.find(wanted, at + 1)
    return at >= 0


def has_parts(text: str, parts: Iterable[str]) -> bool:
    """Whether a text has all of the parts, one behind the other."""
    at = 0
    for part in parts:
        at = text.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return True


def whole(text: str, start: int, end: int) -> bool:
    """Whether what stands there doesn't begin or end in the middle of a word."""
    before, after = text[max(0, start - 1) : start + 1], text[end - 1 : end + 1]
    return not (len(before) == 2 and before.isalnum()) and not (len(after) == 2 and after.isalnum())


@lru_cache(maxsize=1024)
def wildcards(text: str) -> re.Pattern[str]:
    """A pattern for `match` of a whole tag, where `*` is anything and `?` one character."""
    return re.compile(f"{wild_pattern(text)}\\Z", re.DOTALL)


def wild_pattern(text: str) -> str:
    """A regular expression for a text with `*` and `?` in it. Each part is looked for once, behind the one before it,
    so that no text takes long (as in fnmatch)."""
    first, *others = ("".join("." if char == "?" else re.escape(char) for char in part) for part in text.split("*"))
    between = "".join(f"(?>.*?{part})" for part in others[:-1] if part)
    return first + between + (f".*{others[-1]}" if others else "")


def _mark(separator: str) -> str:
    """What the pieces are split at: the separator without the spaces about it; "" for a separator of spaces only."""
    return separator.strip()
