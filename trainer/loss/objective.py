"""What a denoiser is asked to do: noise, timesteps, targets, and how each error counts. The only place that knows; the
formulas of each are in trainer/loss/noise.py, trainer/loss/shares.py and trainer/loss/errors.py.

Every random number follows from (seed, step, place in the step), never from a global generator: samples drawn in
between, workers and restarts can't disturb a run, and four batches of one are the same step as one batch of four.
All of it is float32 or better; only what enters the denoiser is cast. In bf16, `sqrt(1 - alpha)` would be zero at the
first timesteps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dataset.turns import seed_of
from trainer.config import NoiseSettings
from trainer.families.base import Diffusion, Flow
from trainer.loss import errors, noise, shares


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
    for a flow, float32 [B]. What is asked for only sometimes is None else: `offset` [B, C, 1, 1] and `perturbation`
    [B, C, h, w]."""

    posterior: Tensor
    noise: Tensor
    timesteps: Tensor
    offset: Tensor | None = None
    perturbation: Tensor | None = None


class Objective(ABC):
    """What all kinds of it have in common. `timesteps` are whatever the family's process counts in."""

    settings: NoiseSettings

    def draws(self, seed: int, step: int, places: list[int], shape: tuple[int, ...]) -> Draws:
        """For the samples at `places` of this step; `shape` is that of one sample's latents, [C, h, w]."""
        columns = zip(*(self._of_sample(generator(seed, step, place), shape) for place in places))
        return Draws(*(None if column[0] is None else torch.stack(column) for column in columns))

    def _of_sample(self, random: torch.Generator, shape: tuple[int, ...]) -> tuple[Tensor | None, ...]:
        """The order of draws is a part of every run that was ever made: new ones come last."""
        timestep = self.timestep(random, shape)
        plain = torch.randn(shape, generator=random)
        posterior = torch.randn(shape, generator=random)
        return posterior, self.shaped(plain, random), timestep, *self.extras(random, shape)

    def shaped(self, plain: Tensor, random: torch.Generator) -> Tensor:
        """Another kind of noise made from plain noise."""
        return plain

    def extras(self, random: torch.Generator, shape: tuple[int, ...]) -> tuple[Tensor | None, Tensor | None]:
        """Offset and perturbation."""
        return None, None

    def noises(self, draws: Draws, latents: Tensor) -> tuple[Tensor, Tensor]:
        """The noise that is to be found, and the noise that is put in; the same unless the input is perturbed."""
        return draws.noise, draws.noise

    def errors(self, prediction: Tensor, target: Tensor, timesteps: Tensor, mask: Tensor | None = None) -> Tensor:
        """How far off each sample is, in float32: [B]; where `mask` (trainer/loss/masks.py) says, if there is one."""
        return errors.means(self._errors(prediction, target, timesteps), mask)

    def _errors(self, prediction: Tensor, target: Tensor, timesteps: Tensor) -> Tensor:
        loss = self.settings
        if loss.loss == "l2":
            return errors.squared(prediction, target)
        if loss.loss == "l1":
            return errors.absolute(prediction, target)
        width = shares.huber_width(loss, self.share(timesteps), self.ratio(timesteps))
        return errors.huber(prediction, target, width, smooth_l1=loss.loss == "smooth_l1")

    @abstractmethod
    def timestep(self, random: torch.Generator, shape: tuple[int, ...]) -> Tensor: ...
    @abstractmethod
    def evenly(self, number: int, count: int, shape: tuple[int, ...]) -> Tensor:
        """One of `count` timesteps that are spread evenly over what is trained: [1]. Without chance."""

    @abstractmethod
    def noised(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor: ...
    @abstractmethod
    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor: ...
    @abstractmethod
    def weights(self, timesteps: Tensor) -> Tensor:
        """How much the error of each sample counts: float32 [B]."""

    @abstractmethod
    def share(self, timesteps: Tensor) -> Tensor:
        """How far from the picture to noise each timestep is, 0 to 1: [B]."""

    @abstractmethod
    def ratio(self, timesteps: Tensor) -> Tensor:
        """Noise over signal, 0 to infinity: [B]."""


def objective(process: Diffusion | Flow, settings: NoiseSettings) -> Objective:
    """What is asked of a model with this process under these settings."""
    if isinstance(process, Diffusion):
        return Denoising(process.alphas_cumprod, process.prediction_type, settings)
    return Straight(process.shift if settings.shift is None else lambda _: settings.shift, settings)


@dataclass(frozen=True)
class Denoising(Objective):
    """Denoising as in DDPM (Ho et al., arXiv 2006.11239), with epsilon or v prediction (Salimans & Ho, arXiv
    2202.00512).

    `alphas_cumprod`: float64 [timesteps]. SNR(t) = a / (1 - a).
    """

    alphas_cumprod: Tensor
    prediction_type: str
    settings: NoiseSettings = field(default_factory=NoiseSettings)

    def timestep(self, random: torch.Generator, shape: tuple[int, ...]) -> Tensor:
        first, end = self.settings.timesteps_of(len(self.alphas_cumprod))
        return torch.randint(first, end, (), generator=random)

    def evenly(self, number: int, count: int, shape: tuple[int, ...]) -> Tensor:
        first, end = self.settings.timesteps_of(len(self.alphas_cumprod))
        return torch.tensor([first + int((number + 0.5) / count * (end - first))])

    def shaped(self, plain: Tensor, random: torch.Generator) -> Tensor:
        several = self.settings.multires_iterations
        return noise.pyramid(plain, several, self.settings.multires_discount, random) if several else plain

    def extras(self, random: torch.Generator, shape: tuple[int, ...]) -> tuple[Tensor | None, Tensor | None]:
        flat = (shape[0], *[1] * (len(shape) - 1))
        offset = torch.randn(flat, generator=random) if self.settings.noise_offset else None
        return offset, torch.randn(shape, generator=random) if self.settings.input_perturbation else None

    def noises(self, draws: Draws, latents: Tensor) -> tuple[Tensor, Tensor]:
        known = draws.noise
        if draws.offset is not None:
            known = noise.offset(known, draws.offset, self.settings, latents)
        if draws.perturbation is None:
            return known, known
        return known, known + self.settings.input_perturbation * draws.perturbation.to(known)

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
        alphas = self.alphas_cumprod[timesteps.cpu()].tolist()
        counts = [shares.weight(alpha, self.prediction_type, self.settings) for alpha in alphas]
        return torch.tensor(counts, device=timesteps.device)

    def share(self, timesteps: Tensor) -> Tensor:
        return timesteps / len(self.alphas_cumprod)

    def ratio(self, timesteps: Tensor) -> Tensor:
        alphas = self.alphas_cumprod[timesteps.cpu()]
        return ((1 - alphas) / alphas).sqrt().to(timesteps.device)

    def _scales(self, timesteps: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        alphas = self.alphas_cumprod[timesteps.cpu()]  # the root is taken in float64
        shape = (-1, *[1] * (like.ndim - 1))
        return alphas.sqrt().to(like).view(shape), (1 - alphas).sqrt().to(like).view(shape)


@dataclass(frozen=True)
class Straight(Objective):
    """Rectified flow (Liu et al., arXiv 2209.03003) with the timesteps of Stable Diffusion 3 (Esser et al., arXiv
    2403.03206, section 3.1): logit-normal, say, then shifted towards noise for large pictures."""

    shift: Callable[[tuple[int, ...]], float]
    settings: NoiseSettings = field(default_factory=NoiseSettings)

    def timestep(self, random: torch.Generator, shape: tuple[int, ...]) -> Tensor:
        """The share of noise, float32. A positive bias means more noise. diffusers' scripts look such numbers up in a
        list that falls, and so turn the sign of the paper's mean round; here a logit of 0 is half noise."""
        return torch.tensor(self._shifted(noise.share_of_noise(self.settings, random), shape))

    def evenly(self, number: int, count: int, shape: tuple[int, ...]) -> Tensor:
        return torch.tensor([self._shifted((number + 0.5) / count, shape)])

    def _shifted(self, share: float, shape: tuple[int, ...]) -> float:
        return shares.shifted(share, self.shift(shape), self.settings)

    def noised(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """(1 - sigma) x + sigma e."""
        sigma = timesteps.view(-1, *[1] * (latents.ndim - 1))
        return (1 - sigma) * latents + sigma * noise

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """The direction of the line: e - x."""
        return noise - latents

    def weights(self, timesteps: Tensor) -> Tensor:
        """All the same: how often a timestep comes is what weighs it."""
        return torch.ones_like(timesteps)

    def share(self, timesteps: Tensor) -> Tensor:
        return timesteps

    def ratio(self, timesteps: Tensor) -> Tensor:
        return timesteps / (1 - timesteps)
