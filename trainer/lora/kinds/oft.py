"""OFT: blocks of a layer's outputs are turned together, so that angles between neurons stay (arXiv 2306.07280).

As LyCORIS's Diag-OFT, which ComfyUI and A1111 read: outputs, not inputs as PEFT's; R = (I + Q)(I - Q)^-1 with a skew Q
(Cayley), and the rank is the size of a block. It needs no look at the weight, so the base may have any precision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from trainer.lora.adapter import Update, refuse_other
from trainer.lora.keys import LoraError
from trainer.lora.kinds.base import AdapterLayer
from trainer.lora.sizes import Size


@dataclass(frozen=True)
class Rotation(Update):
    """Blocks [number, side, side] over the outputs. Alpha is no factor here: a limit of |Q|, 0 for none."""

    kind = "oft"
    needs_base = True
    ROLES: ClassVar = ("oft_blocks",)

    blocks: Tensor
    alpha: float = 0.0

    @classmethod
    def made(cls, weights: Mapping[str, Tensor], alpha: float) -> Rotation:
        blocks = weights["oft_blocks"]
        if blocks.ndim != 3 or blocks.shape[1] != blocks.shape[2]:
            raise LoraError(f"has blocks of shape {tuple(blocks.shape)}, which are not squares")
        return cls(blocks, alpha)

    @property
    def weights(self) -> dict[str, Tensor]:
        return {"oft_blocks": self.blocks}

    @property
    def rank(self) -> int:
        return self.blocks.shape[1]

    def delta(self, base: Tensor | None = None) -> Tensor:
        blocks = self.blocks.float()
        skew = blocks - blocks.transpose(1, 2)
        if self.alpha > 0:
            skew = skew * min(1.0, self.alpha / (float(skew.norm()) + 1e-8))
        rows = base.float().flatten(1).unflatten(0, blocks.shape[:2])
        return torch.einsum("knm,kni->kmi", turned(skew.to(base.device)), rows).flatten(0, 1)

    @property
    def nothing(self) -> bool:
        return torch.equal(self.blocks, self.blocks.transpose(1, 2))

    def at(self, alpha: float) -> Rotation:
        if self.alpha > 0:
            raise LoraError("limits its rotations (constrained OFT), which is not trained here")
        return Rotation(self.blocks, alpha)

    def alpha_in(self, tensor: Tensor | None, where: str) -> float:
        return 0.0 if tensor is None else float(tensor)

    def fitted(self, weight: torch.Size, where: str) -> Rotation:
        refuse_other((self.blocks.shape[0] * self.blocks.shape[1],), weight, where)
        return self


class Oft(AdapterLayer):
    kind = "oft"
    reads = "oft"

    def __init__(self, base: nn.Module, size: Size, dropout: float):
        super().__init__(base, size, dropout)
        side = side_of(self.shape[0], size.rank)
        self.oft_blocks = self.empty(self.shape[0] // side, side, side)

    @property
    def told_alpha(self) -> float:
        return 0.0

    def learnt(self) -> dict[str, nn.Parameter]:
        return {"oft_blocks": self.oft_blocks}

    def start(self, generator: torch.Generator) -> None:
        """No rotation: all zero."""

    def forward(self, x: Tensor) -> Tensor:
        result = self.base_layer(x)
        axis = 1 if isinstance(self.base_layer, nn.Conv2d) else -1
        outputs = self.dropout(self.cast(result)).movedim(axis, -1)
        outputs = outputs if self.bias is None else outputs - self.bias.to(outputs.dtype)
        with torch.autocast(result.device.type, enabled=False):
            turn = turned(self.oft_blocks - self.oft_blocks.transpose(1, 2))
        blocks = outputs.unflatten(-1, self.oft_blocks.shape[:2])
        added = torch.einsum("...kn,knm->...km", blocks, turn).flatten(-2).movedim(-1, axis)
        return self.with_update(result, added)


def side_of(outputs: int, most: int) -> int:
    """Of the blocks: the largest divisor up to `most`, or where there is none but 1, which can't turn, the smallest."""
    divisors = [number for number in range(2, outputs + 1) if outputs % number == 0]
    return max((number for number in divisors if number <= most), default=divisors[0] if divisors else 1)


def turned(skew: Tensor) -> Tensor:
    """(I + Q)(I - Q)^-1 - I of a batch of skew matrices: what a rotation adds; exactly nothing for Q = 0."""
    one = torch.eye(skew.shape[-1], dtype=skew.dtype, device=skew.device)
    return torch.linalg.solve(one - skew, one + skew) - one
