import os
import signal
import time
from pathlib import Path

import pytest

from jobs import requests
from jobs.events import EventWriter
from jobs.requests import ask, ending, ignored, patience_ends, signals_ask_to_stop, take


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


def test_stop_is_more_than_pause() -> None:
    assert ending({"save"}) == "" and ending({"pause", "sample"}) == "pause" and ending({"pause", "stop"}) == "stop"


def test_a_wish_to_end_has_its_time(tmp_path: Path) -> None:
    assert patience_ends(tmp_path) is None and not ignored(tmp_path)
    ask(tmp_path, "save")
    assert patience_ends(tmp_path) is None, "only one that ends the process"
    ask(tmp_path, "pause")
    asked = (tmp_path / "requests" / "pause").stat().st_mtime
    assert patience_ends(tmp_path) == asked + requests.GRACE and not ignored(tmp_path)
    EventWriter(tmp_path / "events.jsonl").write("step", step=1, it_s=0.1)
    assert patience_ends(tmp_path) == asked + requests.GRACE + 10 * requests.GRACE_STEPS, "slow steps take long"
    long_ago = time.time() - 3600
    os.utime(tmp_path / "requests" / "pause", (long_ago, long_ago))
    ask(tmp_path, "pause")  # asked again, it is no younger
    assert ignored(tmp_path)
    assert take(tmp_path) == {"save", "pause"} and not ignored(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_first_signal_is_a_wish_and_a_second_one_is_itself(tmp_path: Path, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with signals_ask_to_stop(tmp_path):
        os.kill(os.getpid(), number)
        assert take(tmp_path) == {"stop"} and signal.getsignal(number) == signal.SIG_DFL
    assert signal.getsignal(number) == before
