"""The training form's answers: the plan, presets that leave alone what is personal, and what starts a run."""

import types

import pytest
from PIL import Image

from gui import scans
from gui.training import Training
from jobs import folder, queue
from jobs.requests import take
from settings import presets
from trainer.config import TrainSettings


@pytest.fixture
def training(fresh_window):
    return Training(fresh_window)


@pytest.fixture
def pictures(tmp_path):
    made = tmp_path / "pictures"
    made.mkdir()
    for number in range(4):
        Image.new("RGB", (512, 512)).save(made / f"{number}.png")
    return made


def on_form(training, updates):
    """What the page would send after these updates."""
    return {field: update["value"] for field, update in updates.items() if field in training._form.fields}


def answer(training, updates, name):
    return updates[training._parts[name]]


def event(**data):
    return types.SimpleNamespace(_data=data)


def test_an_empty_form_says_what_is_missing(training):
    said = answer(training, training.fill(), "plan")
    assert said["plan"] is None and list(said["problems"]) == ["dataset.folders"] and said["attempt"] == 0


def test_a_complete_form_has_a_plan_and_starts_a_run(training, pictures):
    updates = training.fill(
        {"dataset.folders": [{"path": str(pictures), "repeats": 5}], "run.epochs": 3, "name": "mine"}
    )
    assert answer(training, updates, "plan")["plan"]["total_steps"] == 60
    started = training.start(on_form(training, updates))
    job = folder.jobs()[0]
    assert answer(training, started, "runs")["run"] == job.id and job.name == "mine" and job.state() == "queued"
    assert [waiting.id for waiting in queue.queued(folder.home())] == [job.id]
    assert "repeats = 5" in job.config_path.read_text()


def test_a_draft_of_an_earlier_version_keeps_its_values(training):
    training._window.drafts.save("train", {"noise": {"prior_loss_weight": 0.25}})
    updates = training.fill()
    assert updates[training._form.one("prior.weight")]["value"] == 0.25
    assert list(answer(training, updates, "plan")["problems"]) == ["dataset.folders"]


def test_what_is_wrong_starts_nothing_and_is_said_loudly(training):
    updates = training.fill({"lora.denoiser.rank": 0})
    refused = training.start(on_form(training, updates))
    assert answer(training, refused, "plan")["problems"] == {"lora.denoiser.rank": "must be at least 1; got 0"}
    assert answer(training, refused, "plan")["attempt"] > 0
    assert folder.jobs() == []


def test_what_was_typed_is_there_again(training):
    values = on_form(training, training.fill({"name": "typed", "run.max_steps": None}))
    training.typed(values)
    assert on_form(training, Training(training._window).fill()) == values


def test_a_preset_leaves_alone_what_is_personal(training, pictures):
    values = on_form(training, training.fill({"dataset.folders": [{"path": str(pictures)}], "run.epochs": 99}))
    values[next(field for field in values if field.elem_id == "train-name")] = "mine"  # typed a moment ago
    config = TrainSettings.model_validate({"run": {"batch_size": 4}})
    presets.save(training._window.home / "presets", "sd15", "four", config)
    loaded = training.load_preset(values, event(key="yours/sd15/four"))
    typed = training._form.typed(on_form(training, loaded))
    assert typed["name"] == "mine" and typed["dataset"]["folders"] == [{"path": str(pictures)}]
    assert typed["run"]["batch_size"] == 4 and typed["run"]["epochs"] == TrainSettings().run.epochs


def test_a_preset_that_does_not_fit_changes_nothing(training):
    before = training.fill({"name": "mine"})
    path = training._window.home / "presets" / "sd15" / "old.toml"
    path.parent.mkdir(parents=True)
    path.write_text("[lora.denoiser]\nrnak = 4\n")
    refused = training.load_preset(on_form(training, before), event(key="yours/sd15/old"))
    assert list(refused) == [training._parts["notice"]]
    assert "rank" in answer(training, refused, "notice")["text"]
    assert on_form(training, training.fill()) == on_form(training, before)
    refused = training.load_preset(on_form(training, before), event(key="../../x"))
    assert "no such preset" in answer(training, refused, "notice")["text"]


