"""What takes a frozen layer's place: the layer itself, and weights beside it that learn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from trainer.lora.adapter import Update
from trainer.lora.dropping import Dropping
from trainer.lora.keys import LoraError
from trainer.lora.sizes import Size


class AdapterLayer(ABC, nn.Module):
    """A linear layer or convolution with an adapter. What learns is float32, whatever the base."""

    kind: ClassVar[str]
    """As `lora.kind` calls it."""
    reads: ClassVar[str]
    """The kind of update that files hold for it."""

    def __init__(self, base: nn.Linear | nn.Conv2d, size: Size, dropout: float):
        super().__init__()
        self.base_layer = base
        self.rank = size.rank
        self.alpha = size.alpha
        self.dropout = nn.Dropout(dropout)
        self.dropping = Dropping()
        self.cast_input_dtype_enabled = True
        """Whether inputs are made float32; without need inside autocast."""

    @property
    def weight(self) -> Tensor:
        """The frozen one: models look at its dtype."""
        return self.base_layer.weight

    @property
    def bias(self) -> Tensor | None:
        return self.base_layer.bias

    @property
    def shape(self) -> torch.Size:
        """Of the weight, even where it is stored in 4 bits."""
        return shape_of(self.base_layer)

    @property
    def scaling(self) -> float:
        return self.alpha / self.rank

    @property
    def told_alpha(self) -> float:
        """The alpha that a file says, such that its readers do what this layer does."""
        return self.alpha

    @abstractmethod
    def learnt(self) -> dict[str, nn.Parameter]:
        """What learns, by the name that it has in files."""

    def kept(self) -> dict[str, Tensor]:
        """What stands still and yet belongs to the update."""
        return {}

    def factors(self) -> list[nn.Parameter]:
        """What the update is the product of, so that a number times each makes it larger; none where it is no product.
        """
        return []

    def norm(self) -> Tensor:
        """The Frobenius norm of the product of factors(), on the device; where there are none, nothing."""
        return torch.zeros(())

    @abstractmethod
    def start(self, generator: torch.Generator) -> None:
        """The weights before the first step, with which the layer does what it did without them."""

    def take(self, update: Update, where: str) -> None:
        """Start from an update of the same kind. Raises LoraError, beginning with `where`, where its sizes differ."""
        theirs = update.at(self.told_alpha).weights
        for name, weight in self.learnt().items():
            if name not in theirs or theirs[name].numel() != weight.numel():
                was = f"is {tuple(theirs[name].shape)}" if name in theirs else "is not there"
                raise LoraError(f"{where}: {name} {was}, this run has {tuple(weight.shape)}; set the same rank (and "
                                "factor)")
        with torch.no_grad():
            for name, weight in self.learnt().items():
                weight.copy_(theirs[name].reshape(weight.shape))

    def plain(self, x: Tensor, weight: Tensor) -> Tensor:
        """What the layer would make of `x` with another weight and no bias."""
        base = self.base_layer
        if isinstance(base, nn.Conv2d):
            return functional.conv2d(x, weight, None, base.stride, base.padding, base.dilation, base.groups)
        return functional.linear(x, weight)

    def with_update(self, result: Tensor, added: Tensor) -> Tensor:
        """What the layer answers: the base's, and the update's where that is not left out of this batch."""
        if self.training and self.dropping.updates:
            added = added * self.dropping.of_update(added)
        return (result + added).to(result.dtype)

    def cast(self, x: Tensor) -> Tensor:
        return x.float() if self.cast_input_dtype_enabled else x

    def empty(self, *shape: int) -> nn.Parameter:
        return nn.Parameter(torch.zeros(shape, dtype=torch.float32, device=self.base_layer.weight.device))


class DenseLayer(AdapterLayer):
    """An adapter whose update is made as a whole weight in each step.

    It is made once more for the backward pass instead of being kept: the updates of all layers together are as large as
    the base model.
    """

    RANKED: ClassVar[tuple[str, ...]]
    """Of its matrices those with a column for each rank, one of each pair."""

    def forward(self, x: Tensor) -> Tensor:
        result = self.base_layer(x)
        weights = [self._thinned(name, weight) for name, weight in self.learnt().items()]
        added = checkpoint(self._added, self.dropout(self.cast(x)), *weights, use_reentrant=False,
                           preserve_rng_state=False)
        return self.with_update(result, added)

    def _thinned(self, name: str, weight: Tensor) -> Tensor:
        """With rank dropout. The update is one for all pictures of a batch, and so are its ranks."""
        if not (self.training and self.dropping.ranks) or name not in self.RANKED:
            return weight
        return weight * self.dropping.of_ranks(weight.shape[1:], weight)

    def factors(self) -> list[nn.Parameter]:
        return list(self.learnt().values())

    def _added(self, x: Tensor, *weights: Tensor) -> Tensor:
        return self.plain(x, self.dense(*weights).reshape(self.shape) * self.scaling)

    @abstractmethod
    def dense(self, *weights: Tensor) -> Tensor:
        """The update from what learns, in that order, not scaled yet."""


def shape_of(layer: nn.Linear | nn.Conv2d) -> torch.Size:
    """Of its weight, even where that is stored in 4 bits."""
    if isinstance(layer, nn.Conv2d):
        return torch.Size((layer.out_channels, layer.in_channels // layer.groups, *layer.kernel_size))
    return torch.Size((layer.out_features, layer.in_features))


def drawn(parameter: nn.Parameter, generator: torch.Generator, std: float = 1.0) -> None:
    """Normal numbers from the CPU's generator, the same on every device."""
    with torch.no_grad():
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * std)
