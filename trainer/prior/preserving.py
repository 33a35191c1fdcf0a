"""The loss of prior preservation without pictures: where the LoRA is not called up, its model must predict what the
base model predicts.

Both see the training pictures as they are being learnt, with the same noise and timestep, and one more caption for each
(trainer/prior/asked.py). The base model is the one in training with its adapters asleep, so it takes no memory; and as
this loss is computed after the backward pass of the other, a step holds the activations of one forward pass at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from trainer.batches import Sample
from trainer.lora import inject
from trainer.loss.objective import only_from
from trainer.prior.asked import asked

if TYPE_CHECKING:
    from trainer.config import TrainSettings
    from trainer.run import Run


@dataclass(frozen=True)
class Noised:
    """A batch as the denoiser sees it: latents [B, C, h, w] with noise in them, timesteps [B], and how much the error
    of each sample counts [B]."""

    samples: list[Sample]
    latents: Tensor
    timesteps: Tensor
    weights: Tensor

    def of(self, rows: list[int]) -> Noised:
        parts = (tensor[rows] for tensor in (self.latents, self.timesteps, self.weights))
        return Noised([self.samples[row] for row in rows], *parts)


class Preservation:
    """Asks the model of a run what it said before it learnt."""

    def __init__(self, config: TrainSettings):
        self._asked, self._weight = asked(config), config.prior.weight
        self._one_for_all = config.prior.kind == "model"
        self._words: dict[str, Tensor] = {}

    def loss(self, run: Run, batch: Noised, turn: int) -> Tensor | None:
        """This batch's share of the step's loss, over as many pictures as the other; None where it has nothing to
        preserve. Regularisation pictures preserve by themselves."""
        captions = {row: self._asked(sample.caption) for row, sample in enumerate(batch.samples)
                    if not sample.item.regularisation}
        captions = {row: caption for row, caption in captions.items() if caption is not None}
        if not captions:
            return None
        batch, wanted = batch.of(list(captions)), list(captions.values())
        with asleep(run.trained), torch.no_grad(), run.precision():
            words = self._before(run, wanted)
            target = run.predict(batch.latents, batch.timesteps, batch.samples, words)
        with run.precision(), only_from(run.place.device, *run.key(turn), "prior"):
            words = encoded(run, wanted) if run.trained.keys() - {"denoiser"} else words
            prediction = run.predict(batch.latents, batch.timesteps, batch.samples, words)
        errors = run.objective.errors(prediction, target, batch.timesteps)
        return self._weight * (batch.weights * errors).sum() / run.batches.size_of_step(run.step)

    def _before(self, run: Run, captions: list[str]) -> dict[str, Tensor]:
        """As the readers encoded them before they learnt; what is asked at every step, only once."""
        if not self._one_for_all:
            return encoded(run, captions)
        self._words = self._words or encoded(run, captions[:1])
        return {name: tensor.expand(len(captions), *tensor.shape[1:]) for name, tensor in self._words.items()}


def encoded(run: Run, captions: list[str]) -> dict[str, Tensor]:
    """Each different caption is read once. Batch first."""
    different = list(dict.fromkeys(captions))
    rows = [different.index(caption) for caption in captions]
    return {name: tensor[rows] for name, tensor in run.captions.of(different).items()}


@contextmanager
def asleep(parts: Mapping[str, nn.Module]) -> Iterator[None]:
    """Inside, these parts compute what they did before adapters were attached to them."""
    layers = [layer for part in parts.values() for layer in inject.layers(part).values()]
    for layer in layers:
        layer.forward = layer.base_layer.__call__  # PEFT's own switch would decide anew what has gradients
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward
