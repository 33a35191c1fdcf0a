"""What noise a sample gets, beyond plain Gaussian noise, and how much of it: the formulas, each with its source."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from trainer.config import NoiseSettings
from trainer.loss import shares


def offset(noise: Tensor, drawn: Tensor, settings: NoiseSettings, latents: Tensor) -> Tensor:
    """Noise with one shift for each whole channel (https://www.crosslabs.org/blog/diffusion-with-offset-noise), the
    adaptive part larger where the latents of the channel are far from zero on the whole. [B, C, h, w]."""
    strength: Tensor | float = settings.noise_offset
    if settings.noise_offset_adaptive:
        spread = tuple(range(2, latents.ndim))
        strength = strength + settings.noise_offset_adaptive * latents.mean(spread, keepdim=True).abs()
    return noise + strength * drawn.to(noise)


def pyramid(plain: Tensor, levels: int, discount: float, random: torch.Generator) -> Tensor:
    """Noise [C, h, w] with coarser and coarser noise added, each level `discount` times weaker, scaled back to a spread
    of one (https://wandb.ai/johnowhitaker/multires_noise). It teaches shapes and light on the large scale."""
    height, width = plain.shape[-2:]
    total, factor = plain.clone(), 1.0
    for level in range(1, levels + 1):
        factor *= 2 + 2 * float(torch.rand((), generator=random))
        size = max(1, math.ceil(height / factor)), max(1, math.ceil(width / factor))
        coarse = torch.randn((*plain.shape[:-2], *size), generator=random)
        flat = coarse.reshape(1, -1, *size)
        total += discount**level * interpolate(flat, (height, width), mode="bilinear").view(plain.shape)
        if size == (1, 1):
            break
    return total / total.std()


def share_of_noise(settings: NoiseSettings, random: torch.Generator) -> float:
    """How much of a flow's sample is noise, 0..1, before the shift."""
    draw = torch.randn if settings.timesteps == "logit_normal" else torch.rand
    return shares.share_of_noise(draw((), generator=random, dtype=torch.float64).item(), settings)
