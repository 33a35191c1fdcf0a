"""Noise, targets and weights against closed forms in float64."""

import itertools

import pytest
import torch

from dataset.turns import seed_of
from trainer.config import NoiseSettings
from trainer.families.base import Diffusion, Flow
from trainer.loss.objective import Denoising, Draws, Straight, objective


def schedule() -> torch.Tensor:
    """SD's scaled-linear schedule, float64 [1000]."""
    return (1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2).cumprod(0)


def zero_terminal() -> torch.Tensor:
    alphas = schedule()
    alphas[-1] = 0.0
    return alphas


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_noised_and_target_follow_the_closed_form_at_every_timestep(prediction):
    objective = Denoising(schedule(), prediction)
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
        got = Denoising(schedule(), prediction, NoiseSettings(min_snr_gamma=gamma)).weights(torch.arange(1000))
        assert torch.allclose(got.double(), weights, rtol=1e-6)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_min_snr_is_finite_where_there_is_no_signal(prediction):
    weights = Denoising(zero_terminal(), prediction, NoiseSettings(min_snr_gamma=5.0)).weights(torch.tensor([998, 999]))
    assert weights.isfinite().all() and (weights >= 0).all() and (weights <= 1).all()


def test_without_min_snr_every_timestep_counts_the_same():
    assert Denoising(schedule(), "epsilon").weights(torch.arange(1000)).unique().tolist() == [1.0]


def same(one: Draws, other: Draws) -> bool:
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in ("posterior", "noise", "timesteps"))


def test_draws_follow_from_seed_step_and_place_alone():
    objective = Denoising(schedule(), "epsilon")
    together = objective.draws(1, 7, [0, 1, 2], (4, 2, 2))
    torch.manual_seed(99)
    apart = [objective.draws(1, 7, [place], (4, 2, 2)) for place in range(3)]
    joined = Draws(*(torch.cat([getattr(d, name) for d in apart]) for name in ("posterior", "noise", "timesteps")))
    assert same(together, joined)
    others = [objective.draws(*key, (4, 2, 2)) for key in ((2, 7, [0]), (1, 8, [0]), (1, 7, [3]))]
    assert not any(same(one, other) for one, other in itertools.combinations([apart[0], *others], 2))


def test_drawing_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    Denoising(schedule(), "epsilon", NoiseSettings(noise_offset=0.1)).draws(1, 2, [0], (4, 2, 2))
    assert torch.equal(before, torch.get_rng_state())


def test_timesteps_are_uniform():
    objective = Denoising(schedule(), "epsilon")
    drawn = torch.cat([objective.draws(3, step, list(range(50)), (1, 1, 1)).timesteps for step in range(80)])
    counts = torch.bincount(drawn // 100, minlength=10)
    assert drawn.min() >= 0 and drawn.max() < 1000
    assert ((counts - 400).abs() < 100).all(), counts  # five standard deviations


@pytest.mark.proves("noise.noise_offset")
def test_noise_offset_shifts_whole_channels():
    plain = Denoising(schedule(), "epsilon").draws(1, 2, [0], (4, 8, 8)).noise
    offset = Denoising(schedule(), "epsilon", NoiseSettings(noise_offset=0.5))
    known, put_in = offset.noises(offset.draws(1, 2, [0], (4, 8, 8)), torch.zeros(1, 4, 8, 8))
    assert known is put_in, "the offset is a part of what is to be found"
    shift = (known - plain)[0]
    assert torch.allclose(shift, shift[:, :1, :1].expand_as(shift), atol=1e-6)
    assert (shift[:, 0, 0].abs() > 0.01).all()


def test_seeds_differ_for_keys_that_look_alike():
    assert len({seed_of(1, 23), seed_of(12, 3), seed_of(1, 2, 3), seed_of("1", "23", "")}) == 4


# --- flows ------------------------------------------------------------------------------------------------------------


def sigmas(**options) -> torch.Tensor:
    flow = Straight(options.pop("shift", lambda _: 1.0), NoiseSettings(**options))
    return torch.cat([flow.draws(5, step, list(range(50)), (1, 1, 1)).timesteps for step in range(60)]).double()


def test_a_flow_goes_straight_from_picture_to_noise():
    flow = Straight(lambda _: 1.0)
    random = torch.Generator().manual_seed(0)
    latents, noise = torch.randn(5, 4, 3, 3, generator=random), torch.randn(5, 4, 3, 3, generator=random)
    times = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])
    s = times.double().view(-1, 1, 1, 1)
    noisy = flow.noised(latents, noise, times)
    assert (noisy - ((1 - s) * latents.double() + s * noise.double())).abs().max() < 1e-6
    assert torch.equal(noisy[0], latents[0]) and torch.equal(noisy[4], noise[4])
    # Following the target backwards from anywhere ends at the picture.
    assert (noisy - times.view(-1, 1, 1, 1) * flow.target(latents, noise, times) - latents).abs().max() < 1e-6
    assert flow.weights(times).tolist() == [1.0] * 5


