import math
from pathlib import Path
from typing import Any

import pytest

from settings.errors import SettingsError, check, parse, warnings
from tests.settings.tree import Folder, Top


def problems(values: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(SettingsError) as error:
        check(Top, values)
    return error.value.problems


def test_text_from_forms_and_flags_becomes_values() -> None:
    config = check(
        Top,
        {
            "learning_rate": " 1e-3 ",
            "flip": "true",
            "size": "256",
            "base": "",
            "prompts": "a red star\n\n two ",
            "devices": "0, 1",
            "noise": {"gamma": "", "offset": "0"},
            "denoiser": {"rank": "8"},
        },
    )
    assert (config.learning_rate, config.flip, config.size, config.base) == (1e-3, True, 256, None)
    assert (config.prompts, config.devices) == (["a red star", " two "], [0, 1])
    assert (config.noise.gamma, config.noise.offset, config.denoiser.rank) == (None, 0.0, 8)


def test_a_group_given_in_part_keeps_the_defaults_of_its_place() -> None:
    assert check(Top, {"text_encoder": {"alpha": 2}}).text_encoder.rank == 8


def test_a_list_item_may_be_bare_text() -> None:
    config = check(Top, {"folders": ["one", {"path": "two", "repeats": "3"}]})
    assert [(folder.path, folder.repeats) for folder in config.folders] == [(Path("one"), None), (Path("two"), 3)]
    assert check(Top, {"folders": "one\ntwo"}).folders[1] == Folder(path=Path("two"))


def test_settings_are_values_too() -> None:
    config = Top(name="a", folders=[Folder(repeats=2)])
    assert check(Top, config) == config
    assert check(Top, {"denoiser": config.text_encoder}).denoiser == config.text_encoder


@pytest.mark.parametrize(
    ("values", "path", "sentence"),
    [
        ({"denoiser": {"rank": 0}}, "denoiser.rank", "must be at least 1; got 0"),
        ({"denoiser": {"rank": 513}}, "denoiser.rank", "must be at most 512; got 513"),
        ({"denoiser": {"rank": 1.5}}, "denoiser.rank", "must be a whole number; got 1.5"),
        ({"denoiser": {"rank": "many"}}, "denoiser.rank", "must be a whole number; got 'many'"),
        ({"denoiser": {"rank": None}}, "denoiser.rank", "must be a whole number; got nothing"),
        ({"denoiser": {"rank": ""}}, "denoiser.rank", "must be a whole number; got nothing"),
        ({"denoiser": {"rank": True}}, "denoiser.rank", "must be a whole number; got 'true'"),
        ({"learning_rate": 0}, "learning_rate", "must be more than 0; got 0"),
        ({"learning_rate": math.nan}, "learning_rate", "must be an ordinary number; got nan"),
        ({"learning_rate": "inf"}, "learning_rate", "must be an ordinary number; got 'inf'"),
        ({"noise": {"gamma": 21}}, "noise.gamma", "must be at most 20; got 21"),
        ({"noise": {"offset": 1}}, "noise.offset", "must be less than 1; got 1"),
        ({"flip": "perhaps"}, "flip", "must be true or false; got 'perhaps'"),
        ({"precision": "fp8"}, "precision", "must be 'bf16', 'fp16' or 'no'; got 'fp8'"),
        ({"size": "300"}, "size", "must be 256 or 512; got '300'"),
        ({"name": 5}, "name", "must be text; got 5"),
        ({"base": 5}, "base", "must be a path; got 5"),
        ({"devices": "a"}, "devices.0", "must be a whole number; got 'a'"),
        ({"prompts": list("abcde")}, "prompts", "may have at most 4 of them"),
        ({"prompts": 5}, "prompts", "must be a list; got 5"),
        ({"denoiser": 5}, "denoiser", "must be a group of settings"),
        ({"folders": [{"repeats": 0}]}, "folders.0.repeats", "must be at least 1; got 0"),
        ({"noise": {"steps": "few"}}, "noise.steps", "must be a whole number or 'auto'; got 'few'"),
        ({"folders": [{"path": "forbidden"}]}, "folders.0.path", "choose another folder"),
        ({"flip": True, "precision": "no"}, "flip", "turn this off"),
    ],
)
def test_a_problem_is_one_plain_sentence_at_its_path(values: dict[str, Any], path: str, sentence: str) -> None:
    assert problems(values) == {path: sentence}


@pytest.mark.parametrize(
    ("values", "path", "nearest"),
    [
        ({"denoiser": {"rnk": 1}}, "denoiser.rnk", "denoiser.rank"),
        ({"learning-rate": 1}, "learning-rate", "learning_rate"),
        ({"noise_gamma": 1}, "noise_gamma", "noise.gamma"),
        ({"noice": {"gamma": 1}}, "noice", "noise"),
        ({"gamma": 1}, "gamma", "noise.gamma"),
        ({"network_dim": 1}, "network_dim", "denoiser.rank"),  # kohya's names
        ({"denoiser": {"lora_rank": 1}}, "denoiser.lora_rank", "denoiser.rank"),
        ({"folders": [{"repeat": 1}]}, "folders.0.repeat", "folders.0.repeats"),
    ],
)
def test_an_unknown_name_brings_the_nearest_one(values: dict[str, Any], path: str, nearest: str) -> None:
    assert problems(values)[path].startswith(f"no such setting; did you mean {nearest}")


def test_a_name_like_no_other_brings_none() -> None:
    assert problems({"zzzzqqqq": 1}) == {"zzzzqqqq": "no such setting"}


def test_all_problems_are_reported_at_once() -> None:
    found = problems({"nam": "", "denoiser": {"rank": 0}, "noise": {"gamma": -1}, "base": "\udcff"})
    assert set(found) == {"nam", "denoiser.rank", "noise.gamma", "base"}


def test_text_that_no_file_can_hold_is_refused() -> None:
    assert "not valid Unicode" in problems({"name": "a\ud800"})["name"]
    assert "not valid Unicode" in problems({"base": Path("a\udcff")})["base"]
    assert "zero character" in problems({"prompts": ["a\0b"]})["prompts"]


def test_a_draft_may_conflict_and_a_warning_is_no_error() -> None:
    assert parse(Top, {"flip": True, "precision": "no"}).flip
    assert warnings(check(Top, {"text_encoder": {"alpha": 20}})) == {"text_encoder.alpha": "is far above the rank"}


@pytest.mark.parametrize("values", [[], "text", None, 5])
def test_what_is_no_group_at_all_is_refused_too(values: Any) -> None:
    with pytest.raises(SettingsError):
        check(Top, values)
