"""Options of the LoRA itself, for the denoiser and both text encoders of SDXL: what each changes about the layers that
are attached, and that the other parts stay as they are."""

from functools import cache
from itertools import islice

import pytest
import torch

from settings.errors import check
from tests.models import clip_tokenizer, tiny_clip_text_model, tiny_unet
from trainer.beginning import attach
from trainer.config import TrainSettings
from trainer.families.sdxl import Sdxl
from trainer.lora import inject

PARTS = ("denoiser", "text_encoder", "text_encoder_2")
USUAL = {"train": True, "rank": 4, "alpha": 2, "learning_rate": 1e-3}


def made() -> dict[str, torch.nn.Module]:
    torch.manual_seed(0)
    tokenizer = clip_tokenizer()
    return {"denoiser": tiny_unet(), "text_encoder": tiny_clip_text_model(tokenizer),
            "text_encoder_2": tiny_clip_text_model(tokenizer, projection=True)}  # fmt: skip


@cache
def attached(part: str = "", **changed) -> dict[str, dict]:
    """What an adapter of each part is, with one option of one part changed."""
    lora = {one: USUAL | (changed if one == part else {}) for one in PARTS}
    config = check(TrainSettings, {"lora": lora, "accelerate": {"mixed_precision": "no"}})
    trained, groups = attach(config, Sdxl(), made())
    return {name: about(name, trained, groups) for name in PARTS}


def about(name: str, trained: dict, groups: list[dict]) -> dict:
    """Of one part: the shapes of its update, by layer; how strong it is; the rates; whether its first layers drop
    anything."""
    mine = {name: trained[name]} if name in trained else {}
    layers = inject.layers(trained[name]).values() if mine else ()
    linear = (layer for layer in layers if isinstance(layer.base_layer, torch.nn.Linear))
    return {
        "shapes": {key: tuple(tensor.shape) for key, tensor in inject.state(mine).items()},
        "alphas": inject.alphas(mine),
        "rates": {group["name"]: group["lr"] for group in groups if group["name"].split()[0] == name},
        "dropout": [answers(one) for one in islice(linear, 3)],
    }


def answers(layer) -> bool:
    """Whether an update drops anything: whether it says another thing the second time, while it learns."""
    for weight in inject.weights(layer).values():
        torch.nn.init.constant_(weight, 0.1)
    asked = torch.ones(4, 16, layer.base_layer.in_features)
    layer.train()
    with torch.no_grad():
        return any(not torch.equal(layer(asked), layer(asked)) for _ in range(24))


def differing(one: dict, other: dict) -> dict[str, set[str]]:
    found = {part: {name for name in one[part] if one[part][name] != other[part][name]} for part in PARTS}
    return {part: names for part, names in found.items() if names}


@pytest.mark.proves("lora.denoiser.train", "lora.text_encoder.train", "lora.text_encoder_2.train")
@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_does_not_learn_has_no_update(part):
    usual, without = attached(), attached(part, train=False)
    assert differing(usual, without) == {part: {"shapes", "alphas", "rates", "dropout"}}
    assert usual[part]["shapes"] and not any(without[part].values())


@pytest.mark.proves("lora.denoiser.rank", "lora.text_encoder.rank", "lora.text_encoder_2.rank")
@pytest.mark.parametrize("part", PARTS)
def test_the_rank_is_the_width_of_both_matrices(part):
    usual, wider = attached(), attached(part, rank=6)
    assert differing(usual, wider) == {part: {"shapes"}}
    for key, shape in wider[part]["shapes"].items():
        assert (shape[0] if "lora_A" in key else shape[1]) == 6 and len(shape) == len(usual[part]["shapes"][key])


@pytest.mark.proves("lora.denoiser.alpha", "lora.text_encoder.alpha", "lora.text_encoder_2.alpha")
@pytest.mark.parametrize("part", PARTS)
def test_alpha_is_that_of_every_layer(part):
    usual, stronger = attached(), attached(part, alpha=12)
    assert differing(usual, stronger) == {part: {"alphas"}} and set(stronger[part]["alphas"].values()) == {12}


@pytest.mark.proves(
    "lora.denoiser.learning_rate", "lora.text_encoder.learning_rate", "lora.text_encoder_2.learning_rate"
)
@pytest.mark.parametrize("part", PARTS)
def test_each_part_has_its_rate(part):
    usual, faster = attached(), attached(part, learning_rate=0.25)
    assert differing(usual, faster) == {part: {"rates"}} and faster[part]["rates"] == {part: 0.25}


@pytest.mark.proves("lora.denoiser.plus_ratio", "lora.text_encoder.plus_ratio", "lora.text_encoder_2.plus_ratio")
@pytest.mark.parametrize("part", PARTS)
def test_the_second_matrix_has_a_multiple_of_the_rate(part):
    usual, plus = attached(), attached(part, plus_ratio=16)
    assert differing(usual, plus) == {part: {"rates"}}
    assert plus[part]["rates"] == {part: 1e-3, f"{part} B": pytest.approx(16e-3)}


@pytest.mark.proves(
    "lora.denoiser.dropout", "lora.denoiser.rank_dropout", "lora.denoiser.module_dropout",
    "lora.text_encoder.dropout", "lora.text_encoder.rank_dropout", "lora.text_encoder.module_dropout",
    "lora.text_encoder_2.dropout", "lora.text_encoder_2.rank_dropout", "lora.text_encoder_2.module_dropout",
)  # fmt: skip
@pytest.mark.parametrize("option", ["dropout", "rank_dropout", "module_dropout"])
@pytest.mark.parametrize("part", PARTS)
def test_dropout_makes_the_update_of_this_part_uncertain(part, option):
    usual, dropping = attached(), attached(part, **{option: 0.5})
    assert differing(usual, dropping) == {part: {"dropout"}}
    assert not any(usual[part]["dropout"]) and all(dropping[part]["dropout"])
