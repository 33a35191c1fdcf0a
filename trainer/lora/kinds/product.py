"""A low-rank product beside a layer, as LoRA has it: what DoRA and PiSSA have in common."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.lora.kinds.base import AdapterLayer
from trainer.lora.sizes import Size


class Product(AdapterLayer):
    def __init__(self, base: nn.Module, size: Size, dropout: float):
        super().__init__(base, size, dropout)
        outputs, *inputs = self.shape
        self.down = self.empty(size.rank, *inputs)
        self.up = self.empty(outputs, size.rank, *[1] * (len(inputs) - 1))

    def learnt(self) -> dict[str, nn.Parameter]:
        return {"lora_A.weight": self.down, "lora_B.weight": self.up}

    def start(self, generator: torch.Generator) -> None:
        began = torch.empty(self.down.shape)
        with torch.no_grad():
            self.down.copy_(nn.init.kaiming_uniform_(began, a=math.sqrt(5), generator=generator))

    def factors(self) -> list[nn.Parameter]:
        return [self.down, self.up]

    def norm(self) -> Tensor:
        return norm_of(self.down, self.up) * self.scaling

    def kept_ranks(self, x: Tensor) -> Tensor | None:
        """How much each rank counts for each picture, [B, 1..., rank] or [B, rank, 1, 1]; None where all count 1. In
        groups it is the same for all pictures."""
        if not (self.training and self.dropping.ranks):
            return None
        if isinstance(self.base_layer, nn.Conv2d):
            return self.dropping.of_ranks((1 if self.base_layer.groups > 1 else len(x), self.rank, 1, 1), x)
        return self.dropping.of_ranks((len(x), *[1] * (x.ndim - 2), self.rank), x)

    def product(self, x: Tensor, down: Tensor, up: Tensor, ranks: Tensor | None = None) -> Tensor:
        """up(ranks * down(x)), not scaled."""
        if not isinstance(self.base_layer, nn.Conv2d):
            return functional.linear(weighed(functional.linear(x, down), ranks), up)
        if self.base_layer.groups > 1:  # groups would each need columns of their own: by the whole weight
            down = weighed(down, None if ranks is None else ranks.transpose(0, 1))
            return self.plain(x, (up.flatten(1) @ down.flatten(1)).reshape(self.shape))
        return functional.conv2d(weighed(self.plain(x, down), ranks), up)


def weighed(hidden: Tensor, ranks: Tensor | None) -> Tensor:
    return hidden if ranks is None else hidden * ranks.to(hidden.dtype)


def norm_of(down: Tensor, up: Tensor) -> Tensor:
    """|up @ down| from rank x rank products, without making it: |UD|^2 = <U'U, DD'>."""
    down, up = down.flatten(1), up.flatten(1)
    return ((up.T @ up) * (down @ down.T)).sum().clamp(min=0).sqrt()
