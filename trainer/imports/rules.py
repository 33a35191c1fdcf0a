"""All rules in their order: the family decides what others mean, the length what a share of it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.imports import length, model, network, optimizer, pictures, samples, whole, words
from trainer.imports.report import Report
from trainer.imports.translation import Translation


def translated(source: str, given: Mapping[str, Any], assumed: Mapping[str, Any] | None = None, *,
               window: bool = False, beside: Path | None = None, total: int | None = None) -> Report:
    """A report on arguments under sd-scripts' names. The others are those of `Translation`."""
    t = Translation(given, assumed, window=window, beside=beside)
    t.total = total
    first = [*model.RULES, *length.RULES, network.arguments, *optimizer.RULES]
    for rule in [*first, *whole.RULES, *words.RULES, *network.RULES[1:], *pictures.RULES, *samples.RULES]:
        rule(t)
    return t.finish(source)
