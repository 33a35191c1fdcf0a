"""How a caption is varied while training: dropped, put in another order, thinned out, drawn from choices.

The order of what is done is that of kohya's sd-scripts: prefix and suffix, the whole caption dropped, one of each
{choice}, then the tags between those that stay."""

from __future__ import annotations

import random
import re

from dataset.settings import CaptionSettings

_CHOICE = re.compile(r"\{\{|\}\}|\{([^{}]+)\}")


def training_caption(text: str, settings: CaptionSettings, rng: random.Random) -> str:
    """The caption as one step sees it: nothing at all with probability `dropout`, else what `words` makes of it."""
    if settings.dropout and rng.random() < settings.dropout:
        return ""
    return words(text, settings, rng)


def words(text: str, settings: CaptionSettings, rng: random.Random) -> str:
    """The caption with prefix and suffix and, where that is on, one of each {choice|of|words}, and its tags in a new
    order or some of them left out, but for those that are kept in front or between separators. Tags are joined by ", "
    then. A mark between tags that stay together becomes a separator in any case."""
    text = " ".join(part for part in (settings.prefix, text, settings.suffix) if part)
    if settings.wildcards:
        text = _chosen(text, rng)
    if settings.shuffle or settings.tag_dropout or settings.keep_separator:
        first, moving, last = _parts(text, settings)
        if settings.shuffle:
            rng.shuffle(moving)
        if settings.tag_dropout:
            moving = [tag for tag in moving if rng.random() >= settings.tag_dropout]
        text = ", ".join(first + moving + last)
    return text.replace(settings.group_separator, settings.separator) if settings.group_separator else text


def varies(settings: CaptionSettings) -> bool:
    """Whether a caption that is not dropped is another one from time to time."""
    return settings.shuffle or settings.wildcards or settings.tag_dropout > 0


def has_choice(text: str) -> bool:
    """Whether a caption says {this|that}, of which `wildcards` draws one."""
    return any("|" in (match[1] or "") for match in _CHOICE.finditer(text))


def _parts(text: str, settings: CaptionSettings) -> tuple[list[str], list[str], list[str]]:
    """Tags that stay in front, that may move, and that stay behind. A caption with the keep separator says itself which
    they are: `stay ||| move` or `stay ||| move ||| stay`; another one by the number of those in front."""
    mark = settings.keep_separator
    if mark and mark in text:
        first, _, rest = text.partition(mark)
        moving, _, last = rest.partition(mark)
        return _tags(first, settings), _tags(moving, settings), _tags(last.replace(mark, settings.separator), settings)
    tags = _tags(text, settings)
    return tags[: settings.keep_tokens], tags[settings.keep_tokens :], []


def _tags(text: str, settings: CaptionSettings) -> list[str]:
    return [part.strip() for part in text.split(settings.separator) if part.strip()]


def _chosen(text: str, rng: random.Random) -> str:
    """One of each {a|b|c}; as in sd-scripts, {{ and }} are braces, and a choice holds no other one."""

    def one(match: re.Match[str]) -> str:
        return match[0][0] if match[1] is None else rng.choice(match[1].split("|"))

    return _CHOICE.sub(one, text)
