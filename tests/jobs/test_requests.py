from pathlib import Path

import pytest

from jobs.requests import ask, take


def test_a_wish_is_handed_out_once(tmp_path: Path) -> None:
    assert take(tmp_path) == set()
    ask(tmp_path, "stop")
    ask(tmp_path, "save")
    ask(tmp_path, "save")
    assert take(tmp_path) == {"stop", "save"}
    assert take(tmp_path) == set()


def test_only_known_wishes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stop, pause, save, sample"):
        ask(tmp_path, "../stop")
