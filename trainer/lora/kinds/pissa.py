"""PiSSA: a LoRA that starts as the main part of the weight itself and learns that (arXiv 2404.02948).

The paper takes that part out of the frozen weight. Here it is taken off the output instead: B A x - B0 A0 x, with the
start A0 and B0 standing still. It is the same function and the same gradient, the base stays what it was, and a file is
simply a LoRA of twice the rank, which loads anywhere. Both are computed and written as (B - B0) A + B0 (A - A0), whose
terms are as small as what was learnt: a difference of two large products would lose it in 16 bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from trainer.lora.adapter import Adapter, Update
from trainer.lora.keys import LoraError
from trainer.lora.kinds.product import Product
from trainer.lora.sizes import Size

SPARE = 8  # more directions than are kept, for exactness (Halko et al., arXiv 0909.4061)
ROUNDS = 4  # of power iterations
ROUNDING = 1e-2  # of bfloat16 files


class Pissa(Product):
    kind = "pissa"
    reads = "lora"

    def __init__(self, base: nn.Module, size: Size, dropout: float):
        super().__init__(base, size, dropout)
        self.register_buffer("first_down", torch.zeros_like(self.down.data), persistent=False)
        self.register_buffer("first_up", torch.zeros_like(self.up.data), persistent=False)

    def kept(self) -> dict[str, Tensor]:
        return {"lora_A.start": self.first_down, "lora_B.start": self.first_up}

    def start(self, generator: torch.Generator) -> None:
        """From the weight alone: another seed draws no other start, so that runs can go on from each other. Directions
        that the layer does not have begin as LoRA's do."""
        super().start(generator)
        weight = self.base_layer.weight.detach().cpu().float().flatten(1)
        up, strength, down = main_part(weight, self.rank)
        root = (strength / self.scaling).sqrt()
        with torch.no_grad():
            self.down[: len(root)] = (root[:, None] * down).reshape(-1, *self.shape[1:]).to(self.down)
            self.up[:, : len(root)] = (up * root).reshape(self.up[:, : len(root)].shape).to(self.up)
            self.first_down.copy_(self.down)
            self.first_up.copy_(self.up)

    def forward(self, x: Tensor) -> Tensor:
        result = self.base_layer(x)
        inputs = self.dropout(self.cast(x))
        ranks = self.kept_ranks(x)  # what a rank has learnt is left out, never where it started
        added = self.product(inputs, self.down, self.up - self.first_up, ranks)
        added = added + self.product(inputs, self.down - self.first_down, self.first_up, ranks)
        return self.with_update(result, added * self.scaling)

    def factors(self) -> list[nn.Parameter]:
        """It is a difference of two products."""
        return []

    def take(self, update: Update, where: str) -> None:
        """A file of PiSSA has half of its start in it, which has to be ours."""
        down, up = update.weights.values()
        same = update.rank == 2 * self.rank and math.isclose(update.alpha, 2 * self.alpha)
        if not same or not alike(up[:, self.rank :], self.first_up):
            raise LoraError(f"{where} is no PiSSA of rank {self.rank} and alpha {self.alpha:g} of this base model: "
                            "start from the folder of a run, or choose the kind lora and the file's rank")
        began = self.first_up.to(up.device).reshape(up[:, : self.rank].shape)
        super().take(Adapter(down[: self.rank], up[:, : self.rank].float() + began, self.alpha), where)


def exported(weights: Mapping[str, Tensor], alpha: float) -> Adapter:
    """What a run has learnt since its start, as one LoRA of twice the rank."""
    down, up = weights["lora_A.weight"].float(), weights["lora_B.weight"].float()
    first_down, first_up = weights["lora_A.start"].to(down), weights["lora_B.start"].to(up)
    return Adapter(torch.cat([down, down - first_down]), torch.cat([up - first_up, first_up], dim=1), 2 * alpha)


def main_part(weight: Tensor, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """The largest singular values of a matrix and their vectors, at most `rank`: [out, n], [n], [n, in]. Exact for
    small matrices, else from a random sketch with power iterations, always the same."""
    rank = min(rank, *weight.shape)
    if min(weight.shape) <= 4 * (rank + SPARE):
        up, strength, down = torch.linalg.svd(weight, full_matrices=False)
        return up[:, :rank], strength[:rank], down[:rank]
    sketch = torch.randn(weight.shape[1], rank + SPARE, generator=torch.Generator().manual_seed(0))
    found = torch.linalg.qr(weight @ sketch).Q
    for _ in range(ROUNDS):
        found = torch.linalg.qr(weight @ torch.linalg.qr(weight.T @ found).Q).Q
    up, strength, down = torch.linalg.svd(found.T @ weight, full_matrices=False)
    return (found @ up)[:, :rank], strength[:rank], down[:rank]


def alike(one: Tensor, other: Tensor) -> bool:
    """But for the rounding of a file."""
    one, other = one.float().cpu().flatten(), other.float().cpu().flatten()
    return one.shape == other.shape and float((one - other).norm()) <= ROUNDING * float(other.norm())
