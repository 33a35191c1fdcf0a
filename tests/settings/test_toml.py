import os
import random
import threading
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from settings.errors import SettingsError, check
from settings.flags import nested
from settings.section import Section, at, settings
from settings.toml import dumps, loads, read, write
from tests.settings.tree import Folder, Network, Noise, Top

HOSTILE = [
    "", " ", "\\", "\\x", "\\\\x41", "C:\\new\\xylophone\\", 'say "hi"', "it's", '"""', "'''", "# no comment",
    "a\nb\r\nc",
    "\t\b\f\x01\x1f\x7f\x80\x9f", "\u2028\u2029\ufeff\u200b", "Кот 猫 ねこ", "🐈‍⬛", "[table]",
    "a = 1", "{}", "\\u0041",
    "nan", "true", "1e5", "%s {0} $HOME `x`", "\\\n", "x\\x\\x00\\", "'\"\\'\"",
]  # fmt: skip


def back(config: Section) -> Section:
    return check(type(config), loads(type(config), dumps(config)))


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_survives(text: str) -> None:
    config = Top(name=text, prompts=[text, "x"], folders=[Folder(path=Path(f"a{text}"))])
    assert back(config) == config


def test_random_text_survives() -> None:
    rng = random.Random(0)
    alphabet = [chr(c) for c in range(1, 256)] + list('\\\\\\"""\'\'xuU\n#猫🐈')
    for _ in range(300):
        config = Top(name="".join(rng.choices(alphabet, k=rng.randrange(12))))
        assert back(config) == config


@pytest.mark.parametrize("number", [1e-4, 5e-5, 1e-5, 1e-10, 1e-300, 5e-324, 0.1 + 0.2, 1.0, 10, 0.30000000000000004])
def test_any_number_survives(number: float) -> None:
    assert back(Top(learning_rate=number)).learning_rate == number  # type: ignore[attr-defined]


@pytest.mark.parametrize("number", [1e16, 1e22, 1.7976931348623157e308, 123456789.123])
def test_large_numbers_survive(number: float) -> None:
    assert back(Network(alpha=number)) == Network(alpha=number)


def test_a_small_number_is_written_as_a_person_would() -> None:
    text = dumps(Top(learning_rate=1e-4))
    assert "learning_rate = 0.0001\n" in text
    assert "learning_rate = 5e-5\n" in dumps(Top(learning_rate=5e-5))


def test_zeros_empties_false_and_none_survive_form_and_file() -> None:
    config = Top(noise=Noise(gamma=None, offset=0.0, steps=0), flip=False, base=None, prompts=[], folders=[], name="")
    form: dict[str, Any] = {setting.path: at(config, setting.path) for setting in settings(Top)}
    form = {path: "" if value is None else value for path, value in form.items()}  # as a text box has it
    assert back(check(Top, nested(form))) == config


def test_a_file_is_complete_and_explained() -> None:
    text = dumps(Top(folders=[Folder(), Folder(repeats=2)]), header="For cats.\nAnd dogs.")
    values = tomllib.loads(text)
    assert values.pop("version") == 3
    assert list(values) == list(Top.model_fields)
    assert len(values["folders"]) == 2
    assert text.startswith("# For cats.\n# And dogs.\n\n")
    for setting in settings(Top):
        assert f"# {setting.help}\n" in text
    assert "# How much noise.\n[noise]\n" in text
    assert text.count("# Where they are.") == 1  # once for a list


def test_a_header_may_hold_anything() -> None:
    text = dumps(Top(), header='"""\x00\x07\x7f # [x]\r\n\x85 ' + "long " * 60)
    assert tomllib.loads(text) == tomllib.loads(dumps(Top()))


def test_a_part_of_a_file_is_enough(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('\ufeffname = "a"\n[denoiser]\nrank = 4\n', encoding="utf-8")
    assert read(Top, tmp_path / "c.toml") == Top(name="a", denoiser=Network(rank=4))


def test_old_names_are_understood() -> None:
    values = loads(Top, 'version = 1\ntitle = "a"\n[unet]\ndim = 4\nalpha = 2\n')
    assert values == {"name": "a", "denoiser": {"rank": 4, "alpha": 2}}
    assert loads(Top, 'title = "old"\nname = "new"') == {"name": "new"}
    assert loads(Top, "unet = 5\n[denoiser]\nrank = 3") == {"denoiser": {"rank": 3}}


def test_a_newer_file_is_refused() -> None:
    with pytest.raises(SettingsError, match="version 4, this program knows 3"):
        loads(Top, "version = 4")
    with pytest.raises(SettingsError, match="version"):
        loads(Top, 'version = "x"')


def test_broken_toml_names_the_line() -> None:
    with pytest.raises(SettingsError, match="line 2"):
        loads(Top, 'name = "a"\nflip = maybe')
    with pytest.raises(SettingsError, match="written twice"):
        loads(Top, 'base = "C:\\models\\x.safetensors"')


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        read(Top, tmp_path / "none.toml")
    with pytest.raises(SettingsError, match="cannot be read"):
        read(Top, tmp_path)
    (tmp_path / "c.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(SettingsError, match="UTF-8"):
        read(Top, tmp_path / "c.toml")


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "c.toml"
    write(path, "a = 1\n")
    with pytest.raises(UnicodeEncodeError):
        write(path, "b = \ud800")
    assert path.read_text() == "a = 1\n" and list(path.parent.iterdir()) == [path]


def test_two_files_of_a_folder_may_be_written_at_once(tmp_path, monkeypatch):
    both, sync = threading.Barrier(2, timeout=10), os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (both.wait(), sync(file)))
    with ThreadPoolExecutor(2) as threads:
        writes = [threads.submit(write, tmp_path / f"{name}.toml", name) for name in "ab"]
    assert [write.exception() for write in writes] == [None, None]
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.toml": "a", "b.toml": "b"}
