import json
import threading
import time

import pytest

from dataset import work as works
from jobs import folder, process, queue, runner
from jobs.devices import devices
from jobs.events import EventWriter, read_events
from jobs.files import home
from trainer import command, preflight
from trainer.preflight import TrialError


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("LORATORY_HOME", str(tmp_path / "home"))
    queue.pause(home())  # what is queued is only looked at
    yield home()
    for job in runner.running(home()):
        process.kill(job)
        deadline = time.monotonic() + 20
        while process.is_watched(job.folder):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def quietly(*_) -> None:
    """Tells nobody how far it is."""


def trials():
    return list((home() / runner.TRIALS).glob("*"))


def stand_in(monkeypatch, work: str) -> None:
    """Let a trial be a small program of the tests of jobs instead of a training."""
    monkeypatch.setattr(command, "argv", lambda config: ["python", "-m", "tests.jobs.worker", "{job}", work])


def test_a_check_trains_two_steps_saves_queues_the_run_and_leaves_nothing(configure, tmp_path):
    config = configure(
        run={"epochs": 5}, preview={"prompts": ["sks"]}, save={"folder": str(tmp_path / "out"), "every_steps": 1}
    )
    job = works.create(preflight.KIND, command.with_absolute_paths(config), preflight.ARGV)
    assert preflight.main([str(job.folder)]) == 0, job.log_path
    last = job.last_event
    assert last["kind"] == "finished" and last["steps"] == 2 and last["lora_bytes"] > 1000 and last["memory_gb"] > 0
    assert last["sentence"].startswith("The check has passed: 2 steps and a save in ")
    (queued,) = queue.queued(home())
    assert queued.id == last["run"] and "epochs = 5" in queued.config_path.read_text()
    assert not trials() and not (tmp_path / "out").exists()
    names = {event["name"] for event in read_events(job.events_path)[0] if event["kind"] == "progress"}
    assert "starts" in names


def test_a_check_that_fails_says_why_and_nothing_is_queued(configure, monkeypatch):
    stand_in(monkeypatch, "vanish")
    job = works.create(preflight.KIND, command.with_absolute_paths(configure()), preflight.ARGV)
    assert preflight.main([str(job.folder)]) == 1
    assert job.state() == "failed" and "nothing was queued" in job.last_event["cause"]
    assert "the moon is full" in job.last_event["cause"] and job.last_event["fix"]
    assert not queue.queued(home()) and not trials() and not folder.jobs()


def test_from_the_shell_a_failed_check_keeps_the_run_from_being_made(configure, monkeypatch, tmp_path, capsys):
    from settings import toml

    stand_in(monkeypatch, "be_killed")
    file = tmp_path / "config.toml"
    file.write_text(toml.dumps(configure()))
    assert command.main([str(file), "--preflight"]) == 1
    said = capsys.readouterr()
    assert "check: starts" in said.out and "out of memory (SIGKILL)" in said.err and not folder.jobs()


def test_it_waits_for_a_device_and_can_be_stopped_while_it_waits(configure, monkeypatch):
    stand_in(monkeypatch, "finish")
    other = folder.create("test", "other", "", ["python", "-m", "tests.jobs.worker", "{job}", "until_stop"])
    process.start(other, [devices()[-1].id])
    said = []

    def told(name, done, total):
        said.append(name)
        raise works.Stopped

    with pytest.raises(works.Stopped):
        preflight.tried(configure(), told)
    assert said == ["waits for a free device (at work: other)"] and not trials()


def test_a_check_that_waits_for_a_device_is_left_alone_by_the_next(configure, monkeypatch):
    stand_in(monkeypatch, "finish")
    other = folder.create("test", "other", "", ["python", "-m", "tests.jobs.worker", "{job}", "until_stop"])
    process.start(other, [devices()[-1].id])
    before = []

    def told(name, done, total):
        if not before:
            before.extend(trials())
            with pytest.raises(works.Stopped):
                preflight.tried(configure(), told)
            assert trials() == before
        raise works.Stopped

    with pytest.raises(works.Stopped):
        preflight.tried(configure(), told)
    assert before and not trials()


def test_stopped_in_the_middle_it_ends_its_trial(configure, monkeypatch):
    stand_in(monkeypatch, "until_stop")
    begun = threading.Event()

    def told(name, done, total):
        if begun.is_set():
            raise works.Stopped
        if any((place / "process.json").exists() for place in trials()):
            begun.set()

    with pytest.raises(works.Stopped):
        preflight.tried(configure(), told)
    assert begun.is_set() and not trials() and not runner.running(home())


def trial_that_said(tmp_path, losses, last="finished"):
    job = folder.create("train", "n", "", ["python"], at=tmp_path / "trial")
    events = EventWriter(job.events_path)
    for number, loss in enumerate(losses, start=1):
        events.write("step", step=number, loss=loss, memory_gb=1.5)
    lora = tmp_path / "n.safetensors"
    lora.write_bytes(b"x" * 10)
    events.write("warning", message="good to know")
    events.write(last, lora=str(lora), cause="c", fix="f", fixes=[{"says": "less", "settings": {"run.batch_size": 1}}])
    return job


def test_what_a_trial_has_shown(tmp_path):
    shown = preflight.judged(trial_that_said(tmp_path, [0.5, 0.4]))
    assert shown == {"steps": 2, "memory_gb": 1.5, "lora_bytes": 10, "warnings": ["good to know"]}


@pytest.mark.parametrize(
    ("losses", "last", "cause"),
    [
        ([float("nan"), 0.4], "finished", "no number"),
        ([0.5], "finished", "ended before"),
        ([0.5, 0.4], "stopped", "ended before"),
        ([0.5, 0.4], "failed", "c"),
    ],
)
def test_what_speaks_against_the_run(tmp_path, losses, last, cause):
    with pytest.raises(TrialError, match=cause) as raised:
        preflight.judged(trial_that_said(tmp_path, losses, last))
    if last == "failed":
        assert preflight.explain(raised.value).fixes[0].settings == {"run.batch_size": 1}


def test_what_is_left_of_a_killed_check_is_removed_by_the_next(configure, monkeypatch):
    left = folder.create("train", "n", "", ["python"], at=home() / runner.TRIALS / "left")
    (left.folder / "process.json").write_text(json.dumps({"pid": 1, "born": "earlier"}))
    stand_in(monkeypatch, "vanish")
    with pytest.raises(TrialError):
        preflight.tried(configure(), quietly)
    assert not trials()
