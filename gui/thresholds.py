"""Tags under other thresholds: what a tagger saw is kept, so that a moved slider is answered at once, without a model.

A tagger of this kind is a captioner whose module has `retagged(options, pictures) -> {picture: Said or None}`.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from captioners import captioners
from captioners.base import Captioner, Said
from settings.errors import parse
from settings.section import Section, label, settings

EVERY = 0.02  # tags that are less probable get no bar; the cache keeps none below 0.01
BARS = 150
COMMON = 40
ENDING = "_threshold"

Retagged = Callable[[Section, Iterable[Path]], dict[Path, Said | None]]


def tagger() -> type[Captioner] | None:
    """The captioner whose thresholds can be moved afterwards."""
    return next((kind for kind in captioners().values() if hasattr(sys.modules[kind.__module__], "retagged")), None)


def retagged(kind: type[Captioner]) -> Retagged:
    return sys.modules[kind.__module__].retagged


def sliders() -> list[dict[str, str]]:
    """The tagger's thresholds: those of its settings that are called so."""
    kind = tagger()
    found = [setting for setting in settings(kind.settings) if setting.path.endswith(ENDING)] if kind else []
    return [
        {"field": one.path, "label": label(one), "category": one.path.removesuffix(ENDING)}
        for one in found
        if one.type is float
    ]


def summary(kind: type[Captioner], options: Section, pictures: list[Path], shown: Path | None) -> dict[str, Any]:
    """Tags with these options: of all pictures as counts, of one in full."""
    chosen = [said for said in retagged(kind)(options, pictures).values() if said is not None]
    counts = Counter(tag.name for said in chosen for tag in said.tags)
    return {
        "thresholds": {slider["field"]: getattr(options, slider["field"]) for slider in sliders()},
        "pictures": len(pictures),
        "known": len(chosen),
        "tags": sum(counts.values()),
        "most": counts.most_common(COMMON),
        "picture": bars(kind, options, shown) if shown else None,
    }


def bars(kind: type[Captioner], options: Section, picture: Path) -> dict[str, Any] | None:
    """One picture's caption, and every tag with its probability, category and whether it is chosen; None if the tagger
    has not seen it."""
    said = retagged(kind)(options, [picture]).get(picture)
    whole = retagged(kind)(everything(options), [picture]).get(picture)
    if said is None or whole is None:
        return None
    chosen = {tag.name for tag in said.tags}
    tags = sorted(whole.tags, key=lambda tag: -tag.score)[:BARS]
    return {
        "text": said.text,
        "tags": [[tag.name, round(tag.score, 4), tag.category, tag.name in chosen] for tag in tags],
    }


def everything(options: Section) -> Section:
    """Options under which no tag is left out for being improbable, and none is rewritten."""
    low = {slider["field"]: EVERY for slider in sliders()}
    return parse(type(options), {"model": options.model} | low)
