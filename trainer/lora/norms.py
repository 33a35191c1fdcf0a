"""Updates kept from growing beyond a norm ("max norm", as kohya's scale_weight_norms): what is larger is scaled down to
it, half of the way by each of its two matrices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from trainer.lora.inject import ADAPTER, layers, weights

ROUNDING = 1e-5  # what was scaled before must not count again


@torch.no_grad()
def limit(parts: Mapping[str, nn.Module], most: float) -> Tensor:
    """Scale every update whose Frobenius norm is above `most` down to it, in place; how many those were, on the device.

    Nothing is asked of the device on the way, and no update is multiplied out.
    """
    found = [layer for module in parts.values() for layer in layers(module).values()]
    if not found:
        return torch.zeros((), dtype=torch.int64)
    pairs = [tuple(weights(layer).values()) for layer in found]
    sizes = norms(pairs, [layer.scaling[ADAPTER] for layer in found])
    over = sizes > most * (1 + ROUNDING)
    scales = torch.where(over, most / sizes, 1).sqrt()
    for pair, scale in zip(pairs, scales):
        for weight in pair:
            weight.mul_(scale)
    return over.sum()


def norms(pairs: Iterable[tuple[Tensor, Tensor]], scalings: list[float]) -> Tensor:
    """|scaling * up @ down| of each (down, up), from rank x rank products: |UD|^2 = <U'U, DD'>."""
    squares = torch.stack([square(down.flatten(1), up.flatten(1)) for down, up in pairs])
    return squares.clamp(min=0).sqrt() * torch.tensor(scalings, device=squares.device)


def square(down: Tensor, up: Tensor) -> Tensor:
    return ((up.T @ up) * (down @ down.T)).sum()
