"""Ranks and whole updates left out at random while training, with the words of kohya's LoRA.

What is left out is drawn from torch's global generator as dropout is, so a step's seed covers it and a checkpointed
layer that runs again in the backward pass draws the same again; `eval()` switches it off. LyCORIS and PEFT call by
"rank dropout" of LoHa and LoKr that outputs are left out, and make up for nothing; here ranks are ranks with each kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Dropping:
    """What is left out of the updates of a part."""

    ranks: float = 0.0
    """Probability for each rank; the others are made as much stronger."""
    updates: float = 0.0
    """Probability for each layer's whole update, for all of a batch; nothing makes up for it."""

    def __bool__(self) -> bool:
        return bool(self.ranks or self.updates)

    def of_ranks(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """How much each rank counts."""
        return kept(shape, self.ranks, like) / (1 - self.ranks)

    def of_update(self, like: Tensor) -> Tensor:
        """One, or zero."""
        return kept((), self.updates, like)

    def after_down(self, down: nn.Module, _: Any, out: Tensor) -> Tensor:
        """A forward hook on the first matrix of a LoRA: nothing behind it has a bias, so where that is zero the update
        is."""
        if not down.training:
            return out
        if self.ranks:
            # [B, ..., rank] of a linear layer, [B, rank, height, width] of a convolution
            channels = 1 if isinstance(down, nn.Conv2d) else out.ndim - 1
            shape = [size if place in (0, channels) else 1 for place, size in enumerate(out.shape)]
            out = out * self.of_ranks(shape, out)
        return out * self.of_update(out) if self.updates else out


def kept(shape: Sequence[int], share: float, like: Tensor) -> Tensor:
    """Ones, and zeros with probability `share`."""
    return (torch.rand(tuple(shape), device=like.device) >= share).to(like.dtype)
