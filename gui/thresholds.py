"""Tags under other thresholds: what a tagger saw is kept, so that a moved slider is answered at once, without a model.

A tagger of this kind is a captioner whose module also has `retagged`, `every_tag` and `limits`, as `wd_tagger` has.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from captioners import captioners
from captioners.base import Captioner, CaptionerError
from settings.section import Section, label, settings

LEAST = 0.02  # tags that are less probable get no bar
BARS = 150
COMMON = 40
ENDING = "_threshold"


def tagger() -> type[Captioner] | None:
    """The captioner whose thresholds can be moved afterwards."""
    return next((kind for kind in captioners().values() if hasattr(asked(kind), "retagged")), None)


def asked(kind: type[Captioner]) -> ModuleType:
    return sys.modules[kind.__module__]


def sliders() -> list[dict[str, str]]:
    """The tagger's thresholds by category: those of its settings that are called so, and may be left to the model."""
    kind = tagger()
    found = [setting for setting in settings(kind.settings) if setting.path.endswith(ENDING)] if kind else []
    return [
        {"field": one.path, "label": label(one), "category": one.path.removesuffix(ENDING)}
        for one in found
        if one.type is float and one.optional
    ]


def scores(options: Section, paths: Sequence[Path], tag: str) -> dict[Path, float]:
    """How probable the tagger found one tag, in the pictures that it has seen. Raises CaptionerError."""
    return asked(tagger()).scores_of(options, paths, tag)


def labels_file(options: Section) -> Path | None:
    """The tagger's list of tags, if it is on this machine."""
    try:
        return asked(tagger()).labels_file(options)
    except CaptionerError:
        return None


def summary(kind: type[Captioner], options: Section, pictures: list[Path], shown: Path | None) -> dict[str, Any]:
    """Tags with these options: of all pictures as counts, of one in full. Raises CaptionerError."""
    module = asked(kind)
    chosen = [said for said in module.retagged(options, pictures).values() if said is not None]
    counts = Counter(tag.name for said in chosen for tag in said.tags if tag.category != "rating")
    return {
        "limits": module.limits(options),
        "pictures": len(pictures),
        "known": len(chosen),
        "tags": counts.total(),
        "most": counts.most_common(COMMON),
        "picture": bars(module, options, shown) if shown else None,
    }


def bars(module: ModuleType, options: Section, picture: Path) -> dict[str, Any] | None:
    """One picture's caption, and every tag with its probability, category and whether it is chosen; None if the tagger
    has not seen it."""
    said, every = module.retagged(options, [picture])[picture], module.every_tag(options, picture)
    if said is None or every is None:
        return None
    names = {tag.name for tag in every}
    chosen = {tag.name for tag in said.tags}
    renamed = {tag.score for tag in said.tags if tag.name not in names}  # a tag under another name has its probability
    return {
        "text": said.text,
        "tags": [
            [tag.name, round(tag.score, 4), tag.category, tag.name in chosen or tag.score in renamed]
            for tag in every[:BARS]
            if tag.score > LEAST
        ],
    }
