"""What goes with which kind of adapter, said before a run begins."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from trainer.families import families

if TYPE_CHECKING:
    from trainer.config import LoraSettings, TrainSettings

PRODUCTS = ("lora", "rslora", "dora", "pissa")
"""Kinds with two matrices A and B."""
PLAIN = ("lora", "rslora")
"""Kinds that are nothing else."""
AS_LORA = ("lora", "rslora", "pissa")
"""Kinds whose files are LoRAs to every reader."""
NEED_WEIGHTS = ("dora", "pissa")
"""Kinds that look at the frozen weights, which therefore can't be in 8 or 4 bits."""
NAMES = {"lora": "LoRA", "rslora": "rsLoRA", "dora": "DoRA", "pissa": "PiSSA", "loha": "LoHa", "lokr": "LoKr",
         "oft": "OFT"}  # fmt: skip


def conflicts(config: TrainSettings) -> Iterator[tuple[str, str]]:
    lora, name = config.lora, NAMES[config.lora.kind]
    for part, own in {"denoiser": lora.denoiser, **config.text_encoders}.items():
        if own.train and own.plus_ratio and lora.kind not in PRODUCTS:
            yield f"lora.{part}.plus_ratio", f"{name} has no second matrix to learn faster: leave it empty"
        for field in ("rank_dropout", "module_dropout"):
            if own.train and getattr(own, field) and lora.kind not in PLAIN:
                yield f"lora.{part}.{field}", f"works with LoRA and rsLoRA, not with {name}: set it to 0"
        if own.train and lora.kind == "oft" and own.rank < 2:
            yield f"lora.{part}.rank", "of OFT it is the size of the blocks that turn: at least 2"
    if lora.max_norm and lora.kind not in PLAIN:
        yield "lora.max_norm", f"works with LoRA and rsLoRA, not with {name}: leave it empty"
    if lora.denoiser.train and lora.kind in NEED_WEIGHTS and config.memory.base_precision != "16bit":
        fix = "set memory.base_precision to 16bit, or choose LoRA"
        yield "lora.kind", f"{name} needs the base model's weights as they are: {fix}"
    yield from unreadable(config)


def unreadable(config: TrainSettings) -> Iterator[tuple[str, str]]:
    """Other forms of the file that this kind has none for."""
    lora, save, name = config.lora, config.save, NAMES[config.lora.kind]
    if lora.kind in AS_LORA:
        return
    for field, label in {"peft": "PEFT", "diffusers": "diffusers"}.items():
        if getattr(save, field):
            fix = "leave it out, or choose LoRA, rsLoRA or PiSSA"
            yield f"save.{field}", f"{label} does not take {name} as it is learnt here: {fix}"
    family = families().get(config.model.family)
    if save.blocks and family and "original_blocks" in family.traits and has_fused(config.model.family):
        yield "save.blocks", f"the original has several layers in one, and {name} can't be joined: leave it out"


def has_fused(family: str) -> bool:
    """Whether a layer of the original is several of ours."""
    naming = families()[family].naming
    pieces = (naming.piece(name) for name in naming.layers())
    return any(piece and not piece.alone for piece in pieces)


def numbers(lora: LoraSettings, rank: int, shape: Sequence[int]) -> float:
    """How many learn beside a layer whose weight has this shape; of LoKr nearly, as if every side could be divided as
    it likes."""
    outputs, inputs = shape[0], math.prod(shape[1:])
    product = rank * (outputs + inputs)
    if lora.kind == "lokr" and rank:
        small = [min(lora.factor or side, math.isqrt(side)) for side in (outputs, shape[1])]
        large = outputs / small[0], inputs / small[1]
        whole = rank >= max(large[0], shape[1] / small[1]) / 2
        return small[0] * small[1] + (large[0] * large[1] if whole else rank * sum(large))
    return {"dora": product + shape[1] * bool(rank), "loha": 2 * product, "oft": outputs * min(rank, outputs)}.get(
        lora.kind, product)


def warnings(config: TrainSettings) -> Iterator[tuple[str, str]]:
    lora = config.lora
    if lora.factor and lora.kind != "lokr":
        yield "lora.factor", f"has no effect with {NAMES[lora.kind]}, only with LoKr"
    for part, own in {"denoiser": lora.denoiser, **config.text_encoders}.items():
        if lora.kind == "oft" and own.train and own.alpha != type(own)().alpha:
            yield f"lora.{part}.alpha", "has no effect: OFT scales nothing, its rank is the size of the blocks"
