"""How often each share of noise is trained and how much it counts, as plain arithmetic on numbers: the trainer draws
with these formulas, and the window, which knows no torch, draws their curves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import accumulate
from operator import mul
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

    from trainer.config import NoiseSettings

Number = TypeVar("Number", "float", "Tensor")

ENDS = 1e-4  # how near to no noise, or to nothing else, an even draw may come
HARDLY_ANY = 1e-4  # signal: where a weight would be infinite


def share_of_noise(drawn: float, settings: NoiseSettings) -> float:
    """How much of a flow's sample is noise, 0..1, before the shift; it grows with `drawn`: a standard normal number for
    logit_normal, else an even one in 0..1. Esser et al., arXiv 2403.03206, section 3.1; a positive bias means more
    noise for each kind."""
    if settings.timesteps == "logit_normal":
        return _sigmoid(settings.spread * drawn + settings.bias)
    even = _inside(drawn)
    if settings.timesteps == "mode":
        # Their mode sampling with t = 1 - u, which is the share of noise; a positive scale prefers the middle.
        u = 1 - even
        even = _inside(1 - u - settings.mode_scale * (math.cos(math.pi / 2 * u) ** 2 - 1 + u))
    return _sigmoid(math.log(even / (1 - even)) + settings.bias)


def shifted(share: float, shift: float, settings: NoiseSettings) -> float:
    """The same with the noisy end preferred `shift` times, inside what is trained at all."""
    share = shift * share / (1 + (shift - 1) * share)
    low, high = settings.timestep_min / 1000, settings.timestep_max / 1000
    return low + (high - low) * share


def weight(alpha: float, prediction_type: str, settings: NoiseSettings) -> float:
    """How much an error counts where `alpha` is the share of signal (alphas_cumprod) in a DDPM model's sample.

    Written with alpha, not with SNR = alpha / (1 - alpha): so it stays finite where there is no signal or no noise."""
    counts = _by_snr(alpha, prediction_type == "epsilon", settings)
    if settings.scale_v_prediction and prediction_type == "v_prediction":
        counts *= alpha  # SNR / (SNR + 1): what an error of epsilon would count
    return counts


def _by_snr(alpha: float, epsilon: bool, settings: NoiseSettings) -> float:
    gamma, rest = settings.min_snr_gamma, 1 - alpha
    if settings.debiased:
        # Yu et al., arXiv 2310.08442: 1 / sqrt(SNR) for epsilon, SNR at most 1000; for v 1 / (SNR + 1).
        return max(math.sqrt(rest / max(alpha, HARDLY_ANY)), 1000**-0.5) if epsilon else rest
    if gamma is None:
        return 1.0
    if settings.min_snr_soft:
        # min(SNR, gamma) with a rounded corner: SNR gamma / (SNR + gamma).
        soft = gamma * rest / (alpha + gamma * rest)
        return soft if epsilon else alpha * soft
    # Min-SNR (Hang et al., arXiv 2303.09556): min(SNR, gamma) / SNR for epsilon, / (SNR + 1) for v.
    return min(1.0, gamma * rest / max(alpha, 1e-20)) if epsilon else min(alpha, gamma * rest)


def huber_width(settings: NoiseSettings, share: Number, ratio: Number) -> Number:
    """c for Huber's loss at a timestep: the same always, or larger (more like a square) where there is less noise.
    `share` is how far to noise the timestep is, `ratio` noise over signal; numbers, or tensors of them."""
    smallest = settings.huber_c
    if settings.huber_schedule == "constant":
        return smallest + 0 * share
    if settings.huber_schedule == "exponential":
        return smallest**share
    return (1 - smallest) / (1 + ratio) ** 2 + smallest


def alphas_cumprod(said: Mapping[str, Any]) -> list[float]:
    """The share of signal at each timestep, as the config of a DDPM model's sampler describes it. ValueError for a
    schedule that is not known.

    Not as diffusers keeps it, in float32: at the last timesteps that costs three digits."""
    alphas = list(accumulate((1 - beta for beta in _betas(said)), mul))
    return without_terminal_signal(alphas) if said.get("rescale_betas_zero_snr") else alphas


def without_terminal_signal(alphas: list[float]) -> list[float]:
    """The schedule shifted and stretched so that the last timestep is pure noise (Lin et al., arXiv 2305.08891,
    algorithm 1)."""
    roots = [math.sqrt(alpha) for alpha in alphas]
    first, last = roots[0], roots[-1]
    return [((root - last) * first / (first - last)) ** 2 for root in roots]


def _betas(said: Mapping[str, Any]) -> Iterator[float]:
    if (trained := said.get("trained_betas")) is not None:
        return map(float, trained)
    kind, first, last, count = said["beta_schedule"], said["beta_start"], said["beta_end"], said["num_train_timesteps"]
    power = {"linear": 1, "scaled_linear": 2}.get(kind)
    if power is None:
        raise ValueError(f"model.base: its noise schedule {kind!r} is not one of linear, scaled_linear")
    first, last = first ** (1 / power), last ** (1 / power)
    return ((first + (last - first) * n / max(1, count - 1)) ** power for n in range(count))


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit)) if logit >= 0 else math.exp(logit) / (1 + math.exp(logit))


def _inside(share: float) -> float:
    return min(max(share, ENDS), 1 - ENDS)
