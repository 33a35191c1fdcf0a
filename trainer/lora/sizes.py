"""Which layers of a part learn, and how large the update of each is: settings become a table {path of the layer: Size}.

The only place that decides it, and it needs names and shapes alone, so that the plan can ask without a model. A row of
the block table counts before what is set for convolutions, and that before what is set for the part.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from settings.errors import SettingsError
from trainer.config.lora import BlockLora, DenoiserLora, PartLora

Shapes = Mapping[str, Sequence[int]]  # {path of a layer: shape of its weight}
EXAMPLES = 4


@dataclass(frozen=True)
class Size:
    """Of the update of one layer, which is scaled by alpha / rank. `rate` multiplies the part's learning rate."""

    rank: int
    alpha: float
    rate: float = 1.0


def sizes(lora: PartLora, pattern: str, shapes: Shapes, where: str) -> dict[str, Size]:
    """Of the layers whose path the regular expression `pattern` matches whole, less those that the settings leave out.

    Raises SettingsError when no layer is left: under the path of the section, `where`, and of what is to blame.
    """
    chosen = [path for path, shape in shapes.items() if re.fullmatch(pattern, path) and not is_depthwise(shape)]
    if not chosen:
        setting = "layers" if isinstance(lora, DenoiserLora) else "train"
        raise SettingsError({f"{where}.{setting}": "matches no layer of this model: choose other layers, or check that "
                                                   "the model family is the right one"})
    if not isinstance(lora, DenoiserLora):
        return dict.fromkeys(chosen, Size(lora.rank, lora.alpha))
    refuse_unmatched(lora, shapes, where)
    found = {path: size for path in narrowed(lora, chosen) if (size := of_layer(lora, path, shapes[path])).rank}
    if not found:
        setting = "only" if lora.only else "exclude" if lora.exclude else "blocks"
        raise SettingsError({f"{where}.{setting}": f"leaves no layer that learns; those of {lora.layers!r} are called "
                                                   f"{examples(chosen)}"})
    return found


def narrowed(lora: DenoiserLora, paths: Iterable[str]) -> list[str]:
    """Those that `only` names, if it names any, without those that `exclude` does."""
    return [path for path in paths
            if (not lora.only or named(lora.only, path)) and not named(lora.exclude, path)]


def named(patterns: Sequence[str], path: str) -> bool:
    """Whether one of them is found anywhere in the path."""
    return any(re.search(pattern, path) for pattern in patterns)


def of_layer(lora: DenoiserLora, path: str, shape: Sequence[int]) -> Size:
    """Rank 0: it is left out."""
    rank, alpha = lora.rank, lora.alpha
    if is_convolution(shape) and lora.conv_rank is not None:
        rank, alpha = lora.conv_rank, scaled(lora.conv_alpha, lora.conv_rank, lora)
    row = next((row for row in lora.blocks if belongs(path, row.block)), BlockLora())
    if row.rank is not None or row.alpha is not None:
        rank, alpha = rank if row.rank is None else row.rank, scaled(row.alpha, row.rank or rank, lora)
    return Size(rank, alpha, row.rate)


def scaled(alpha: float | None, rank: int, lora: PartLora) -> float:
    """An alpha that was left empty: as large against its rank as the part's is."""
    return rank * lora.alpha / lora.rank if alpha is None else alpha


def is_convolution(shape: Sequence[int]) -> bool:
    """Of more than one pixel; those of one are linear layers by another name."""
    return len(shape) > 2 and any(side > 1 for side in shape[2:])


def is_depthwise(shape: Sequence[int]) -> bool:
    """A convolution of each channel by itself: an update of low rank would be larger than its weight."""
    return is_convolution(shape) and shape[1] == 1 < shape[0]


def belongs(path: str, block: str) -> bool:
    """Whether the layer lies in a block, given by its name or by a regular expression for the beginning of names."""
    return re.match(rf"({block})(\.|$)", path) is not None


def refuse_unmatched(lora: DenoiserLora, shapes: Shapes, where: str) -> None:
    """Raises SettingsError for every pattern that fits no layer of the model at all, which must be a mistake."""
    unmatched = {f"{where}.blocks.{number}.block": [row.block] for number, row in enumerate(lora.blocks)
                 if row.block and not any(belongs(path, row.block) for path in shapes)}
    for field in ("only", "exclude"):
        unmatched[f"{where}.{field}"] = [pattern for pattern in getattr(lora, field)
                                         if not any(re.search(pattern, path) for path in shapes)]
    if problems := {setting: f"{' and '.join(map(repr, patterns))} fits no layer of this model; they are called "
                             f"{examples(list(shapes))}" for setting, patterns in unmatched.items() if patterns}:
        raise SettingsError(problems)


def examples(paths: Sequence[str]) -> str:
    """A few names from all over the model."""
    return ", ".join(paths[:: max(1, len(paths) // EXAMPLES)][:EXAMPLES])
