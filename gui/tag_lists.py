"""Lists of tags to choose from in the tag editor: the tagger's, where it is on this machine, and one of a person's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from captioners.base import CaptionerError
from captioners.config import CaptionConfig
from dataset.editor.suggest import TagList, TagListError, read
from gui import thresholds
from gui.captioning import FORM
from settings.errors import SettingsError, parse
from settings.section import Section

if TYPE_CHECKING:
    from gui.window import Window

DRAFT = "tags"  # which file a person chose


def lists(window: Window) -> list[TagList]:
    """A person's first: their spelling is the one they want. What can't be read any more is left out."""
    own, options = window.drafts.load(DRAFT).get("list"), tagger_options(window)
    labels = thresholds.labels_file(options) if options else None
    found = []
    for path in filter(None, (own and Path(str(own)), labels)):
        try:
            found.append(_read(path))
        except TagListError:  # said when it was chosen
            continue
    return found


def choose(window: Window, path: str) -> int:
    """Take a person's list, or none for an empty path; how many tags it has. TagListError where it isn't one."""
    count = len(_read(Path(path)).tags) if path else 0
    window.drafts.save(DRAFT, window.drafts.load(DRAFT) | {"list": path})
    return count


def categories(window: Window) -> Mapping[str, str]:
    """`words.key` of a tag -> its category, the first list's where several know it."""
    return _merged(tuple(lists(window)))


def scores(window: Window, paths: Sequence[Path], tag: str) -> dict[Path, float]:
    """How sure the tagger was of a tag, for the pictures that it has looked at."""
    options = tagger_options(window)
    try:
        return thresholds.scores(options, paths, tag) if options else {}
    except CaptionerError:
        return {}


def tagger_options(window: Window) -> Section | None:
    """The tagger's settings as they stand on the captions form."""
    kind = thresholds.tagger()
    if kind is None:
        return None
    try:
        return getattr(parse(CaptionConfig, window.drafts.load(FORM)), kind.name)
    except SettingsError:
        return kind.settings()


@lru_cache(maxsize=8)
def _merged(known: tuple[TagList, ...]) -> dict[str, str]:
    return {name: category for tags in reversed(known) for name, category in tags.categories.items()}


def _read(path: Path) -> TagList:
    try:
        about = path.stat()
    except OSError as error:
        raise TagListError(f"{path} can't be read ({error.strerror})") from error
    except ValueError:
        raise TagListError("this is no file") from None
    return _unchanged(path, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=4)
def _unchanged(path: Path, changed: int, size: int) -> TagList:
    return read(path)
