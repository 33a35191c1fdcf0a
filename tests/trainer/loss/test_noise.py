"""Kinds of noise: what each adds, and that it is drawn from its own generator alone."""

import math

import pytest
import torch

from trainer.config import NoiseSettings
from trainer.loss import noise


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.proves("noise.noise_offset_adaptive")
def test_the_adaptive_offset_follows_the_latents_of_each_channel():
    plain, drawn = torch.zeros(1, 2, 4, 4), torch.ones(1, 2, 1, 1)
    latents = torch.stack([torch.full((4, 4), -3.0), torch.zeros(4, 4)]).unsqueeze(0)
    found = noise.offset(plain, drawn, NoiseSettings(noise_offset=0.1, noise_offset_adaptive=0.5), latents)
    assert found[0, :, 0, 0].tolist() == pytest.approx([0.1 + 0.5 * 3, 0.1])
    assert torch.equal(found, found[..., :1, :1].expand_as(found)), "whole channels"


@pytest.mark.proves("noise.multires_iterations", "noise.multires_discount")
def test_a_pyramid_has_a_spread_of_one_and_more_of_the_large_scale():
    plain = torch.randn(4, 32, 32, generator=random(1))
    found = noise.pyramid(plain, 6, 0.8, random(2))
    assert found.shape == plain.shape and found.std().item() == pytest.approx(1)

    def coarse(picture: torch.Tensor) -> float:
        return torch.nn.functional.avg_pool2d(picture, 8).std().item()

    assert coarse(found) > 2 * coarse(plain)
    assert torch.equal(found, noise.pyramid(plain, 6, 0.8, random(2)))
    weaker = noise.pyramid(plain, 6, 0.1, random(2))
    assert coarse(plain) < coarse(weaker) < coarse(found)
    assert not torch.equal(noise.pyramid(plain, 1, 0.8, random(2)), found)


@pytest.mark.parametrize("size", [(1, 1), (3, 1), (5, 7)])
def test_a_pyramid_of_the_smallest_pictures(size):
    found = noise.pyramid(torch.randn(4, *size, generator=random()), 10, 0.3, random(1))
    assert found.shape == (4, *size) and found.isfinite().all()


def shares(**options) -> torch.Tensor:
    source = random(3)
    return torch.tensor(
        [noise.share_of_noise(NoiseSettings(**options), source) for _ in range(4000)], dtype=torch.float64
    )


@pytest.mark.proves("noise.timesteps", "noise.mode_scale")
def test_mode_sampling_has_the_density_of_the_paper():
    """Esser et al., section 3.1: t = 1 - u - s (cos^2(pi u / 2) - 1 + u), checked against its exact inverse by
    quantiles; at scale 0 it is uniform."""
    for scale in (0.0, 1.29, -0.5):
        drawn = shares(timesteps="mode", mode_scale=scale).sort().values
        u = torch.linspace(0, 1, 4001, dtype=torch.float64)
        exact = (1 - u - scale * ((math.pi / 2 * u).cos() ** 2 - 1 + u)).sort().values[:-1]
        assert (drawn - exact).abs().max() < 0.035, scale
    middle = shares(timesteps="mode", mode_scale=1.29)
    assert ((middle - 0.5).abs() < 0.2).double().mean() > 0.45, "more than the 0.4 of a uniform draw"


@pytest.mark.proves("noise.spread")
def test_a_smaller_spread_is_closer_to_the_middle():
    for spread in (0.5, 2.0):
        assert torch.logit(shares(spread=spread)).std().item() == pytest.approx(spread, rel=0.05)


@pytest.mark.parametrize("kind", ["logit_normal", "uniform", "mode"])
@pytest.mark.proves("noise.bias")
def test_a_positive_bias_means_more_noise_for_every_kind(kind):
    less, plain, more = (shares(timesteps=kind, bias=bias).mean() for bias in (-1, 0, 1))
    assert less < plain - 0.1 and plain + 0.1 < more
