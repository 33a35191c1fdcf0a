"""The main job without a window: the toy world's base learns the demo character, and the demo measures that it did."""

import json
from pathlib import Path

import pytest
from PIL import Image

from toy import demo

pytestmark = pytest.mark.long


def test_the_demo_improves_its_score(tmp_path, capsys):
    """The demo at two fifths of its length and with samples of half the steps (the score is the same: 0.2), started and
    followed as `launch.py demo` does it."""
    shorter = ["--run.epochs", "20", "--preview.every-epochs", "0", "--save.every-epochs", "0", "--preview.steps", "10"]
    assert demo.main(["--job", str(tmp_path / "job"), *shorter]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["ok"] is True and result["job"] == str(tmp_path / "job")
    assert result["score_before"] < 0.02 and result["score_after"] > result["score_before"] + 0.1
    assert Path(result["lora"]).stat().st_size > 100_000
    with Image.open(result["before_after"]) as sheet:
        assert sheet.width > 400 and sheet.height > 400
    assert result["steps"] == 120 and result["seconds"] > 1


def test_the_demo_needs_something_to_compare(capsys):
    assert demo.main(["--preview.at-start", "false"]) == 2
    assert "preview" in capsys.readouterr().err
