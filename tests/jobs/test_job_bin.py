"""The bin of jobs: nothing that works or waits goes in, everything comes out as it was, and only what is named is
deleted."""

import os

import pytest

from jobs import bin as job_bin
from jobs import queue
from jobs.events import EventWriter
from jobs.folder import Job, create, home, jobs
from jobs.lock import locked
from jobs.process import JobError, start


@pytest.fixture(autouse=True)
def nobody_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "ensure_runner", lambda: None)


def done(name: str = "done", text: str = "") -> Job:
    job = create("train", name, text, ["python", "-c", "pass"])
    (job.checkpoints / "x.safetensors").write_bytes(b"x" * 1000)
    EventWriter(job.events_path).write("finished", steps=1)
    return job


def test_there_and_back() -> None:
    job, other = done("Кот"), done("other")
    before = {path.name: path.read_bytes() for path in job.folder.iterdir() if path.is_file()}
    thing = job_bin.throw(home(), job)
    assert jobs() == [other] and thing.size > 1000
    assert [one.job.name for one in job_bin.binned(home())] == ["Кот"]
    assert job_bin.put_back(home(), job_bin.binned(home())[0]) == job
    assert {path.name: path.read_bytes() for path in job.folder.iterdir() if path.is_file()} == before | {".lock": b""}
    assert job.state() == "finished" and job_bin.binned(home()) == []
    assert list((home() / "bin").iterdir()) == []


def test_what_is_at_work_or_waits_stays(make, wait) -> None:
    running = make()
    start(running)
    wait(lambda: running.state() == "running")
    with pytest.raises(JobError, match="is running"):
        job_bin.throw(home(), running)
    waiting = create("train", "waiting", "", ["python", "-c", "pass"])
    queue.submit(waiting)
    with pytest.raises(JobError, match="queue"):
        job_bin.throw(home(), waiting)
    queue.withdraw(waiting)
    job_bin.throw(home(), waiting)
    assert jobs() == [running] and running.folder.exists()


def test_one_that_is_being_started_in_this_moment_stays() -> None:
    job = done()
    with locked(job.folder / ".lock"), pytest.raises(JobError, match="is running"):
        job_bin.throw(home(), job)
    assert job.folder.exists()


def test_a_run_that_another_waits_to_go_on_from_stays() -> None:
    first, namesake = done("a"), done("a")
    heir = create("train", "heir", f'[lora]\nweights = "{namesake.folder}"\n', ["python", "-c", "pass"])
    assert namesake.id.startswith(first.id)
    job_bin.throw(home(), first)
    with pytest.raises(JobError, match="heir is to train on"):
        job_bin.throw(home(), namesake)
    EventWriter(heir.events_path).write("finished", steps=1)
    heir.folder.joinpath("process.json").write_text("{}")
    job_bin.throw(home(), namesake)
    assert jobs() == [heir]


def test_a_folder_elsewhere_is_not_ours(tmp_path) -> None:
    job = create("train", "mine", "", ["python"], at=tmp_path / "mine")
    with pytest.raises(JobError, match="not in this workspace"):
        job_bin.throw(home(), job)


def test_nothing_is_put_onto_another() -> None:
    job = done()
    thing = job_bin.throw(home(), job)
    job.folder.mkdir()
    with pytest.raises(JobError, match="among the runs again"):
        job_bin.put_back(home(), thing)
    assert thing.job.folder.exists()


def test_only_what_is_named_is_deleted_and_links_are_not_followed(tmp_path) -> None:
    elsewhere = tmp_path / "pictures"
    elsewhere.mkdir()
    (elsewhere / "a.png").write_bytes(b"a")
    first, second = done("first"), done("second")
    os.symlink(elsewhere, first.folder / "link")
    gone = job_bin.throw(home(), first)
    kept = job_bin.throw(home(), second)
    assert job_bin.empty([gone]) >= 1000
    assert job_bin.binned(home()) == [kept] and (elsewhere / "a.png").exists()


def test_what_others_put_there_is_passed_over() -> None:
    for strange in ("notes", "20260101-000000", "20260101-000000/no job", "99999999-999999/x"):
        (home() / "bin" / strange).mkdir(parents=True)
    (home() / "bin" / "20260101-000000" / "no job" / "job.json").write_text("{")
    assert job_bin.binned(home()) == []
