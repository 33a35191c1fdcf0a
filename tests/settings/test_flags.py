import argparse

import pytest

from settings.coerce import over
from settings.errors import SettingsError, check
from settings.flags import add_flags, flat, nested, parse
from settings.toml import loads
from tests.settings.tree import Folder, Top


def given(*argv: str) -> tuple[argparse.Namespace, dict]:
    parser = argparse.ArgumentParser()
    parser.add_argument("config")
    parser.add_argument("--dry-run", action="store_true")
    add_flags(parser, Top)
    return parse(parser, Top, argv)


def config(*argv: str) -> Top:
    return check(Top, given("c.toml", *argv)[1])


def test_flags_become_settings_and_the_rest_stays() -> None:
    arguments, values = given("--denoiser.rank", "8", "c.toml", "--learning-rate", "1e-3", "--dry-run")
    assert arguments == argparse.Namespace(config="c.toml", dry_run=True)
    assert values == {"denoiser": {"rank": "8"}, "learning_rate": "1e-3"}
    assert check(Top, values).denoiser.rank == 8


@pytest.mark.parametrize("flag", ["--text_encoder.alpha", "--text-encoder.alpha"])
@pytest.mark.parametrize("value", ["-5", "-1e-5", "-.5"])
def test_negative_numbers_are_values(flag: str, value: str) -> None:
    for argv in ([flag, value], [f"{flag}={value}"]):
        with pytest.raises(SettingsError, match="text_encoder.alpha: must be more than 0; got"):
            config(*argv)


def test_switches() -> None:
    assert config("--flip").flip and config("--flip", "true").flip and not config("--flip=false").flip
    assert given("--flip", "c.toml")[0].config == "c.toml"  # not its value


def test_lists_by_repetition() -> None:
    found = config("--folders", "a b", "--folders=c", "--prompts", "x\ny", "--prompts", "z", "--devices", "0,1")
    assert found.folders == [Folder.model_validate("a b"), Folder.model_validate("c")]
    assert (found.prompts, found.devices) == (["x\ny", "z"], [0, 1])


def test_an_item_of_a_list_may_be_a_table() -> None:
    found = config("--folders", " {path = 'a b', repeats = 3} ", "--folders", "{c}", "--folders={path = \"d\"}")
    assert [(str(folder.path), folder.repeats) for folder in found.folders] == [("a b", 3), ("{c}", None), ("d", None)]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("{path = a b}", "--folders: is no table such as {path = 'some text'}: "),
        ("{pth = 'a'}", "folders.0.pth: no such setting; did you mean folders.0.path"),
        ("{path = 'a', repeats = 0}", "folders.0.repeats: must be at least 1; got 0"),
    ],
)
def test_a_wrong_table_says_what_is_wrong(table: str, message: str) -> None:
    with pytest.raises(SettingsError) as error:
        config("--folders", table)
    assert str(error.value).startswith(message)


def test_an_empty_value_is_none() -> None:
    assert config("--noise.gamma=").noise.gamma is None
    assert config("--noise.gamma", "").noise.gamma is None


def test_flags_over_a_file() -> None:
    values = over(loads(Top, "[denoiser]\nrank = 4\nalpha = 2"), given("c", "--denoiser.rank=6")[1])
    assert (check(Top, values).denoiser.rank, check(Top, values).denoiser.alpha) == (6, 2)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--denoiser.rnk", "8"], "--denoiser.rnk: no such flag; did you mean --denoiser.rank"),
        (["--denoiser.rnk=8"], "--denoiser.rnk: no such flag; did you mean --denoiser.rank"),
        (["--network_dim", "8"], "no such flag; did you mean --denoiser.rank"),
        (["--learning", "8"], "no such flag"),  # no abbreviations
        (["surprise"], "surprise: is not expected here"),
    ],
)
def test_an_unknown_flag_brings_the_nearest_one(argv: list[str], message: str) -> None:
    with pytest.raises(SettingsError) as error:
        given("c.toml", *argv)
    assert message in str(error.value)


def test_a_flag_without_its_value_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        given("c.toml", "--denoiser.rank", "--flip")
    assert "--denoiser.rank" in capsys.readouterr().err


def test_help_can_be_read() -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser, Top)
    text = " ".join(parser.format_help().split())
    assert "--denoiser.rank NUMBER Size of the update. (default: 16)" in text
    assert "a path, or a table: {path = '...', ...} with any of repeats." in text
    assert "--precision {bf16,fp16,no}" in text and "100% at alpha" in text and "How much noise." in text


def test_flat_and_nested_are_each_others_reverse() -> None:
    tree = {"a": {"b": {"c": 1}, "d": []}, "e": None}
    assert flat(tree) == {"a.b.c": 1, "a.d": [], "e": None} and nested(flat(tree)) == tree
