"""Training and drawing as if the schedule ended in pure noise: for v-prediction models, and refused for others."""

import pytest
import torch

from settings.errors import SettingsError
from tests.models import tiny_sd15
from tests.trainer.reading import losses
from trainer import command
from trainer.base_model.models import fitting
from trainer.families import families
from trainer.families.base import Drawing
from trainer.loop import train


@pytest.fixture(scope="module")
def speedy(tmp_path_factory):
    return tiny_sd15(tmp_path_factory.mktemp("models") / "v", prediction_type="v_prediction")


@pytest.mark.proves("noise.zero_terminal_snr")
@pytest.mark.parametrize("sampler", ["ddim", "euler", "euler_a", "dpm++_2m"])
def test_training_and_every_sampler_use_the_same_schedule(speedy, sampler):
    family = families()["sd15"]()
    family.load(fitting(str(speedy), "sd15", False), torch.float32)
    assert family.process().alphas_cumprod[-1] > 1e-3
    family.end_in_noise()
    alphas = family.process().alphas_cumprod
    assert alphas[-1] == 0 and alphas[0] == pytest.approx(1 - 0.00085, abs=1e-4)
    drawing = family._sampler(Drawing(32, 32, 4, 7.0, sampler, 1))
    drawing.set_timesteps(4)
    assert drawing.timesteps[0] == 999, "it begins where all is noise"
    # diffusers keeps a trace of signal at the end, for samplers that divide by it.
    assert torch.allclose(drawing.alphas_cumprod.double(), alphas, atol=1e-4)


@pytest.mark.proves("noise.zero_terminal_snr")
def test_a_run_learns_something_else_with_it(configure, speedy):
    found = []
    for on in (False, True):
        job = command.create(configure(model={"base": str(speedy)}, noise={"zero_terminal_snr": on},
                                       preview={"prompts": ["sks"], "steps": 2}))
        train(job.folder)
        found.append(losses(job))
        assert job.state() == "finished" and all(loss == loss for loss in found[-1])
    assert found[0] != found[1]


def test_a_model_that_predicts_noise_is_refused(configure):
    job = command.create(configure(noise={"zero_terminal_snr": True}))
    with pytest.raises(SettingsError, match="only v-prediction models"):
        train(job.folder)
    with pytest.raises(SettingsError, match="predicting it teaches nothing"):
        configure(noise={"zero_terminal_snr": True}, model={"prediction_type": "epsilon"})
