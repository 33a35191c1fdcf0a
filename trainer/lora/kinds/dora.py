"""DoRA: LoRA gives a weight's columns new directions, and their lengths are learnt apart (arXiv 2402.09353, eq. 5).

A column belongs to an input, as in the paper, in LyCORIS, ComfyUI, A1111 and Forge. PEFT and diffusers take a length
for each row instead; no file serves both. ComfyUI reads lengths of rows too, but divides by those of the old weight.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from trainer.lora.adapter import Adapter, Update
from trainer.lora.keys import LoraError
from trainer.lora.kinds.product import Product
from trainer.lora.sizes import Size


@dataclass(frozen=True)
class Decomposed(Update):
    """(W + what a LoRA adds) with columns as long as `magnitude` says: [1, in] or [1, in, 1, 1]. From elsewhere also
    rows: [out, 1] or [out, 1, 1, 1]."""

    kind = "dora"
    needs_base = True
    ROLES: ClassVar = ("dora_scale", "lora_magnitude_vector")

    inner: Adapter
    magnitude: Tensor

    @classmethod
    def made(cls, weights: Mapping[str, Tensor], alpha: float) -> Decomposed:
        if "lora_A.weight" not in weights:
            raise LoraError("is no LoRA with magnitudes but another kind with them, which can't be read here")
        inner = Adapter(weights["lora_A.weight"], weights["lora_B.weight"], alpha)
        if "lora_magnitude_vector" in weights:  # PEFT's: a number for each row
            return cls(inner, weights["lora_magnitude_vector"].reshape(-1, *[1] * (inner.down.ndim - 1)))
        return cls(inner, weights["dora_scale"])

    @property
    def alpha(self) -> float:
        return self.inner.alpha

    @property
    def weights(self) -> dict[str, Tensor]:
        return self.inner.weights | {"dora_scale": self.magnitude}

    @property
    def rank(self) -> int:
        return self.inner.rank

    @property
    def by_rows(self) -> bool:
        return self.magnitude.shape[0] == self.inner.up.shape[0] > 1

    def delta(self, base: Tensor | None = None) -> Tensor:
        base = base.float()
        changed = base + self.inner.delta().reshape(base.shape).to(base.device)
        axis = 0 if self.by_rows else 1
        lengths = along(changed, axis)
        return changed * (self.magnitude.to(lengths).reshape(lengths.shape) / lengths) - base

    @property
    def nothing(self) -> bool:
        """Not even a direction moved; lengths have nothing to be compared with here."""
        return self.inner.nothing

    def at(self, alpha: float) -> Decomposed:
        return replace(self, inner=self.inner.at(alpha))

    def columns(self) -> int:
        return self.inner.columns()

    def fitted(self, weight: torch.Size, where: str) -> Decomposed:
        inner = self.inner.fitted(weight, where)
        sides = {weight[0], weight[1]}
        if self.magnitude.numel() not in sides:
            raise LoraError(f"{where} has {self.magnitude.numel()} magnitudes; this model's layer is {tuple(weight)}")
        return replace(self, inner=inner)


class Dora(Product):
    kind = "dora"
    reads = "dora"

    def __init__(self, base: nn.Module, size: Size, dropout: float):
        super().__init__(base, size, dropout)
        self.dora_scale = nn.Parameter(along(base.weight.detach().float(), 1))

    def learnt(self) -> dict[str, nn.Parameter]:
        return super().learnt() | {"dora_scale": self.dora_scale}

    def forward(self, x: Tensor) -> Tensor:
        lengths, whole = self.lengthening(), 1.0
        if self.training and self.dropping.updates:
            whole = self.dropping.of_update(lengths)
            lengths = torch.where(whole > 0, lengths, 1)  # a layer that is left out is as long as it was
        lengthened = self.cast(x) * lengths
        result = self.base_layer(lengthened.to(x.dtype))
        added = self.product(self.dropout(lengthened), self.down, self.up, self.kept_ranks(x))
        return (result + added * (self.scaling * whole)).to(result.dtype)

    def lengthening(self) -> Tensor:
        """How many times each input counts. The length that a column has is taken as given in the backward pass
        (section 4.3 of the paper), which saves most of its memory."""
        with torch.no_grad(), torch.autocast(self.down.device.type, enabled=False):
            gained = (self.up.flatten(1) @ self.down.flatten(1)).reshape(self.shape) * self.scaling
            lengths = along(self.base_layer.weight.float() + gained, 1)
        factors = self.dora_scale / lengths
        if not isinstance(self.base_layer, nn.Conv2d):
            return factors[0]
        return factors.repeat(1, self.base_layer.groups, 1, 1)

    def take(self, update: Update, where: str) -> None:
        if update.by_rows:
            raise LoraError(f"{where} has a magnitude for each row (PEFT's DoRA), this run learns one for each column")
        super().take(update, where)


def along(weight: Tensor, axis: int) -> Tensor:
    """The lengths of a weight's rows (axis 0) or columns (axis 1), with as many axes as it has."""
    others = [number for number in range(weight.ndim) if number != axis]
    return torch.linalg.vector_norm(weight, dim=others, keepdim=True)
