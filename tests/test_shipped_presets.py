"""The presets that come with the program: each can be trained as it is, and says for whom it is."""

import pytest

from settings.errors import check
from settings.flags import flat
from settings.presets import SHIPPED, Preset, load, presets
from settings.toml import loads, text_of
from trainer.config import TrainSettings
from trainer.families import families

FOUND = presets([SHIPPED])


def name_of(preset: Preset) -> str:
    return f"{preset.family}/{preset.name}"


def test_the_promised_ones_are_there():
    assert {"sd15/person-8gb", "sd15/person-24gb", "sd15/style", "sd15/cpu", "sdxl/person-12gb",
            "sdxl/person-24gb", "sdxl/style", "sd2/person-12gb", "toy/demo"} <= set(map(name_of, FOUND))


@pytest.mark.parametrize("preset", FOUND, ids=name_of)
def test_every_setting_in_it_is_right_alone_and_together(preset):
    config = check(TrainSettings, load(TrainSettings, preset))
    assert config.model.family == preset.family or preset.family == "toy"  # the toy world's base is of the SD 1.x shape
    assert preset.family in {*families(), "toy"}


@pytest.mark.parametrize("preset", FOUND, ids=name_of)
def test_its_first_comment_is_a_description(preset):
    assert preset.description.endswith(".") and len(preset.description.split()) > 15


@pytest.mark.parametrize("preset", FOUND, ids=name_of)
def test_it_names_no_file_of_anyones(preset):
    given = flat(loads(TrainSettings, text_of(preset.path)))
    assert not given.keys() & {"save.folder", "save.logging_folder", "model.vae"}
    if preset.family != "toy":
        assert not given.keys() & {"dataset.folders", "model.base"}
