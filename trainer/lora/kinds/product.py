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

    def product(self, x: Tensor, down: Tensor, up: Tensor) -> Tensor:
        """up(down(x)), not scaled."""
        if self.base_layer.weight.ndim == 2 or not isinstance(self.base_layer, nn.Conv2d):
            return functional.linear(functional.linear(x, down), up)
        if self.base_layer.groups > 1:  # groups would each need columns of their own: by the whole weight
            return self.plain(x, (up.flatten(1) @ down.flatten(1)).reshape(self.shape))
        return functional.conv2d(self.plain(x, down), up)
