"""A captioning job that can't go on says why and what to do, once, and leaves what it wrote whole."""

import errno

import pytest

from captioners import __main__ as process
from captioners.base import CaptionerError
from dataset.caption_files import CaptionStore
from dataset.files import FileError
from dataset.journal import Journal, JournalError
from settings.errors import SettingsError
from tests.captioners.fake import Fake, events


def fail_with(error: BaseException):
    def behave(batch, attempt):
        raise error

    return staticmethod(behave)


@pytest.mark.parametrize("error, cause, fix", [
    (CaptionerError("nobody answers at http://127.0.0.1:1"), "Nobody answers at http", "Resume"),
    (FileError("a.txt", "another program changes it all the time", "close that one"), "another program", "Resume"),
    (JournalError("nothing can be written in x"), "Nothing can be written in x.", "Resume"),
    (SettingsError({"blip.model": "is not there"}), "blip.model", "Change them"),
    (OSError(errno.ENOSPC, "No space left on device"), "disk is full", "Free some space"),
    (RuntimeError("odd"), "RuntimeError: odd", "traceback"),
], ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "")  # fmt: skip
def test_cause_and_fix(runs, monkeypatch, error, cause, fix, capsys):
    monkeypatch.setattr(Fake, "load", lambda *_: (_ for _ in ()).throw(error))
    job = runs.job()
    assert process.main(["run", str(job.folder)]) == 1
    (said,) = events(job, "failed")
    assert job.state() == "failed" and "Traceback" in said["traceback"]
    assert cause in said["cause"] and fix in said["fix"]
    assert said["cause"] in capsys.readouterr().err


def test_too_little_memory_for_the_model_itself(runs, monkeypatch):
    monkeypatch.setattr(Fake, "load", lambda *_: (_ for _ in ()).throw(MemoryError()))
    job = runs.job()
    assert process.main(["run", str(job.folder)]) == 1
    assert job.last_event["cause"] == "There was not enough memory for the model."
    assert "run.device" in job.last_event["fix"]


def test_a_full_disk_stops_the_run_and_freed_it_goes_on(runs, monkeypatch):
    put, written = CaptionStore.put, []

    def full(self, picture, text, expected):
        if len(written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(picture)
        return put(self, picture, text, expected)

    job = runs.job()
    monkeypatch.setattr(CaptionStore, "put", full)
    assert process.main(["run", str(job.folder)]) == 1
    assert job.last_event["cause"] == "The disk is full." and len(runs.captions()) == 2
    assert [entry.state for entry in Journal(runs.pictures).history()] == ["interrupted"]
    monkeypatch.setattr(CaptionStore, "put", put)
    assert process.main(["run", str(job.folder)]) == 0
    assert len(runs.captions()) == 6 and job.last_event["written"] == 6 and len(Fake.loads) <= 2


def test_what_is_no_job_is_told(capsys):
    assert process.main(["walk"]) == 2 and "usage" in capsys.readouterr().err
