"""What a denoiser is asked to do: noise, timesteps, targets, and how each error counts. The only place that knows.

Every random number follows from (seed, step, place in the step), never from a global generator: samples drawn in
between, workers and restarts can't disturb a run, and four batches of one are the same step as one batch of four.
All of it is float32 or better; only what enters the denoiser is cast. In bf16, `sqrt(1 - alpha)` would be zero at the
first timesteps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from dataset.turns import seed_of
from trainer.config import NoiseSettings
from trainer.families.base import Diffusion, Flow


def generator(*key: int | str) -> torch.Generator:
    return torch.Generator().manual_seed(seed_of(*key))


@contextmanager
def only_from(device: torch.device, *key: int | str) -> Iterator[None]:
    """Inside, what layers draw from torch's global generators (dropout has no other way) follows from `key` alone;
    outside, those generators are as they were. A checkpointed layer that runs again in the backward pass draws the same
    again: torch keeps the state that it began with."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed_of(*key))
        yield


@dataclass(frozen=True)
class Draws:
    """The random numbers of a batch, on the CPU. `posterior` and `noise`: float32 [B, C, h, w]; `timesteps`: int64 or,
    for a flow, float32 [B]."""

    posterior: Tensor
    noise: Tensor
    timesteps: Tensor


class Objective(Protocol):
    """What all kinds of it have in common. `timesteps` are whatever the family's process counts in."""

    def draws(self, seed: int, step: int, places: list[int], shape: tuple[int, ...]) -> Draws: ...
    def noised(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor: ...
    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor: ...
    def weights(self, timesteps: Tensor) -> Tensor: ...


def objective(process: Diffusion | Flow, noise: NoiseSettings) -> Objective:
    """What is asked of a model with this process under these settings."""
    if isinstance(process, Diffusion):
        return Denoising(process.alphas_cumprod, process.prediction_type, noise.min_snr_gamma, noise.noise_offset)
    shift = process.shift if noise.shift is None else lambda _: noise.shift
    return Straight(shift, noise.timesteps, noise.bias)


@dataclass(frozen=True)
class Denoising:
    """Denoising as in DDPM (Ho et al., arXiv 2006.11239), with epsilon or v prediction (Salimans & Ho, arXiv
    2202.00512).

    `alphas_cumprod`: float64 [timesteps]. SNR(t) = a / (1 - a).
    """

    alphas_cumprod: Tensor
    prediction_type: str
    min_snr_gamma: float | None = None
    noise_offset: float = 0.0

    def draws(self, seed: int, step: int, places: list[int], shape: tuple[int, ...]) -> Draws:
        """For the samples at `places` of this step; `shape` is [C, h, w] of their latents."""
        posterior, noise, timesteps = [], [], []
        for place in places:
            random = generator(seed, step, place)
            timesteps.append(torch.randint(len(self.alphas_cumprod), (), generator=random))
            noise.append(torch.randn(shape, generator=random))
            posterior.append(torch.randn(shape, generator=random))
            if self.noise_offset:
                # One shift for a whole channel: https://www.crosslabs.org/blog/diffusion-with-offset-noise
                noise[-1] += self.noise_offset * torch.randn((shape[0], 1, 1), generator=random)
        return Draws(torch.stack(posterior), torch.stack(noise), torch.stack(timesteps))

    def noised(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """sqrt(a) x + sqrt(1 - a) e."""
        signal, spread = self._scales(timesteps, latents)
        return signal * latents + spread * noise

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """What the denoiser should say: e, or v = sqrt(a) e - sqrt(1 - a) x."""
        if self.prediction_type == "epsilon":
            return noise
        signal, spread = self._scales(timesteps, latents)
        return signal * noise - spread * latents

    def weights(self, timesteps: Tensor) -> Tensor:
        """How much the error of each sample counts: float32 [B].

        Min-SNR (Hang et al., arXiv 2303.09556): min(SNR, gamma) / SNR for epsilon, / (SNR + 1) for v. Written with a,
        not with SNR, it stays finite where SNR is 0.
        """
        alphas = self.alphas_cumprod[timesteps.cpu()]
        if self.min_snr_gamma is None:
            weights = torch.ones_like(alphas)
        elif self.prediction_type == "epsilon":
            weights = torch.minimum(
                torch.ones_like(alphas), self.min_snr_gamma * (1 - alphas) / alphas.clamp(min=1e-20)
            )
        else:
            weights = torch.minimum(alphas, self.min_snr_gamma * (1 - alphas))
        return weights.float().to(timesteps.device)

    def _scales(self, timesteps: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        alphas = self.alphas_cumprod[timesteps.cpu()]  # the root is taken in float64
        shape = (-1, *[1] * (like.ndim - 1))
        return alphas.sqrt().to(like).view(shape), (1 - alphas).sqrt().to(like).view(shape)


@dataclass(frozen=True)
class Straight:
    """Rectified flow (Liu et al., arXiv 2209.03003) with the timesteps of Stable Diffusion 3 (Esser et al., arXiv
    2403.03206, section 3.1): logit-normal, then shifted towards noise for large pictures."""

    shift: Callable[[tuple[int, ...]], float]
    timesteps: str = "logit_normal"
    bias: float = 0.0

    def draws(self, seed: int, step: int, places: list[int], shape: tuple[int, ...]) -> Draws:
        """For the samples at `places` of this step; `shape` is [C, h, w] of their latents."""
        posterior, noise, timesteps = [], [], []
        for place in places:
            random = generator(seed, step, place)
            timesteps.append(self._sigma(random, shape))
            noise.append(torch.randn(shape, generator=random))
            posterior.append(torch.randn(shape, generator=random))
        return Draws(torch.stack(posterior), torch.stack(noise), torch.stack(timesteps).float())

    def _sigma(self, random: torch.Generator, shape: tuple[int, ...]) -> Tensor:
        """float64. A positive bias means more noise. diffusers' scripts look such numbers up in a list that falls, and
        so turn the sign of the paper's mean round; here a logit of 0 is half noise, whatever is asked for."""
        if self.timesteps == "uniform":
            even = torch.rand((), generator=random, dtype=torch.float64).clamp(1e-4, 1 - 1e-4)
            logit = torch.logit(even)
        else:
            logit = torch.randn((), generator=random, dtype=torch.float64)
        sigma, shift = torch.sigmoid(logit + self.bias), self.shift(shape)
        return shift * sigma / (1 + (shift - 1) * sigma)

    def noised(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """(1 - sigma) x + sigma e."""
        sigma = timesteps.view(-1, 1, 1, 1)
        return (1 - sigma) * latents + sigma * noise

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """The direction of the line: e - x."""
        return noise - latents

    def weights(self, timesteps: Tensor) -> Tensor:
        """All the same: how often a timestep comes is what weighs it."""
        return torch.ones_like(timesteps)


def errors(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of each sample, in float32: [B]."""
    return (prediction.float() - target.float()).square().flatten(1).mean(1)