def test_keeping_a_preset(training, pictures):
    values = on_form(training, training.fill({"dataset.folders": [{"path": str(pictures)}], "lora.denoiser.rank": 24}))
    kept = training.keep_preset(values, event(name="mine", description="For <me>"))
    assert answer(training, kept, "presets")["key"] == "yours/sd15/mine"
    assert "rank = 24" in (training._window.home / "presets" / "sd15" / "mine.toml").read_text()
    for wrong in ("", "../x", "style-12gb", "a/b"):
        refused = training.keep_preset(values, event(name=wrong))
        assert answer(training, refused, "notice")["bad"]


def test_the_settings_of_a_run_come_back(training, pictures):
    updates = training.fill({"dataset.folders": [{"path": str(pictures)}], "run.epochs": 7})
    training.start(on_form(training, updates))
    training.fill({"run.epochs": 1, "name": "other"})
    loaded = training.load(folder.jobs()[0].config_path)
    typed = training._form.typed(on_form(training, loaded))
    assert typed["run"]["epochs"] == 7 and typed["name"] == "my_lora"


def test_the_command_is_the_one_that_is_run(training, pictures):
    values = on_form(training, training.fill({"dataset.folders": [{"path": str(pictures)}], "name": "mine"}))
    shown = answer(training, training.command(values), "command")
    assert shown["file"] == "mine.toml" and shown["accelerate"].endswith("--module trainer train JOB")
    training.start(values)
    assert folder.jobs()[0].config_path.read_text() == shown["toml"]


def test_stop_asks_what_runs(training, monkeypatch):
    assert answer(training, training.stop(), "notice")["text"] == "Nothing is running."
    job = folder.create("train", "live", "", ["python", "-c", "pass"])
    training._window.runs.changed()
    monkeypatch.setattr(training._window.runs, "state", lambda job: "running")
    assert "live" in answer(training, training.stop(), "notice")["text"]
    assert take(job.folder) == {"stop"}


@pytest.mark.parametrize(
    "typed", ["a" * 5000, "x\0y", "~nobody/x", "//", "$(touch x)", "'; --no_python", "\n", "\ud800"]
)
@pytest.mark.parametrize("path", ["model.base", "model.vae", "save.folder", "dataset.folders", "name", "gpu"])
def test_anything_may_be_typed_anywhere(training, pictures, typed, path, monkeypatch):
    monkeypatch.setattr(scans, "MOST", 1000)  # // is a whole disk, and that of whoever runs this
    values = {"dataset.folders": [{"path": str(pictures)}]}
    values |= {"dataset.folders": [{"path": typed}]} if path == "dataset.folders" else {}
    values |= {"accelerate.gpu_ids": typed} if path == "gpu" else {} if path == "dataset.folders" else {path: typed}
    updates = training.fill(values)
    assert answer(training, updates, "plan")["attempt"] == 0
    for click in (training.typed, training.command):
        assert click(on_form(training, updates))
    assert len(str(answer(training, updates, "plan")["problems"])) < 12_000


def test_all_that_is_wrong_and_all_that_has_no_effect_is_said_at_once(training):
    """A conflict between two settings hides neither a missing folder nor what has no effect."""
    updates = training.fill({"noise.min_snr_gamma": 5, "noise.debiased": True, "schedule.name": "constant",
                             "schedule.minimum": 0.1, "noise.shift": 2.0})
    said = answer(training, updates, "plan")
    assert {"noise.debiased", "dataset.folders"} <= set(said["problems"])
    assert {"schedule.minimum", "noise.shift"} <= set(said["warnings"])


def test_curves_follow_what_is_typed(training, pictures):
    values = {"dataset.folders": [{"path": str(pictures), "repeats": 5}], "run.epochs": 3}
    drawn = answer(training, training.fill(values), "sketch rate")["sketches"]
    assert drawn["rate"]["end"] == 60 and drawn["rate"]["unit"] == "step" and drawn["noise"]
    drawn = answer(training, training.fill({"schedule.warmup": 2}), "sketch rate")["sketches"]
    assert drawn["rate"] is None and drawn["noise"]
