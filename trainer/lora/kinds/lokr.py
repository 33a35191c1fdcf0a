"""LoKr: the Kronecker product of a small matrix and a larger one, which may be a low-rank product itself (LyCORIS,
arXiv 2309.14859). Much is reached with very few numbers.

Where the rank is half of the larger matrix or more, that is learnt whole; then nothing is scaled by alpha, since no
reader does so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from trainer.config.kinds import kronecker, learnt_whole
from trainer.lora.adapter import Update, refuse_other
from trainer.lora.keys import LoraError
from trainer.lora.kinds.base import DenseLayer
from trainer.lora.kinds.loha import tucker
from trainer.lora.kinds.product import norm_of
from trainer.lora.sizes import Size


@dataclass(frozen=True)
class Kronecker(Update):
    """kron(w1, w2), times alpha / rank where one of them is a product of two."""

    kind = "lokr"
    ROLES: ClassVar = ("lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2")

    tensors: Mapping[str, Tensor]
    """w1 [out's first factor, in's first factor], w2 [out's second, in's second (, height, width)], or as LyCORIS names
    the factors of each."""
    alpha: float

    @classmethod
    def made(cls, weights: Mapping[str, Tensor], alpha: float) -> Kronecker:
        """Raises KeyError where one is missing, LoraError where shapes don't multiply."""
        found = cls({name: weights[name] for name in cls.ROLES if name in weights}, alpha)
        for name in ("lokr_w1", "lokr_w2"):
            if name in weights:
                continue
            first, second = weights[f"{name}_a"].shape, weights[f"{name}_b"].shape
            inner = first[0] if name == "lokr_w2" and "lokr_t2" in weights else first[-1]
            if inner != second[0]:
                raise LoraError(f"has shapes {tuple(first)} and {tuple(second)}, which do not multiply")
        return found

    @property
    def weights(self) -> dict[str, Tensor]:
        return dict(self.tensors)

    @property
    def rank(self) -> int:
        inner = self.tensors.get("lokr_w2_b", self.tensors.get("lokr_w1_b"))
        return min(self.tensors["lokr_w2"].shape[:2]) if inner is None else inner.shape[0]

    @property
    def scaling(self) -> float:
        whole = "lokr_w1" in self.tensors and "lokr_w2" in self.tensors
        return 1.0 if whole else self.alpha / self.rank

    @property
    def factors(self) -> tuple[Tensor, Tensor]:
        """w1 and w2 as matrices; of w2 the pixels are columns."""
        parts = {name.removeprefix("lokr_"): tensor.float() for name, tensor in self.tensors.items()}
        w1 = parts["w1"] if "w1" in parts else parts["w1_a"] @ parts["w1_b"]
        if "w2" in parts:
            return w1, parts["w2"].flatten(1)
        if "t2" in parts:
            return w1, tucker(parts["t2"], parts["w2_a"], parts["w2_b"]).flatten(1)
        return w1, parts["w2_a"] @ parts["w2_b"].flatten(1)

    def delta(self, base: Tensor | None = None) -> Tensor:
        return torch.kron(*self.factors) * self.scaling

    def norm(self, base: Tensor | None = None) -> float:
        """The norms multiply as the matrices do."""
        w1, w2 = self.factors
        return float(w1.double().norm() * w2.double().norm()) * abs(self.scaling)

    @property
    def nothing(self) -> bool:
        return not all(weight.any() for weight in self.tensors.values())

    def at(self, alpha: float) -> Kronecker:
        if "lokr_w1" in self.tensors and "lokr_w2" in self.tensors:
            return Kronecker(self.tensors, alpha)
        first = next(iter(self.tensors))  # one of w1, which comes first
        return Kronecker({**self.tensors, first: self.tensors[first].float() * (self.alpha / alpha)}, alpha)

    def columns(self) -> int:
        return self.factors[0].shape[1] * self.factors[1].shape[1]

    def fitted(self, weight: torch.Size, where: str) -> Kronecker:
        w1, w2 = self.factors
        refuse_other((w1.shape[0] * w2.shape[0], self.columns()), weight, where)
        return self


class Lokr(DenseLayer):
    kind = "lokr"
    reads = "lokr"
    RANKED = ("lokr_w2_a",)  # what is learnt whole has no ranks

    def __init__(self, base: nn.Module, size: Size, dropout: float, factor: int | None = None):
        super().__init__(base, size, dropout)
        small, large = kronecker(self.shape, factor)
        pixels = self.shape[2:]
        self.lokr_w1 = self.empty(*small)
        self.names = ["lokr_w1", "lokr_w2"]
        if learnt_whole(large, size.rank):
            self.lokr_w2 = self.empty(*large, *pixels)
            return
        self.names = ["lokr_w1", "lokr_w2_a", "lokr_w2_b"]
        self.lokr_w2_a = self.empty(large[0], size.rank)
        self.lokr_w2_b = self.empty(size.rank, large[1] * math.prod(pixels))

    @property
    def scaling(self) -> float:
        return 1.0 if "lokr_w2" in self.names else super().scaling

    def learnt(self) -> dict[str, nn.Parameter]:
        return {name: getattr(self, name) for name in self.names}

    def start(self, generator: torch.Generator) -> None:
        """The last one stays zero."""
        for weight in list(self.learnt().values())[:-1]:
            with torch.no_grad():
                began = torch.empty(weight.shape)
                weight.copy_(nn.init.kaiming_uniform_(began, a=math.sqrt(5), generator=generator))

    def norm(self) -> Tensor:
        """The norms multiply as the matrices do."""
        w1, *w2 = self.factors()
        return w1.norm() * (w2[0].norm() if len(w2) == 1 else norm_of(w2[1], w2[0])) * self.scaling

    def dense(self, w1: Tensor, *w2: Tensor) -> Tensor:
        return torch.kron(w1, w2[0].flatten(1) if len(w2) == 1 else w2[0] @ w2[1])
