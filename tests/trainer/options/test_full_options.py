"""All weights of the denoiser instead of a LoRA: what learns then, and at which rate."""

import pytest
import torch

from settings.errors import check
from tests.models import tiny_unet
from trainer.beginning import attach
from trainer.config import TrainSettings
from trainer.families.sd15 import Sd15

WHOLE = {"full": {"train": True, "learning_rate": 3e-6}, "lora": {"denoiser": {"train": False}}}


def attached(**sections) -> tuple[torch.nn.Module, list[dict]]:
    denoiser = tiny_unet().requires_grad_(False)
    parts = {"denoiser": denoiser, "text_encoder": torch.nn.Linear(1, 1)}
    config = check(TrainSettings, {"accelerate": {"mixed_precision": "no"}} | sections)
    return denoiser, attach(config, Sd15(), parts)[1]


@pytest.mark.proves("full.train")
def test_every_weight_learns_and_nothing_is_added():
    layers = [name for name, _ in tiny_unet().named_modules()]
    denoiser, groups = attached(**WHOLE)
    assert [name for name, _ in denoiser.named_modules()] == layers
    learning = {id(weight) for group in groups for weight in group["params"]}
    assert learning == {id(weight) for weight in denoiser.parameters()}
    assert all(weight.requires_grad for weight in denoiser.parameters())
    beside, groups = attached()
    assert {name for name, _ in beside.named_modules()} > set(layers), "a LoRA is beside it"
    assert not any(weight.requires_grad for name, weight in beside.named_parameters() if "lora" not in name)


@pytest.mark.proves("full.learning_rate")
@pytest.mark.parametrize("rate", [3e-6, 1e-5])
def test_at_its_own_rate(rate):
    _, groups = attached(**WHOLE | {"full": {"train": True, "learning_rate": rate}})
    assert [(group["name"], group["lr"]) for group in groups] == [("denoiser", rate)]
