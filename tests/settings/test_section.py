from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field

from settings.section import Section, Ui, at, label, section_help, settings
from tests.settings.tree import Folder, Top

FOUND = {setting.path: setting for setting in settings(Top)}


def test_a_field_is_a_setting_with_its_bounds_help_and_look() -> None:
    rank = FOUND["denoiser.rank"]
    assert (rank.type, rank.default, rank.minimum, rank.maximum, rank.ui.step) == (int, 16, 1, 512, 4)
    assert not rank.exclusive_minimum and not rank.optional
    assert rank.help == "Size of the update." and rank.ui.kohya == "network_dim lora_rank"
    assert all(setting.help for setting in FOUND.values())


def test_bounds_say_whether_they_are_allowed_themselves() -> None:
    assert FOUND["learning_rate"].exclusive_minimum and not FOUND["learning_rate"].exclusive_maximum
    assert FOUND["noise.offset"].exclusive_maximum and not FOUND["noise.offset"].exclusive_minimum


def test_types_choices_options_and_items() -> None:
    assert FOUND["precision"].choices == ("bf16", "fp16", "no")
    assert FOUND["size"].choices == (256, 512)
    assert FOUND["noise.gamma"].optional and FOUND["noise.gamma"].type is float
    assert FOUND["base"].optional and FOUND["base"].type is Path
    assert FOUND["folders"].item is Folder and FOUND["prompts"].item is None
    assert [setting.path for setting in settings(Folder)] == ["path", "repeats"]


def test_a_section_used_twice_keeps_the_defaults_of_each_use() -> None:
    assert FOUND["text_encoder.rank"].default == 8 and FOUND["denoiser.rank"].default == 16


def test_values_labels_and_group_help() -> None:
    config = Top(folders=[Folder(path=Path("a b"))])
    assert at(config, "text_encoder.rank") == 8 and at(config, "folders.0.path") == Path("a b")
    assert label(FOUND["learning_rate"]) == "Learning rate" and label(FOUND["noise.gamma"]) == "Min-SNR gamma"
    assert section_help(Top) == "One run." and section_help(Top, "noise") == "How much noise."


def test_fields_that_would_lose_their_bounds_or_their_emptiness_are_refused_at_import() -> None:
    with pytest.raises(TypeError, match="Annotated"):

        class Lost(Section):
            gamma: Annotated[float, Field(gt=0), Ui()] | None = 5

    with pytest.raises(TypeError, match="empty text"):

        class Ambiguous(Section):
            name: str | None = None
