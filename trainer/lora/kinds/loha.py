"""LoHa: the elementwise product of two low-rank products, of rank up to its square (FedPara, arXiv 2108.06098).

It starts as LyCORIS's does, so that learning rates found there are right here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from trainer.lora.adapter import Update, refuse_other
from trainer.lora.keys import LoraError
from trainer.lora.kinds.base import DenseLayer, drawn
from trainer.lora.sizes import Size

NAMES = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")


@dataclass(frozen=True)
class Hadamard(Update):
    """(w1_a @ w1_b) * (w2_a @ w2_b) * alpha / rank; with `cores` (t1, t2), convolutions in Tucker's form."""

    kind = "loha"
    ROLES: ClassVar = (*NAMES, "hada_t1", "hada_t2")

    factors: tuple[Tensor, Tensor, Tensor, Tensor]
    """[out, rank], [rank, in x pixels] and the same again; with cores [rank, out], [rank, in]."""
    alpha: float
    cores: tuple[Tensor, Tensor] | None = None

    @classmethod
    def made(cls, weights: Mapping[str, Tensor], alpha: float) -> Hadamard:
        """Raises KeyError where one is missing, LoraError where shapes don't multiply."""
        factors = tuple(weights[name] for name in NAMES)
        cores = (weights["hada_t1"], weights["hada_t2"]) if "hada_t1" in weights else None
        found = cls(factors, alpha, cores)
        w1_a, w1_b, w2_a, w2_b = (factor.shape for factor in factors)
        inner = {w1_a[0], w1_b[0], *cores[0].shape[:2]} if cores else {w1_a[1], w1_b[0]}
        if {len(w1_a), len(w1_b)} != {2} or (w1_a, w1_b) != (w2_a, w2_b) or len(inner) > 1:
            raise LoraError(f"has shapes {', '.join(str(tuple(factor.shape)) for factor in factors)}, which do not "
                            "multiply")
        return found

    @property
    def weights(self) -> dict[str, Tensor]:
        cores = zip(("hada_t1", "hada_t2"), self.cores, strict=True) if self.cores else ()
        return dict(zip(NAMES, self.factors, strict=True)) | dict(cores)

    @property
    def rank(self) -> int:
        return self.factors[1].shape[0]

    def delta(self, base: Tensor | None = None) -> Tensor:
        w1_a, w1_b, w2_a, w2_b = (factor.float() for factor in self.factors)
        if self.cores is None:
            return (w1_a @ w1_b) * (w2_a @ w2_b) * (self.alpha / self.rank)
        one, two = (core.float() for core in self.cores)
        return tucker(one, w1_a, w1_b) * tucker(two, w2_a, w2_b) * (self.alpha / self.rank)

    @property
    def nothing(self) -> bool:
        return not all(weight.any() for weight in self.weights.values())

    def at(self, alpha: float) -> Hadamard:
        first, *others = self.factors
        return replace(self, factors=(first.float() * (self.alpha / alpha), *others), alpha=alpha)

    def columns(self) -> int:
        return self.factors[1].shape[1]

    def fitted(self, weight: torch.Size, where: str) -> Hadamard:
        first = self.factors[0].shape
        made_for = (first[1], self.columns(), *self.cores[0].shape[2:]) if self.cores else (first[0], self.columns())
        refuse_other(tuple(made_for), weight, where)
        return self


class Loha(DenseLayer):
    kind = "loha"
    reads = "loha"
    RANKED = ("hada_w1_a", "hada_w2_a")

    def __init__(self, base: nn.Module, size: Size, dropout: float):
        super().__init__(base, size, dropout)
        outputs, inputs = self.shape[0], self.shape[1:].numel()
        for name in NAMES:
            shape = (outputs, size.rank) if name.endswith("a") else (size.rank, inputs)
            self.register_parameter(name, self.empty(*shape))

    def learnt(self) -> dict[str, nn.Parameter]:
        return {name: getattr(self, name) for name in NAMES}

    def start(self, generator: torch.Generator) -> None:
        drawn(self.hada_w1_b, generator)
        drawn(self.hada_w1_a, generator, 0.1)
        drawn(self.hada_w2_b, generator)

    def norm(self) -> Tensor:
        return self.dense(*self.factors()).norm() * self.scaling

    def dense(self, w1_a: Tensor, w1_b: Tensor, w2_a: Tensor, w2_b: Tensor) -> Tensor:
        return (w1_a @ w1_b) * (w2_a @ w2_b)


def tucker(core: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """A convolution's weight [out, in, height, width] from a core [rank, rank, height, width], [rank, out] and
    [rank, in]."""
    return torch.einsum("ijkl,jr,ip->prkl", core, second, first)
