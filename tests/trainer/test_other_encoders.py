"""Settings of a text encoder that the family does not have, as a file may keep them, have no effect on the rest."""

import pytest

from settings.errors import SettingsError, check, warnings
from trainer.config import TrainSettings
from trainer.plan import plan

SECOND = {"text_encoder_2": {"train": True, "learning_rate": 5e-5}}


def test_captions_are_kept_all_the_same():
    assert check(TrainSettings, {"lora": SECOND}).captions_can_be_cached
    assert not check(TrainSettings, {"lora": SECOND, "model": {"family": "sdxl"}}).captions_can_be_cached


def test_it_does_not_count_as_something_that_learns(configure):
    with pytest.raises(SettingsError, match="nothing would be trained"):
        plan(configure(lora=SECOND | {"denoiser": {"train": False}}))
    assert "no effect" in plan(configure(lora=SECOND)).warnings["lora.text_encoder_2.train"]


def test_an_optimiser_with_one_rate_does_not_mind_it():
    values = {"lora": SECOND | {"denoiser": {"learning_rate": 1.0}}, "optimizer": {"name": "prodigy"}}
    assert "lora.text_encoder_2.learning_rate" not in warnings(check(TrainSettings, values))
    with pytest.raises(SettingsError) as error:
        check(TrainSettings, values | {"model": {"family": "sdxl"}})
    assert list(error.value.problems) == ["lora.text_encoder_2.learning_rate"]
