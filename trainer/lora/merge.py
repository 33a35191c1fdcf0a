"""Adds a LoRA to the weights of a model, in float32: in bfloat16 most of a small update would be rounded away."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from trainer.lora.adapter import Update
from trainer.lora.inject import learnable
from trainer.lora.keys import LoraError


def merge(parts: Mapping[str, nn.Module], adapters: Mapping[str, Update], strength: float = 1.0) -> None:
    """Add `strength` times the update of each layer ({our name: Adapter}) to the weights of `parts`, in place.

    The sum is made in float32 and stored in the dtype of the weights; keep those in float32 where the result is saved:
    bfloat16 weights (std 0.02) lose 11 to 71 % of an update of std 3e-4 to 3e-5. Layers with adapters attached get it
    in their base weights.
    """
    targets = learnable(parts)
    unknown = adapters.keys() - targets.keys()
    if unknown:
        raise LoraError(f"{len(unknown)} of the LoRA's {len(adapters)} layers are not in this model ({min(unknown)})")
    with torch.no_grad():
        for name, adapter in adapters.items():
            weight = targets[name].weight
            delta = adapter.delta(weight).reshape(weight.shape).to(weight.device)
            weight.copy_(weight.float() + strength * delta)