@pytest.mark.parametrize("bias", [0.0, 1.0, -0.5])
@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_sigmas_are_logit_normal_then_shifted(bias, shift):
    drawn = sigmas(bias=bias, shift=lambda _: shift)
    logits = torch.logit(drawn / (shift - (shift - 1) * drawn)) - bias  # all of it undone
    assert abs(logits.mean()) < 0.06 and abs(logits.std() - 1) < 0.05
    assert 0 < drawn.min() and drawn.max() < 1


def test_a_positive_bias_means_more_noise():
    """P29: a mean whose sign is turned round would train details where composition was asked for."""
    less, plain, more = (sigmas(bias=bias).mean() for bias in (-1.0, 0.0, 1.0))
    assert less < 0.35 < plain < 0.6 < more


def test_uniform_sigmas_are_uniform():
    counts = torch.histc(sigmas(timesteps="uniform").float(), 10, 0, 1)
    assert ((counts - 300).abs() < 85).all(), counts


def test_a_flow_follows_from_seed_step_and_place_alone():
    flow = Straight(lambda _: 2.0)
    together = flow.draws(1, 7, [0, 1, 2], (4, 2, 2))
    torch.manual_seed(99)
    apart = [flow.draws(1, 7, [place], (4, 2, 2)) for place in range(3)]
    joined = [torch.cat([getattr(d, name) for d in apart]) for name in ("posterior", "noise", "timesteps")]
    assert same(together, Draws(*joined))


@pytest.mark.proves("noise.shift")
def test_the_objective_follows_the_process():
    noise = NoiseSettings(min_snr_gamma=5.0, bias=0.5)
    made = objective(Diffusion(schedule(), "v_prediction"), noise)
    assert isinstance(made, Denoising) and (made.prediction_type, made.settings.min_snr_gamma) == ("v_prediction", 5.0)
    found = objective(Flow(lambda _: 3.0), noise)
    assert (found.settings.bias, found.shift((1, 1, 1))) == (0.5, 3.0)
    assert objective(Flow(lambda _: 3.0), NoiseSettings(shift=1.5)).shift((1, 1, 1)) == 1.5


@pytest.mark.proves("noise.timestep_min", "noise.timestep_max")
def test_a_range_of_timesteps_is_kept_to():
    some = NoiseSettings(timestep_min=250, timestep_max=500)
    drawn = Denoising(schedule(), "epsilon", some).draws(1, 1, list(range(400)), (1, 1, 1)).timesteps
    assert drawn.min() < 260 and drawn.min() >= 250 and 490 < drawn.max() < 500
    shares = sigmas(timestep_min=250, timestep_max=500, timesteps="uniform")
    assert 0.25 <= shares.min() < 0.26 and 0.49 < shares.max() <= 0.5
    assert NoiseSettings(timestep_min=999).timesteps_of(10) == (9, 10), "never none"


@pytest.mark.proves("noise.input_perturbation")
def test_perturbation_is_put_in_and_not_asked_for():
    settings = NoiseSettings(input_perturbation=0.1)
    perturbed, plain = Denoising(schedule(), "epsilon", settings), Denoising(schedule(), "epsilon")
    draws = perturbed.draws(1, 2, [0, 1], (4, 16, 16))
    assert torch.equal(draws.noise, plain.draws(1, 2, [0, 1], (4, 16, 16)).noise), "the rest of the run is the same"
    known, put_in = perturbed.noises(draws, torch.zeros(2, 4, 16, 16))
    assert torch.equal(known, draws.noise) and torch.allclose(put_in - known, 0.1 * draws.perturbation, atol=1e-6)
    assert abs((put_in - known).std() - 0.1) < 0.01


def test_shares_and_ratios_follow_the_noise():
    a = schedule()
    denoising, times = Denoising(a, "epsilon"), torch.tensor([0, 500, 999])
    assert torch.allclose(denoising.ratio(times), ((1 - a) / a).sqrt()[times])
    assert denoising.share(times).tolist() == pytest.approx([0, 0.5, 0.999])
    flow, shares = Straight(lambda _: 1.0), torch.tensor([0.2, 0.5])
    assert flow.ratio(shares).tolist() == pytest.approx([0.25, 1.0]) and torch.equal(flow.share(shares), shares)


@pytest.mark.parametrize("loss", ["l2", "l1", "huber", "smooth_l1"])
@pytest.mark.proves("noise.loss")
def test_the_loss_that_was_chosen_is_the_one_used(loss):
    prediction, target = torch.zeros(2, 1, 2, 2), torch.full((2, 1, 2, 2), 3.0)
    times = torch.tensor([100, 900])
    settings = NoiseSettings(loss=loss, huber_c=0.5, huber_schedule="constant")
    root = (9 + 0.25) ** 0.5 - 0.5
    wanted = {"l2": 9.0, "l1": 3.0, "huber": 2 * 0.5 * root, "smooth_l1": 2 * root}[loss]
    got = Denoising(schedule(), "epsilon", settings).errors(prediction, target, times)
    assert got.tolist() == pytest.approx([wanted] * 2)
