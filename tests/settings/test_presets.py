from pathlib import Path

import pytest

from settings import presets as module
from settings.errors import SettingsError, check
from settings.presets import Preset, delete, load, presets, save
from settings.toml import loads
from tests.settings.tree import Network, Noise, Top


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    shipped, own = tmp_path / "shipped", tmp_path / "own"
    (shipped / "sd15").mkdir(parents=True)
    own.mkdir()
    (shipped / "sd15" / "person.toml").write_text("# For people.\n# 8 GB.\n\n# not this\n[denoiser]\nrank = 32\n")
    monkeypatch.setattr(module, "SHIPPED", shipped)
    return shipped, own


def test_presets_are_found_with_what_they_say_of_themselves(folders: tuple[Path, Path]) -> None:
    save(folders[1], "toy", "mine", Top(), "Small.\nQuick.")
    person, mine = presets(folders)
    assert person == Preset("person", "sd15", folders[0] / "sd15/person.toml", "For people. 8 GB.", builtin=True)
    assert mine == Preset("mine", "toy", folders[1] / "toy/mine.toml", "Small. Quick.", builtin=False)
    assert presets(folders, "sd15") == [person]


def test_a_preset_is_laid_over_the_defaults(folders: tuple[Path, Path]) -> None:
    values = load(Top, presets(folders)[0])
    assert check(Top, values) == Top(denoiser=Network(rank=32))


def test_only_what_differs_is_saved_and_comes_back(folders: tuple[Path, Path]) -> None:
    config = Top(name="猫", text_encoder=Network(rank=16, alpha=8), base=Path("x"), prompts=["a"])
    preset = save(folders[1], "sd15", "Кот (8 GB)", config)
    assert loads(Top, preset.path.read_text("utf-8")) == {
        "name": "猫", "base": "x", "prompts": ["a"], "text_encoder": {"rank": 16},
    }  # fmt: skip
    assert check(Top, load(Top, preset)) == config
    assert preset in presets(folders)


def test_a_default_that_changes_back_is_saved(folders: tuple[Path, Path]) -> None:
    preset = save(folders[1], "sd15", "a", Top(noise=Noise(gamma=None, offset=0, steps=0)))
    assert loads(Top, preset.path.read_text()) == {"noise": {"gamma": "", "steps": 0}}


def test_an_unknown_key_names_the_nearest(folders: tuple[Path, Path]) -> None:
    (folders[0] / "sd15" / "person.toml").write_text("[denoiser]\nrnk = 3")
    with pytest.raises(SettingsError, match="denoiser.rank"):
        load(Top, presets(folders)[0])


def test_a_preset_of_ones_own_can_be_replaced_and_binned(folders: tuple[Path, Path]) -> None:
    save(folders[1], "sd15", "a", Top(name="1"))
    preset = save(folders[1], "sd15", "a", Top(name="2"))
    assert load(Top, preset)["name"] == "2"
    first = delete(preset)
    second = delete(save(folders[1], "sd15", "a", Top(name="3")))
    assert first.exists() and second.exists() and first != second
    assert [found.name for found in presets(folders)] == ["person"]


def test_the_built_in_ones_stay(folders: tuple[Path, Path]) -> None:
    person = presets(folders)[0]
    with pytest.raises(SettingsError, match="built-in"):
        delete(person)
    for folder, name in ((folders[0], "new"), (folders[1], "person"), (folders[1], "Person")):
        with pytest.raises(SettingsError, match="built-in"):
            save(folder, "sd15", name, Top())
    assert person.path.read_text().startswith("# For people.")


@pytest.mark.parametrize(
    "name",
    ["", " ", ".", "..", "../x", "a/b", "a\\b", "/etc/x", ".hidden", "a.", "con", "NUL.txt", "a\0b", "a\nb", "a:b",
     "x" * 201, "я" * 101, "a\u202eb", "\ud800"],
)  # fmt: skip
def test_a_name_cannot_lead_elsewhere(folders: tuple[Path, Path], name: str) -> None:
    for family, preset in (("sd15", name), (name, "a")):
        with pytest.raises(SettingsError):
            save(folders[1], family, preset, Top())
    assert not list(folders[1].rglob("*"))


def test_a_broken_file_does_not_hide_the_others(folders: tuple[Path, Path]) -> None:
    (folders[0] / "sd15" / "broken.toml").write_bytes(b"# \xff\xfe\n[[[")
    assert len(presets(folders)) == 2
    with pytest.raises(SettingsError):
        load(Top, presets(folders)[0])
