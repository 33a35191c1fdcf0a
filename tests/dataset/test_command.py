"""`prepare` on the command line: asks before it copies, and ends with what the training form needs."""

import json

import pytest
from PIL import Image

from dataset import command


@pytest.fixture
def words(tmp_path):
    """The arguments for two pictures, one of them with a caption."""
    source = tmp_path / "my pictures"
    source.mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (64, 64), "teal").save(source / f"{name}.png")
    (source / "a.txt").write_text("sks dog, teal")
    return [f"--source={source}", f"--destination={tmp_path / 'out'}", "--trigger", "sks", "--class-words", "dog"]


def test_copies_and_tells_what_to_fill_in(words, tmp_path, capsys):
    assert command.main([*words, "--yes", "--repeats", "3"]) == 0
    placed = sorted(path.name for path in (tmp_path / "out" / "img" / "3_sks dog").iterdir())
    assert placed == ["a.png", "a.txt", "b.png"]
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["settings"]["dataset.folders"][0]["path"] == str(tmp_path / "out" / "img")


@pytest.mark.parametrize("more, code", [([], 2), (["--dry-run"], 0), (["--dry-run", "--yes"], 0)])
def test_copies_nothing_without_a_yes(words, tmp_path, capsys, more, code):
    assert command.main([*words, *more]) == code
    assert "3 files" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_a_mistyped_flag_names_the_nearest(words, capsys):
    assert command.main([*words, "--repeat", "3"]) == 2
    assert "--repeats" in capsys.readouterr().err


def test_a_missing_folder_is_one_line(tmp_path, capsys):
    there = ["--source", str(tmp_path / "no"), "--destination", str(tmp_path / "out"), "--trigger", "sks"]
    assert command.main(there) == 2
    assert capsys.readouterr().err == f"source: there is no such folder: {tmp_path / 'no'}\n"
