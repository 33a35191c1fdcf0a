"""What the window knows of runs, read from their events alone."""

import time

import pytest

from gui import runs as module
from gui.runs import Runs
from jobs import folder
from jobs.events import EventWriter


@pytest.fixture
def home(workspace, asked_anew):
    return folder.home()


def make(name="run"):
    job = folder.create("train", name, "", ["python", "-c", "pass"])
    return job, EventWriter(job.events_path)


def step(events, number, loss=0.1, **more):
    events.write("step", step=number, epoch=0.1, loss=loss, loss_average=0.1, lrs={"denoiser": 1e-4}, **more)


def test_a_run_is_read_as_it_grows(home):
    job, events = make()
    run = Runs(home).find(job.id)
    events.write("phase", name="cache latents", done=3, total=10)
    assert run.refresh().phase["name"] == "cache latents"
    events.write("started", step=0, total_steps=20)
    for number in (1, 2, 3):
        step(events, number)
    assert (run.refresh().step, run.total, run.phase, len(run.loss)) == (3, 20, {}, 3)
    events.write("finished", lora="x", steps=20, seconds=3)
    assert run.refresh().step == 20 and run.end["kind"] == "finished"


def test_a_half_written_line_waits(home):
    job, events = make()
    step(events, 1)
    with job.events_path.open("ab") as file:
        file.write(b'{"kind": "step", "step": 2')
    run = Runs(home).find(job.id)
    assert len(run.refresh().loss) == 1
    with job.events_path.open("ab") as file:
        file.write(b', "loss": 0.5, "lr": 0.1}\n')
    assert run.refresh().step == 2


def test_a_resumed_run_goes_back(home):
    job, events = make()
    events.write("started", step=0, total_steps=10)
    for number in range(1, 8):
        step(events, number, loss=1.0)
    events.write("resumed")
    events.write("started", step=5, total_steps=10)
    step(events, 6, loss=2.0)
    run = Runs(home).find(job.id).refresh()
    assert run.loss.thinned(99)["steps"] == [1, 2, 3, 4, 5, 6]
    assert run.loss.thinned(99)["high"][-1] == 2.0 and run.end == {}


def test_nan_in_text(home):
    job, events = make()
    step(events, 1, loss=float("nan"))
    assert Runs(home).find(job.id).refresh().loss.thinned(9)["lost"] == [1]


def test_the_overview_has_the_newest_first_and_computed_states(home):
    first, events = make("first")
    events.write("failed", cause="x", fix="y", traceback="z")
    time.sleep(0.01)  # two that are made in the same moment have no order
    second, _ = make("<b>second</b>")
    lines = Runs(home).overview()
    assert [(line["name"], line["state"]) for line in lines] == [("<b>second</b>", "queued"), ("first", "failed")]
    assert second.id == lines[0]["id"]


@pytest.mark.parametrize("wrong", ["", ".", "..", "../..", "/etc", "no such run", "a\0b"])
def test_an_id_is_one_of_the_list_or_nothing(home, wrong):
    make()
    assert Runs(home).find(wrong) is None


def test_a_poll_of_a_long_run_is_quick(home):
    job, events = make()
    line = b'{"time": 1, "kind": "step", "step": %d, "epoch": 0.1, "loss": 0.1, "lrs": {"denoiser": 0.001}}\n'
    with job.events_path.open("ab") as file:
        file.writelines(line % number for number in range(1, 20_001))
    run = Runs(home).find(job.id).refresh()
    times = []
    for _ in range(5):
        began = time.process_time()
        run.refresh()
        run.loss.thinned(400)
        times.append(time.process_time() - began)
    assert min(times) < 0.05  # about 2 ms on a quiet machine


def test_the_time_between_two_processes_does_not_count(home):
    job, _ = make()
    times = [(100, "started"), (110, "step"), (120, "paused"), (500, "resumed"), (600, "started"), (605, "step")]
    times += [(900, "resumed"), (901, "started"), (903, "finished")]  # killed after the step at 605
    with job.events_path.open("w") as file:
        file.writelines(f'{{"time": {at}, "kind": "{kind}", "step": 1}}\n' for at, kind in times)
    assert Runs(home).find(job.id).refresh().seconds == 20 + 5 + 2


def test_of_many_runs_that_were_looked_at_only_the_latest_are_kept(home, monkeypatch):
    monkeypatch.setattr(module, "WHOLE", 3)
    runs = Runs(home)
    ids = [make(f"run {number}")[0].id for number in range(5)]
    first = runs.find(ids[0])
    for id in ids[1:3]:
        runs.find(id)
    assert runs.find(ids[0]) is first
    for id in ids[3:]:
        runs.find(id)
    assert runs.find(ids[0]) is first and runs.find(ids[1]) is not None


def test_a_job_that_does_not_run_is_not_read_again_until_its_files_change(home, monkeypatch):
    job, events = make()
    step(events, 7)
    events.write("finished", lora="x", seconds=3)
    runs = Runs(home)
    assert (runs.overview()[0]["state"], runs.overview()[0]["step"]) == ("finished", 7)
    with monkeypatch.context() as patch:
        patch.setattr(folder.Job, "state", lambda _: pytest.fail("it was read again"))
        assert runs.overview()[0]["state"] == "finished"
    events.write("resumed")
    assert runs.overview()[0]["state"] == "queued"
    assert [line["id"] for line in runs.overview(live=True)] == [job.id]


def test_two_hundred_runs_are_listed_quickly(home):
    for number in range(200):
        _, events = make(f"run {number}")
        events.write("finished", steps=number)
    runs = Runs(home)
    assert len(runs.overview()) == 200
    times = []
    for _ in range(5):
        began = time.process_time()
        runs.overview()
        times.append(time.process_time() - began)
    assert min(times) < 0.1  # about 8 ms on a quiet machine; others' work and the garbage collector come in between


def test_what_is_held_out_has_a_curve_that_goes_back_with_the_run(home):
    job, events = make()
    events.write("started", step=0, total_steps=10)
    for number, loss in ((0, 1.0), (2, 0.9), (4, 0.8), (6, 0.7)):
        events.write("validation", step=number, loss=loss)
    events.write("resumed")
    events.write("started", step=4, total_steps=10)
    events.write("validation", step=4, loss=0.8)
    events.write("validation", step=6, loss=0.75)
    curve = Runs(home).find(job.id).refresh().validation["held out"].thinned(100)
    assert curve["steps"] == [0, 2, 4, 6] and curve["mean"] == [1.0, 0.9, 0.8, 0.75]


def test_what_is_held_out_has_a_curve_for_each_resolution_too(home):
    job, events = make()
    events.write("started", step=0, total_steps=10)
    for number in (0, 2, 4):
        events.write("validation", step=number, loss=0.5, sizes={"512": 0.4, "768": 0.6})
    events.write("started", step=2, total_steps=10)
    events.write("validation", step=4, loss=0.3, sizes={"512": 0.2, "768": float("nan")})
    found = {name: curve.thinned(100) for name, curve in Runs(home).find(job.id).refresh().validation.items()}
    assert list(found) == ["held out", "held out, 512 px", "held out, 768 px"]
    assert found["held out, 512 px"]["mean"] == pytest.approx([0.4, 0.4, 0.2])
    assert found["held out, 768 px"]["mean"] == [pytest.approx(0.6), pytest.approx(0.6), None]
