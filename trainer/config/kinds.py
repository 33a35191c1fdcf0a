"""What goes with which kind of adapter, said before a run begins."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from trainer.families import families
from trainer.lora.layers import known

if TYPE_CHECKING:
    from trainer.config import LoraSettings, TrainSettings
    from trainer.lora.sizes import Size

PRODUCTS = ("lora", "rslora", "dora", "pissa")
"""Kinds with two matrices A and B."""
AS_LORA = ("lora", "rslora", "pissa")
"""Kinds whose files are LoRAs to every reader."""
NEED_WEIGHTS = ("dora", "pissa")
"""Kinds that look at the frozen weights, which therefore can't be in 8 or 4 bits."""
NO_PRODUCT = {"pissa": "PiSSA's update is a difference of two products",
              "oft": "OFT's update is a rotation of the weights"}
"""Kinds whose update is not the product of what learns."""
NOT_IN_PEFT = {"dora": "PEFT's DoRA has a length for each row of a weight, this one for each column",
               "oft": "PEFT's OFT turns the inputs of a layer, this one its outputs"}
"""Kinds that PEFT reckons otherwise."""
NAMES = {"lora": "LoRA", "rslora": "rsLoRA", "dora": "DoRA", "pissa": "PiSSA", "loha": "LoHa", "lokr": "LoKr",
         "oft": "OFT"}  # fmt: skip


def conflicts(config: TrainSettings) -> Iterator[tuple[str, str]]:
    lora, name = config.lora, NAMES[config.lora.kind]
    for part, own in {"denoiser": lora.denoiser, **config.text_encoders}.items():
        if own.train and own.plus_ratio and lora.kind not in PRODUCTS:
            yield f"lora.{part}.plus_ratio", f"{name} has no second matrix to learn faster: leave it empty"
        if own.train and own.rank_dropout and lora.kind == "oft":
            yield f"lora.{part}.rank_dropout", "OFT turns whole blocks and has no ranks to leave out: set it to 0"
        if own.train and lora.kind == "oft" and own.rank < 2:
            yield f"lora.{part}.rank", "of OFT it is the size of the blocks that turn: at least 2"
    if lora.max_norm and lora.kind in NO_PRODUCT:
        yield "lora.max_norm", f"{NO_PRODUCT[lora.kind]}, so that it can't be scaled down: leave it empty"
    if lora.denoiser.train and lora.kind in NEED_WEIGHTS and config.memory.base_precision != "16bit":
        fix = "set memory.base_precision to 16bit, or choose LoRA"
        yield "lora.kind", f"{name} needs the base model's weights as they are: {fix}"
    yield from unreadable(config)


def unreadable(config: TrainSettings) -> Iterator[tuple[str, str]]:
    """Other forms of the file that this kind has none for."""
    lora, save, name = config.lora, config.save, NAMES[config.lora.kind]
    if save.peft and lora.kind in NOT_IN_PEFT:
        yield "save.peft", f"{NOT_IN_PEFT[lora.kind]}: leave it out, or choose another kind"
    if save.peft and lora.kind == "lokr" and (wrong := divided_otherwise(lora, config.model.family)):
        fix = f"set lora.factor to {math.isqrt(min(wrong))} or less, or leave it out"
        yield "save.peft", f"PEFT divides layers with {wrong[0]} inputs or outputs otherwise: {fix}"
    if lora.kind in AS_LORA:
        return
    if save.diffusers:
        yield "save.diffusers", f"diffusers reads no {name}: leave it out, or choose LoRA, rsLoRA or PiSSA"
    family = families().get(config.model.family)
    if save.blocks and family and "original_blocks" in family.traits and has_fused(config.model.family):
        yield "save.blocks", f"the original has several layers in one, and {name} can't be joined: leave it out"


def divided_otherwise(lora: LoraSettings, family: str) -> list[int]:
    """Sides of the layers that learn, in the family's published models, of which PEFT makes other factors."""
    layers = families()[family].layers | {"any": ".*"} if family in families() else {}
    shapes = [shape for path, shape in known(family).items()
              if layers and re.fullmatch(layers[lora.denoiser.layers], path)]
    sides = {side for shape in shapes for side in shape[:2]}
    return sorted(side for side in sides
                  if lora.factor and peft_divides(side, lora.factor) != divided(side, lora.factor))


def peft_divides(side: int, factor: int) -> int:
    """What PEFT's `decompose_factor` makes of a side: itself where it divides it, however large; else, or with -1, as
    divided()."""
    return factor if factor > 0 and side % factor == 0 else divided(side, max(factor, 0) or None)


def has_fused(family: str) -> bool:
    """Whether a layer of the original is several of ours."""
    naming = families()[family].naming
    pieces = (naming.piece(name) for name in naming.layers())
    return any(piece and not piece.alone for piece in pieces)


def kronecker(shape: Sequence[int], factor: int | None) -> tuple[tuple[int, int], tuple[int, int]]:
    """(outputs, inputs) of the small and of the larger matrix of a LoKr, for a weight of this shape."""
    small = divided(shape[0], factor), divided(shape[1], factor)
    return small, (shape[0] // small[0], shape[1] // small[1])


def divided(sides: int, factor: int | None) -> int:
    """The largest divisor that is not above `factor` nor the square root."""
    most = min(factor or sides, math.isqrt(sides))
    return next(number for number in range(most, 0, -1) if sides % number == 0)


def learnt_whole(large: Sequence[int], rank: int) -> bool:
    """Whether a product of this rank would save nothing of the larger matrix of a LoKr."""
    return rank >= max(large) / 2


def without_ranks(lora: LoraSettings, sizes: Mapping[str, Size], shapes: Mapping[str, Sequence[int]]) -> dict[str, str]:
    """What rank dropout has nothing to leave out of, in layers of these ranks."""
    own = lora.denoiser
    whole = [path for path, size in sizes.items()
             if lora.kind == "lokr" and learnt_whole(kronecker(shapes[path], lora.factor)[1], size.rank)]
    if not (own.rank_dropout and whole):
        return {}
    return {"lora.denoiser.rank_dropout": f"has no effect on {len(whole)} of {len(sizes)} layers: at this rank LoKr "
                                          "learns their larger matrix whole, without ranks"}


def numbers(lora: LoraSettings, rank: int, shape: Sequence[int]) -> float:
    """How many learn beside a layer whose weight has this shape."""
    outputs, inputs = shape[0], math.prod(shape[1:])
    product = rank * (outputs + inputs)
    if lora.kind == "lokr" and rank:
        small, large = kronecker(shape, lora.factor)
        pixels = math.prod(shape[2:])
        whole = learnt_whole(large, rank)
        return math.prod(small) + (math.prod(large) * pixels if whole else rank * (large[0] + large[1] * pixels))
    return {"dora": product + shape[1] * bool(rank), "loha": 2 * product, "oft": outputs * min(rank, outputs)}.get(
        lora.kind, product)


def warnings(config: TrainSettings) -> Iterator[tuple[str, str]]:
    lora = config.lora
    if lora.factor and lora.kind != "lokr":
        yield "lora.factor", f"has no effect with {NAMES[lora.kind]}, only with LoKr"
    for part, own in {"denoiser": lora.denoiser, **config.text_encoders}.items():
        if lora.kind == "oft" and own.train and own.alpha != type(own)().alpha:
            yield f"lora.{part}.alpha", "has no effect: OFT scales nothing, its rank is the size of the blocks"
