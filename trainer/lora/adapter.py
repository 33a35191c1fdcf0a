"""The update of one layer, whole and checked, as every reader and writer of files passes it on.

A LoRA's is an `Adapter`; the other kinds (trainer/lora/kinds/) have classes of their own for the same questions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from trainer.lora.keys import LoraError


class Update(ABC):
    """What one layer's weight becomes, of any kind."""

    kind: ClassVar[str]
    """As `lora.kind` calls it."""
    needs_base: ClassVar[bool] = False
    """Whether what it adds depends on the weight that it changes."""
    alpha: float

    @property
    @abstractmethod
    def weights(self) -> dict[str, Tensor]:
        """Its tensors by the names that files have behind the layer's, less alpha."""

    @property
    @abstractmethod
    def rank(self) -> int: ...

    @abstractmethod
    def delta(self, base: Tensor | None = None) -> Tensor:
        """What the layer's weight gains, float32, in a shape that can be reshaped to the weight's. `base`: that weight,
        for kinds that need it."""

    @abstractmethod
    def fitted(self, weight: torch.Size, where: str) -> Self:
        """The same for a layer whose weight has this shape; LoraError, beginning with `where`, when it was made for
        another."""

    @abstractmethod
    def at(self, alpha: float) -> Self:
        """The same update, with its weights scaled so that it has this alpha."""

    def norm(self, base: Tensor | None = None) -> float | None:
        """The Frobenius norm of delta(); None where it depends on a base that is not there."""
        if self.needs_base and base is None:
            return None
        return float(self.delta(base).double().norm())

    @property
    @abstractmethod
    def nothing(self) -> bool:
        """Whether it changes nothing."""

    def columns(self) -> int | None:
        """The inputs of the layer that it was made for (of a convolution perhaps times its pixels); None if it does not
        tell."""
        return None

    def alpha_in(self, tensor: Tensor | None, where: str) -> float:
        """What a file's alpha for it means."""
        return alpha_of(tensor, self.rank, where)


@dataclass(frozen=True)
class Adapter(Update):
    """The update of one layer by a LoRA."""

    kind = "lora"

    down: Tensor
    """[rank, in] or, for a convolution, [rank, in, height, width]."""
    up: Tensor
    """[out, rank] or [out, rank, 1, 1]."""
    alpha: float

    @property
    def weights(self) -> dict[str, Tensor]:
        return {"lora_A.weight": self.down, "lora_B.weight": self.up}

    @property
    def rank(self) -> int:
        return self.down.shape[0]

    def delta(self, base: Tensor | None = None) -> Tensor:
        """up @ down * alpha / rank, [out, in] or [out, in, height, width]."""
        product = self.up.float().flatten(1) @ self.down.float().flatten(1)
        return product.reshape(self.up.shape[0], *self.down.shape[1:]) * (self.alpha / self.rank)

    def norm(self, base: Tensor | None = None) -> float:
        """From rank x rank products: the weight is never made."""
        down, up = self.down.double().flatten(1), self.up.double().flatten(1)
        square = ((up.T @ up) * (down @ down.T)).sum().clamp(min=0)
        return float(torch.sqrt(square)) * abs(self.alpha / self.rank)

    @property
    def nothing(self) -> bool:
        return not (self.down.any() and self.up.any())

    def at(self, alpha: float) -> Adapter:
        return Adapter(self.down, self.up.float() * (self.alpha / alpha), alpha)

    def columns(self) -> int:
        return self.down.shape[1]

    def fitted(self, weight: torch.Size, where: str) -> Adapter:
        made_for = (self.up.shape[0], self.down.shape[1], *(self.down.shape[2:] or (1, 1)))
        refuse_other(made_for, weight, where)
        return Adapter(_fit(self.down, weight), _fit(self.up, weight), self.alpha)


def assembled(tensors: Mapping[str, Tensor], keys: Mapping[str, str], where: str) -> Adapter:
    """The LoRA update whose tensors are found in a file by `keys` ({role: key}); LoraError, beginning with `where`,
    when it is not whole, or no number."""
    if "down" not in keys or "up" not in keys:
        raise LoraError(f"{where} is not whole: it has only {', '.join(sorted(keys.values()))}")
    down, up = tensors[keys["down"]], tensors[keys["up"]]
    if down.ndim not in (2, 4) or up.ndim not in (2, 4) or down.shape[0] != up.shape[1] or down.shape[0] == 0:
        raise LoraError(f"{where} has shapes {tuple(up.shape)} and {tuple(down.shape)}, which do not multiply")
    refuse_spoilt((down, up), where)
    return Adapter(down, up, alpha_of(tensors.get(keys.get("alpha", "")), down.shape[0], where))


def refuse_spoilt(tensors: tuple[Tensor, ...], where: str) -> None:
    if not all(torch.isfinite(tensor).all() for tensor in tensors):
        raise LoraError(f"{where} holds NaN or infinity: the file is spoilt")


def refuse_other(made_for: tuple[int, ...], weight: torch.Size, where: str) -> None:
    """LoraError where an update for so many (outputs,), (outputs, inputs) or (outputs, inputs, height, width) is not
    for this weight; of a convolution its pixels count as inputs where there are two sides only."""
    ours = {1: weight[:1], 2: (weight[0], weight[1:].numel())}.get(len(made_for), (*weight, 1, 1)[:4])
    if made_for != tuple(ours):
        raise LoraError(f"{where} was made for a layer of shape {made_for}; this model's is {tuple(weight)}: the LoRA "
                        "belongs to another model")


def alpha_of(tensor: Tensor | None, rank: int, where: str) -> float:
    """Missing or zero means alpha = rank, as all readers take it."""
    if tensor is None:
        return float(rank)
    if tensor.numel() != 1 or not torch.isfinite(tensor.float()).all():
        raise LoraError(f"{where} has an alpha that is no number")
    return float(tensor) or float(rank)


def _fit(tensor: Tensor, weight: torch.Size) -> Tensor:
    """Give a matrix the two extra axes of a 1x1 convolution, or take them away: files and models differ in them."""
    if len(weight) == 2:
        return tensor.flatten(1)
    return tensor if tensor.ndim == 4 else tensor[:, :, None, None]
