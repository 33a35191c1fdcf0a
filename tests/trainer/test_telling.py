"""What a run says while the disk is full is lost, and nothing else."""

import io
import sys
from pathlib import Path

import pytest

from jobs.events import read_events
from trainer.telling import Telling

FULL = Path("/dev/full")
pytestmark = pytest.mark.skipif(not FULL.exists(), reason="a device that is always full is needed")


class FullBoard:
    """As TensorBoard's writer once its thread has met a full disk."""

    def add_scalar(self, *_) -> None:
        FULL.write_text("x")


@pytest.fixture
def events(tmp_path):
    return tmp_path / "events.jsonl"


def test_nothing_is_said_on_a_full_disk_and_afterwards_that_it_is_missing(events, tmp_path, monkeypatch):
    telling = Telling(events, speaks=True)
    telling.event("step", step=1)
    events.rename(tmp_path / "kept")
    events.symlink_to(FULL)
    monkeypatch.setattr(telling, "_board", FullBoard())
    with FULL.open("wb", buffering=0) as nowhere, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", io.TextIOWrapper(nowhere, write_through=True))
        telling.event("step", step=2)
        telling.line("step 2")
        telling.scalars(2, {"loss": 1.0})
        telling.scalars(3, {"loss": 1.0})
    with pytest.raises(OSError, match="No space"):
        telling.last_word("finished")
    events.unlink()
    (tmp_path / "kept").rename(events)
    telling.event("step", step=4)
    assert [event["kind"] for event in read_events(events)[0]] == ["step", "warning", "step"]
    assert "missing" in read_events(events)[0][1]["message"]


def test_another_trouble_is_raised_and_a_process_that_does_not_speak_writes_nothing(events):
    with pytest.raises(IsADirectoryError):
        Telling(events.parent, speaks=True).event("step")
    silent = Telling(events, speaks=False)
    silent.event("step")
    silent.line("step")
    silent.scalars(1, {"loss": 1.0})
    silent.last_word("finished")
    assert not events.exists()
