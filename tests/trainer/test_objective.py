"""Noise, targets and weights against closed forms in float64."""

import itertools

import pytest
import torch

from dataset.turns import seed_of
from trainer.objective import Draws, Objective, errors


def schedule() -> torch.Tensor:
    """SD's scaled-linear schedule, float64 [1000]."""
    return (1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2).cumprod(0)


def zero_terminal() -> torch.Tensor:
    alphas = schedule()
    alphas[-1] = 0.0
    return alphas


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_noised_and_target_follow_the_closed_form_at_every_timestep(prediction):
    objective = Objective(schedule(), prediction)
    random = torch.Generator().manual_seed(0)
    latents, noise = torch.randn(1000, 4, 3, 3, generator=random), torch.randn(1000, 4, 3, 3, generator=random)
    timesteps = torch.arange(1000)
    a = schedule().view(-1, 1, 1, 1)
    noisy = a.sqrt() * latents.double() + (1 - a).sqrt() * noise.double()
    target = (
        noise.double() if prediction == "epsilon" else a.sqrt() * noise.double() - (1 - a).sqrt() * latents.double()
    )
    assert (objective.noised(latents, noise, timesteps) - noisy).abs().max() < 1e-6
    assert (objective.target(latents, noise, timesteps) - target).abs().max() < 1e-6
    assert (objective.noised(latents, noise, timesteps)[0] != latents[0]).any(), "even the first timestep has noise"


@pytest.mark.parametrize("gamma", [1.0, 5.0, 20.0])
def test_min_snr_weights(gamma):
    snr = schedule() / (1 - schedule())
    wanted = {"epsilon": snr.clamp(max=gamma) / snr, "v_prediction": snr.clamp(max=gamma) / (snr + 1)}
    for prediction, weights in wanted.items():
        got = Objective(schedule(), prediction, min_snr_gamma=gamma).weights(torch.arange(1000))
        assert torch.allclose(got.double(), weights, rtol=1e-6)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_min_snr_is_finite_where_there_is_no_signal(prediction):
    weights = Objective(zero_terminal(), prediction, min_snr_gamma=5.0).weights(torch.tensor([998, 999]))
    assert weights.isfinite().all() and (weights >= 0).all() and (weights <= 1).all()


def test_without_min_snr_every_timestep_counts_the_same():
    assert Objective(schedule(), "epsilon").weights(torch.arange(1000)).unique().tolist() == [1.0]


def same(one: Draws, other: Draws) -> bool:
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in ("posterior", "noise", "timesteps"))


def test_draws_follow_from_seed_step_and_place_alone():
    objective = Objective(schedule(), "epsilon")
    together = objective.draws(1, 7, [0, 1, 2], (4, 2, 2))
    torch.manual_seed(99)
    apart = [objective.draws(1, 7, [place], (4, 2, 2)) for place in range(3)]
    joined = Draws(*(torch.cat([getattr(d, name) for d in apart]) for name in ("posterior", "noise", "timesteps")))
    assert same(together, joined)
    others = [objective.draws(*key, (4, 2, 2)) for key in ((2, 7, [0]), (1, 8, [0]), (1, 7, [3]))]
    assert not any(same(one, other) for one, other in itertools.combinations([apart[0], *others], 2))


def test_drawing_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    Objective(schedule(), "epsilon", noise_offset=0.1).draws(1, 2, [0], (4, 2, 2))
    assert torch.equal(before, torch.get_rng_state())


def test_timesteps_are_uniform():
    objective = Objective(schedule(), "epsilon")
    drawn = torch.cat([objective.draws(3, step, list(range(50)), (1, 1, 1)).timesteps for step in range(80)])
    counts = torch.bincount(drawn // 100, minlength=10)
    assert drawn.min() >= 0 and drawn.max() < 1000
    assert ((counts - 400).abs() < 100).all(), counts  # five standard deviations


def test_noise_offset_shifts_whole_channels():
    plain = Objective(schedule(), "epsilon").draws(1, 2, [0], (4, 8, 8)).noise
    shift = (Objective(schedule(), "epsilon", noise_offset=0.5).draws(1, 2, [0], (4, 8, 8)).noise - plain)[0]
    assert torch.allclose(shift, shift[:, :1, :1].expand_as(shift), atol=1e-6)
    assert (shift[:, 0, 0].abs() > 0.01).all()


def test_errors_are_means_per_sample_in_float32():
    prediction, target = torch.randn(3, 4, 5, 5).bfloat16(), torch.randn(3, 4, 5, 5)
    wanted = ((prediction.double() - target.double()) ** 2).mean((1, 2, 3))
    got = errors(prediction, target)
    assert got.dtype == torch.float32 and torch.allclose(got.double(), wanted, rtol=1e-5)


def test_seeds_differ_for_keys_that_look_alike():
    assert len({seed_of(1, 23), seed_of(12, 3), seed_of(1, 2, 3), seed_of("1", "23", "")}) == 4
