"""Drawing words at random, each picture with its own dice: what is said of one does not depend on its neighbours in
the batch, so a run that goes on after an interruption says the same as an unbroken one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import LogitsProcessor, TemperatureLogitsWarper, TopPLogitsWarper


class Chance(LogitsProcessor):
    """Adds Gumbel noise to the scores: the largest of them is then a draw from the distribution, so that a greedy
    search with this is sampling (Gumbel 1954)."""

    def __init__(self, seeds: Sequence[int], temperature: float, top_p: float, device: str):
        self.dice = [torch.Generator(device=device).manual_seed(seed) for seed in seeds]
        self.warpers = [TemperatureLogitsWarper(float(temperature))] if temperature != 1 else []
        self.warpers += [TopPLogitsWarper(float(top_p))] if top_p < 1 else []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        scores = scores.float()
        for warper in self.warpers:
            scores = warper(input_ids, scores)
        noise = [torch.empty_like(row).exponential_(generator=dice).log_() for row, dice in zip(scores, self.dice)]
        return scores - torch.stack(noise)


def seed_of(seed: int, attempt: int, name: str) -> int:
    """A seed for one picture, the same wherever its folder lies."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{attempt}/{name}".encode()).digest()[:7])
