"""Updates kept from growing beyond a norm ("max norm", as kohya's scale_weight_norms): what is larger is scaled down to
it, an equal part of the way by each matrix that it is the product of."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from trainer.lora.inject import ADAPTER, Layer, layers, weights
from trainer.lora.kinds.base import AdapterLayer
from trainer.lora.kinds.product import norm_of

ROUNDING = 1e-5  # what was scaled before must not count again


class Limit:
    """Scales every update whose Frobenius norm is above `most` down to it, in place, at each call. Of DoRA that is the
    LoRA in it, without the lengths.

    Where the updates are is looked up once: a model has hundreds of layers, and thousands of steps.
    """

    def __init__(self, parts: Mapping[str, nn.Module], most: float):
        self._most = most
        self._updates = [found for module in parts.values() for layer in layers(module).values()
                         if (found := update(layer))[0]]

    @torch.no_grad()
    def __call__(self) -> Tensor:
        """How many were scaled, on the device: nothing is asked of it on the way."""
        if not self._updates:
            return torch.zeros((), dtype=torch.int64)
        sizes = torch.stack([norm() for _, norm in self._updates])
        over = sizes > self._most * (1 + ROUNDING)
        scales = torch.where(over, self._most / sizes, 1)
        for (factors, _), scale in zip(self._updates, scales):
            for weight in factors:
                weight.mul_(scale ** (1 / len(factors)))
        return over.sum()


def update(layer: Layer) -> tuple[list[nn.Parameter], Callable[[], Tensor]]:
    """What a layer's update is the product of, and what tells its norm."""
    if isinstance(layer, AdapterLayer):
        return layer.factors(), layer.norm
    down, up = weights(layer).values()
    return [down, up], lambda: norm_of(down, up) * layer.scaling[ADAPTER]
