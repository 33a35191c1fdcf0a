"""Ranks and whole updates left out at random while training, as LyCORIS and kohya's LoRA do it.

Both are one factor on what comes out of a layer's first matrix: nothing after it has a bias, so where that is zero the
update is. It is drawn from torch's global generator as dropout is, so a step's seed covers it and a checkpointed layer
that runs again in the backward pass draws the same again; `eval()` switches it off.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from trainer.lora.inject import ADAPTER, layers


def drop(module: nn.Module, ranks: float, updates: float) -> None:
    """From now on leave out each rank of each sample with probability `ranks`, the others being made as much stronger,
    and each layer's whole update, for all of a batch, with probability `updates`, which nothing makes up for."""
    for layer in layers(module).values() if ranks or updates else ():
        layer.lora_A[ADAPTER].register_forward_hook(Dropping(ranks, updates))


class Dropping:
    """A forward hook on the first matrix of one update."""

    def __init__(self, ranks: float, updates: float):
        self._ranks, self._updates = ranks, updates

    def __call__(self, down: nn.Module, _: Any, out: Tensor) -> Tensor:
        if not down.training:
            return out
        if self._ranks:
            # [B, ..., rank] of a linear layer, [B, rank, height, width] of a convolution
            channels = 1 if isinstance(down, nn.Conv2d) else out.ndim - 1
            shape = [size if place in (0, channels) else 1 for place, size in enumerate(out.shape)]
            out = out * (kept(shape, self._ranks, out) / (1 - self._ranks))
        return out * kept([], self._updates, out) if self._updates else out


def kept(shape: list[int], share: float, like: Tensor) -> Tensor:
    """Ones, and zeros with probability `share`."""
    return (torch.rand(shape, device=like.device) >= share).to(like.dtype)
