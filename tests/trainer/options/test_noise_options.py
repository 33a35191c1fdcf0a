"""Each option of noise and loss changes its own part of a step and no other: a table of option and part."""

import pytest
import torch

from tests.trainer.loss.test_objective import schedule
from trainer.config import NoiseSettings
from trainer.loss.objective import Denoising, Objective, Straight

SHAPE, PLACES = (4, 8, 8), list(range(6))

# option: (what is set beside it, its other value, the parts of a step that differ)
DIFFUSION = {
    "noise.loss": ({}, "huber", {"errors"}),
    "noise.huber_c": ({"loss": "huber"}, 0.5, {"errors"}),
    "noise.huber_schedule": ({"loss": "huber"}, "constant", {"errors"}),
    "noise.min_snr_gamma": ({}, 5.0, {"weights"}),
    "noise.min_snr_soft": ({"min_snr_gamma": 5.0}, True, {"weights"}),
    "noise.debiased": ({}, True, {"weights"}),
    "noise.scale_v_prediction": ({}, True, {"weights"}),
    "noise.noise_offset": ({}, 0.1, {"asked for", "put in"}),
    "noise.noise_offset_adaptive": ({"noise_offset": 0.1}, 0.5, {"asked for", "put in"}),
    "noise.multires_iterations": ({}, 3, {"asked for", "put in"}),
    "noise.multires_discount": ({"multires_iterations": 3}, 0.9, {"asked for", "put in"}),
    "noise.input_perturbation": ({}, 0.1, {"put in"}),
    "noise.timestep_min": ({}, 700, {"timesteps"}),
    "noise.timestep_max": ({}, 300, {"timesteps"}),
}
FLOW = {
    # It takes another count of random numbers, so that all that is drawn after it is other noise too.
    "noise.timesteps": ({}, "uniform", {"timesteps", "posterior", "asked for", "put in"}),
    "noise.bias": ({}, 1.0, {"timesteps"}),
    "noise.spread": ({}, 0.5, {"timesteps"}),
    "noise.mode_scale": ({"timesteps": "mode"}, -0.5, {"timesteps"}),
    "noise.timestep_min": ({}, 700, {"timesteps"}),
    "noise.timestep_max": ({}, 300, {"timesteps"}),
    "noise.loss": ({}, "l1", {"errors"}),
    "noise.huber_c": ({"loss": "smooth_l1"}, 0.5, {"errors"}),
}


def parts(objective: Objective) -> dict[str, torch.Tensor]:
    """One step on latents that are always the same; errors and weights at timesteps that are always the same."""
    random = torch.Generator().manual_seed(0)
    latents, wrong = (torch.randn(len(PLACES), *SHAPE, generator=random) for _ in range(2))
    times = torch.linspace(0.1, 0.9, len(PLACES)) if isinstance(objective, Straight) else torch.arange(50, 950, 160)
    draws = objective.draws(1, 2, PLACES, SHAPE)
    known, put_in = objective.noises(draws, latents)
    return {
        "timesteps": draws.timesteps,
        "posterior": draws.posterior,
        "asked for": known,
        "put in": put_in,
        "weights": objective.weights(times),
        "errors": objective.errors(wrong, latents, times),
    }


def differing(option: str, table: dict, build) -> set[str]:
    beside, other, _ = table[option]
    name = option.removeprefix("noise.")
    one, two = (parts(build(NoiseSettings(**beside | changed))) for changed in ({}, {name: other}))
    return {part for part in one if not torch.equal(one[part], two[part])}


@pytest.mark.proves(*DIFFUSION)
@pytest.mark.parametrize("option", DIFFUSION)
def test_of_a_diffusion_model_it_changes_this_part_alone(option):
    differ = differing(option, DIFFUSION, lambda settings: Denoising(schedule(), "v_prediction", settings))
    assert differ == DIFFUSION[option][2]


@pytest.mark.proves(*FLOW)
@pytest.mark.parametrize("option", FLOW)
def test_of_a_flow_it_changes_this_part_alone(option):
    assert differing(option, FLOW, lambda settings: Straight(lambda _: 2.0, settings)) == FLOW[option][2]
