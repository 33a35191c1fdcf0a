"""The presets that come with the program: each can be trained as it is, fits its card, and says for whom it is.

That each really trains, on a tiny model, is shown in tests/trainer/test_presets_train.py."""

import json
from pathlib import Path

import pytest

from dataset.scan import Dataset, Item
from settings.errors import check
from settings.flags import flat
from settings.presets import OTHER, SHIPPED, Preset, load, presets
from settings.toml import loads, text_of
from trainer.base_model.models import HUB_NAME
from trainer.config import TrainSettings
from trainer.families import families
from trainer.plan import plan

FOUND = presets([SHIPPED])
CLASSES = {8, 12, 16, 24, 48}
ROOM = 1.05  # of the class: the estimate is one


def name_of(preset: Preset) -> str:
    return f"{preset.family}/{preset.name}"


def given(preset: Preset) -> dict:
    return flat(loads(TrainSettings, text_of(preset.path)))


PROMISED = {
    "sd3/style-dreambooth-24gb": {"dataset.resolution": 1024, "lora.denoiser.rank": 16, "run.max_steps": 500,
        "lora.denoiser.learning_rate": 1e-4, "run.batch_size": 1, "run.gradient_accumulation": 4, "run.seed": 42,
        "accelerate.mixed_precision": "bf16", "memory.gradient_checkpointing": True, "memory.cache_latents": True},
    "sd15/style-anime-8gb": {"run.epochs": 5, "lora.denoiser.learning_rate": 1e-4, "run.batch_size": 1,
        "run.gradient_accumulation": 2, "lora.denoiser.rank": 16, "dataset.resolution": 512, "save.every_steps": 500,
        "preview.every_epochs": 1},
    "sd15/character-12gb": {"lora.denoiser.rank": 16, "lora.denoiser.alpha": 27, "lora.text_encoder.rank": 16,
        "lora.text_encoder.alpha": 17, "run.max_steps": 1000, "prior.weight": 0.0},
    "sd15/character-prior-12gb": {"lora.denoiser.rank": 16, "lora.denoiser.alpha": 27, "lora.text_encoder.rank": 16,
        "lora.text_encoder.alpha": 17, "run.max_steps": 1000, "prior.weight": 1.0},
    "sd15/person-30-pictures-8gb": {"run.epochs": 10, "run.batch_size": 1},
    "sd15/tryout-cpu": {"lora.denoiser.rank": 8, "lora.denoiser.learning_rate": 5e-5, "run.max_steps": 500,
        "accelerate.mixed_precision": "no", "accelerate.cpu": True},
}  # fmt: skip


@pytest.mark.parametrize("name, wanted", PROMISED.items(), ids=PROMISED)
def test_the_recipes_that_people_ask_for(name, wanted):
    preset = next(preset for preset in FOUND if name_of(preset) == name)
    assert {path: given(preset)[path] for path in wanted} == wanted


def test_every_family_has_one_for_people_one_for_styles_and_one_for_things():
    have, purposes = {(preset.family, preset.purpose) for preset in FOUND}, {"Person or character", "Style", "Object"}
    assert {(family, purpose) for family in families() for purpose in purposes} <= have


@pytest.mark.parametrize("preset", FOUND, ids=name_of)
def test_every_setting_in_it_is_right_alone_and_together(preset):
    config = check(TrainSettings, load(TrainSettings, preset))
    assert config.model.family == preset.family or preset.family == "toy"  # the toy world's base is of the SD 1.x shape
    assert preset.family in {*families(), "toy"}


@pytest.mark.parametrize("preset", FOUND, ids=name_of)
def test_its_first_comment_is_a_description(preset):
    assert preset.description.endswith(".") and len(preset.description.split()) > 15
    assert preset.memory_gb is None or f"{preset.memory_gb} GB" in preset.description


@pytest.mark.parametrize("preset", FOUND, ids=name_of)
def test_its_name_says_what_for_and_how_large_a_card(preset):
    assert preset.memory_gb in CLASSES and preset.purpose != OTHER or preset.name in ("tryout-cpu", "demo")


@pytest.mark.parametrize("preset", FOUND, ids=name_of)
def test_it_names_no_file_of_anyones(preset):
    paths = given(preset)
    assert not paths.keys() & {"save.folder", "save.logging_folder", "model.vae", "lora.weights"}
    if preset.family != "toy":
        assert "dataset.folders" not in paths and HUB_NAME.fullmatch(paths.get("model.base", "some/model"))


SMALLER = {  # kin of a family that its file alone tells apart: what is in its config
    "stabilityai/stable-diffusion-3.5-medium": ("StableDiffusion3Pipeline", "transformer", {"num_layers": 24}),
    "black-forest-labs/FLUX.2-klein-base-4B": ("Flux2KleinPipeline", "transformer", {"num_attention_heads": 24}),
}


@pytest.mark.parametrize("preset", [preset for preset in FOUND if preset.memory_gb], ids=name_of)
def test_it_fits_its_card_by_the_planners_estimate(preset, tmp_path):
    values = load(TrainSettings, preset)
    values["model"]["base"] = base_of(values["model"]["base"], tmp_path)
    values["dataset"]["folders"] = [{"path": str(tmp_path)}]
    side = values["dataset"]["resolution"]
    picture = Item(tmp_path / "a.png", side, side, "a dog", 10, "a", False)
    about = plan(check(TrainSettings, values), Dataset([picture], [])).memory
    assert about and 0.1 * preset.memory_gb < about.total <= ROOM * preset.memory_gb, about.sentence


def base_of(name: str, folder: Path) -> str:
    """A folder with no more than the config that tells the size, where the name does not."""
    if name not in SMALLER:
        return name
    pipeline, part, config = SMALLER[name]
    (folder / part).mkdir()
    (folder / "model_index.json").write_text(json.dumps({"_class_name": pipeline}))
    (folder / part / "config.json").write_text(json.dumps(config))
    return str(folder)
