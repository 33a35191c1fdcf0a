"""PEFT's adapter folders: one for each part, with weights under its layers' names and a config that says the rest.

LoRA, LoHa and LoKr are reckoned there as here, once the config says the ranks, alphas and the division of sides that
the weights have. DoRA and OFT are not: PEFT's lengths are those of rows, ours of columns, and its OFT turns inputs,
ours outputs. The tests load what is written with PeftModel and compare what the model says.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import safetensors.torch
from torch import Tensor

from trainer.config.kinds import NOT_IN_PEFT, learnt_whole, peft_divides
from trainer.lora.adapter import Update
from trainer.lora.keys import LoraError, Naming
from trainer.lora.kinds.loha import Hadamard
from trainer.lora.kinds.lokr import Kronecker

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
TYPES = {"lora": "LORA", "loha": "LOHA", "lokr": "LOKR"}
PIXELS = (1, 9, 4, 25, 49)  # of convolutions


def files(parts: Mapping[str, Mapping[str, Update]], naming: Naming, metadata: Mapping[str, str]) -> dict[str, bytes]:
    """{path inside the folder: content} for the updates of each part by path. LoraError for what PEFT takes
    otherwise."""
    found = {}
    for name, own in parts.items():
        part, tensors = naming.part(name), {}
        for path, update in own.items():
            # PEFT takes the names of the layers as they are, and CLIPTextModel lost its `text_model.` with transformers
            # 5.6: with both, every version finds one and passes over the other.
            for full in dict.fromkeys((path, part.inner + path)):
                tensors |= {f"base_model.model.{full}.{weight}": tensor.clone()
                            for weight, tensor in update.weights.items()}
        config = config_of(own, exact=not part.inner)
        found[f"{part.diffusers}/{CONFIG}"] = json.dumps(config, indent=2).encode()
        found[f"{part.diffusers}/{WEIGHTS}"] = safetensors.torch.save(tensors, dict(metadata))
    return found


def config_of(adapters: Mapping[str, Update], exact: bool) -> dict[str, Any]:
    """PEFT's config for updates by path. `exact`: the paths are whole; else something may stand before them, as
    transformers has it in one version and not in another."""
    kind = kind_of(adapters.values())
    sizes = {path: size_of(one) for path, one in adapters.items()}
    rank = Counter(rank for rank, _ in sizes.values()).most_common(1)[0][0]
    alpha = Counter(alpha for _, alpha in sizes.values()).most_common(1)[0][0]
    mark = "^" if exact else ""
    return {
        "peft_type": TYPES[kind],
        "r": rank,
        "lora_alpha" if kind == "lora" else "alpha": alpha,
        "target_modules": list(adapters),
        "rank_pattern": {mark + path: own for path, (own, _) in sizes.items() if own != rank},
        "alpha_pattern": {mark + path: own for path, (_, own) in sizes.items() if own != alpha},
        **({"lora_dropout": 0.0, "bias": "none", "use_rslora": False, "use_dora": False} if kind == "lora" else
           {"rank_dropout": 0.0, "module_dropout": 0.0, "use_effective_conv2d": False}),
        **({"decompose_both": False, "decompose_factor": factor_of(adapters)} if kind == "lokr" else {}),
        "inference_mode": True,
    }


def kind_of(adapters: Iterable[Update]) -> str:
    """The one kind of all. LoraError where PEFT takes it otherwise, or has no form for it."""
    kinds = {one.kind for one in adapters}
    if said := [NOT_IN_PEFT[kind] for kind in sorted(kinds) if kind in NOT_IN_PEFT]:
        raise LoraError(f"{' and '.join(sorted(kinds))} can't be written for peft: {'; '.join(said)}")
    if len(kinds) > 1:
        raise LoraError(f"{' and '.join(sorted(kinds))} can't be written for peft: a folder there holds one kind alone")
    if any(isinstance(one, Hadamard) and one.cores for one in adapters) or any(
            isinstance(one, Kronecker) and not one.tensors.keys() <= {"lokr_w1", "lokr_w2", "lokr_w2_a", "lokr_w2_b"}
            for one in adapters):
        raise LoraError("it can't be written for peft: that takes Tucker's form, and small matrices of two factors, in "
                        "all layers or in none")
    return kinds.pop()


def size_of(update: Update) -> tuple[int, float]:
    """(rank, alpha) with which PEFT has weights of these shapes and this strength."""
    if isinstance(update, Kronecker) and "lokr_w2" in update.tensors:
        rank = max(update.tensors["lokr_w2"].shape[:2])  # enough for it to be learnt whole
        return rank, float(rank)
    return update.rank, update.alpha


def factor_of(adapters: Mapping[str, Kronecker]) -> int:
    """The `decompose_factor` that gives every layer its shapes. LoraError where none does."""
    tried = [-1, *sorted({side for one in adapters.values() for side in one.tensors["lokr_w1"].shape}, reverse=True)]
    for factor in tried:
        if all(divides_alike(one.tensors, factor) for one in adapters.values()):
            return factor
    raise LoraError("lokr can't be written for peft: no factor divides the sides of all layers there as they are "
                    "divided here")


def divides_alike(tensors: Mapping[str, Tensor], factor: int) -> bool:
    small = tensors["lokr_w1"].shape
    if "lokr_w2" in tensors:
        large, inputs = tensors["lokr_w2"].shape[:2], [tensors["lokr_w2"].shape[1]]
    else:  # how many of the columns are pixels is not told
        columns, rank = tensors["lokr_w2_b"].shape[1], tensors["lokr_w2_b"].shape[0]
        large = (tensors["lokr_w2_a"].shape[0], 1)
        inputs = [columns // pixels for pixels in PIXELS
                  if columns % pixels == 0 and not learnt_whole((large[0], columns // pixels), rank)]
    return peft_divides(small[0] * large[0], factor) == small[0] and any(
        peft_divides(small[1] * own, factor) == small[1] for own in inputs)


def fold_scales(tensors: dict[str, Tensor], ranks: Mapping[str, int], alphas: Mapping[str, float]) -> None:
    """Lay into the weights of a LoKr, in place, what PEFT scales it by where it is learnt whole: nobody else does."""
    for stem, alpha in alphas.items():
        small = f"{stem}.lokr_w1"
        if small in tensors and f"{stem}.lokr_w2" in tensors and alpha != ranks[stem]:
            tensors[small] = tensors[small].float() * (alpha / ranks[stem])
