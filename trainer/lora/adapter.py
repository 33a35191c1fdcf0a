"""The update of one layer, whole and checked, as every reader and writer of files passes it on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.lora.keys import LoraError


@dataclass(frozen=True)
class Adapter:
    """The update of one layer."""

    down: Tensor
    """[rank, in] or, for a convolution, [rank, in, height, width]."""
    up: Tensor
    """[out, rank] or [out, rank, 1, 1]."""
    alpha: float

    @property
    def rank(self) -> int:
        return self.down.shape[0]

    def delta(self) -> Tensor:
        """What the layer's weight gains: up @ down * alpha / rank, float32, [out, in] or [out, in, height, width]."""
        product = self.up.float().flatten(1) @ self.down.float().flatten(1)
        return product.reshape(self.up.shape[0], *self.down.shape[1:]) * (self.alpha / self.rank)


def assembled(tensors: Mapping[str, Tensor], keys: Mapping[str, str], where: str) -> Adapter:
    """The update whose tensors are found in a file by `keys` ({role: key}); LoraError, beginning with `where`, when it
    is not whole, not plain, or no number."""
    if "foreign" in keys:
        raise LoraError(f"{where} is not a plain LoRA ({keys['foreign']}); this kind of adapter can't be read here")
    if "down" not in keys or "up" not in keys:
        raise LoraError(f"{where} is not whole: it has only {', '.join(sorted(keys.values()))}")
    down, up = tensors[keys["down"]], tensors[keys["up"]]
    if down.ndim not in (2, 4) or up.ndim not in (2, 4) or down.shape[0] != up.shape[1] or down.shape[0] == 0:
        raise LoraError(f"{where} has shapes {tuple(up.shape)} and {tuple(down.shape)}, which do not multiply")
    if not (torch.isfinite(down).all() and torch.isfinite(up).all()):
        raise LoraError(f"{where} holds NaN or infinity: the file is spoilt")
    return Adapter(down, up, _alpha(tensors.get(keys.get("alpha", "")), down.shape[0], where))


def fitted(adapter: Adapter, weight: torch.Size, where: str) -> Adapter:
    """The same for a layer whose weight has this shape; LoraError when it was made for another."""
    made_for = (adapter.up.shape[0], adapter.down.shape[1], *(adapter.down.shape[2:] or (1, 1)))
    if made_for != (*weight, *(1, 1))[:4]:
        raise LoraError(f"{where} was made for a layer of shape {made_for}; this model's is {tuple(weight)}: the LoRA "
                        "belongs to another model")
    return Adapter(_fit(adapter.down, weight), _fit(adapter.up, weight), adapter.alpha)


def _alpha(tensor: Tensor | None, rank: int, where: str) -> float:
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
