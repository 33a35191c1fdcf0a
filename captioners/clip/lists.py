"""Lists of phrases that CLIP interrogate chooses from: ours, a person's own, clip-interrogator's, a data set's tags.

A list is a text file with a phrase a line. As in the web UI's folder of lists, `moods.top3.txt` is the list "moods", of
which three are taken where each list gives its best; any other list gives one.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from captioners.base import CaptionerError
from dataset.captions import CaptionFinder, decode
from dataset.pictures import EXTENSIONS
from dataset.scan import SYSTEM_FOLDERS

OURS = Path(__file__).resolve().parent.parent / "words"
DEFECTS = "defects"  # the list of what spoils a picture: for negative prompts only
TAKE = re.compile(r"\.top(\d+)$", re.IGNORECASE)
MAX_BYTES = 50_000_000
MAX_WORDS = 6  # of a data set's tag; what has more is a sentence
MAX_TAGS = 5_000


@dataclass(frozen=True)
class Phrases:
    """A list of phrases, each once."""

    name: str
    labels: tuple[str, ...]
    take: int = 1  # of the phrases that fit best, where each list gives its own


def ours(names: Iterable[str]) -> list[Phrases]:
    return [read(OURS / f"{name}.txt") for name in names]


def known() -> list[str]:
    """The names of our own lists."""
    return sorted(path.stem for path in OURS.glob("*.txt"))


def in_folder(folder: Path) -> list[Phrases]:
    """A person's own lists. Raises CaptionerError where there is none."""
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() == ".txt" and path.is_file())
    found = [one for one in map(read, paths) if one.labels]
    if not found:
        raise CaptionerError(f"{folder} has no lists: text files with a phrase a line")
    return found


def read(path: Path) -> Phrases:
    """A list from its file; empty lines and those that begin with # are left out. Raises CaptionerError."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise CaptionerError(f"{path} is too large for a list of phrases")
        text, _ = decode(path.read_bytes())
    except OSError as error:
        raise CaptionerError(f"the list {path} can't be read ({error.strerror})") from error
    lines = (" ".join(line.split()) for line in text.replace("\0", "").splitlines())
    take = TAKE.search(path.stem)
    labels = distinct(line.strip(" ,") for line in lines if not line.startswith("#"))
    return Phrases(TAKE.sub("", path.stem), tuple(labels), int(take[1]) if take else 1)


def tags_of(folder: Path) -> Phrases:
    """The tags in the captions of the pictures in a folder and those inside it, the commonest first."""
    finder, count = CaptionFinder(folder), Counter[str]()
    spelt: dict[str, str] = {}
    for picture in pictures_in(folder):
        caption = finder.find(picture)
        parts = caption.text.split(",") if caption else []
        for tag in distinct(" ".join(part.replace("_", " ").split()) for part in parts):
            if len(tag.split()) <= MAX_WORDS:
                count[key(tag)] += 1
                spelt.setdefault(key(tag), tag)
    common = sorted(count, key=lambda tag: (-count[tag], tag))[:MAX_TAGS]
    if not common:
        raise CaptionerError(f"the captions in {folder} have no tags, so they can't be a list")
    return Phrases("tags", tuple(spelt[tag] for tag in common))


def pictures_in(folder: Path) -> Iterator[Path]:
    for root, inner, names in os.walk(folder):
        inner[:] = sorted(name for name in inner if name not in SYSTEM_FOLDERS and not name.startswith("."))
        yield from (Path(root, name) for name in sorted(names) if Path(name).suffix.lower() in EXTENSIONS)


def distinct(labels: Iterable[str]) -> list[str]:
    """Each of them once, as it came first, without those that are empty; case does not matter."""
    found: dict[str, str] = {}
    for label in filter(None, labels):
        found.setdefault(key(label), label)
    return list(found.values())


def key(label: str) -> str:
    return label.casefold()


def merged(lists: Iterable[Phrases]) -> tuple[str, ...]:
    return tuple(distinct(label for one in lists for label in one.labels))
