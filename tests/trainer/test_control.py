"""What a person, a signal or a disaster does to a run, and that nothing is lost by it."""

import errno
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch

from jobs import requests
from jobs.events import EventWriter
from settings.errors import SettingsError
from tests.trainer.reading import equal, events, losses, newest, warnings
from trainer import __main__ as worker
from trainer import command, loop, state
from trainer.families import families
from trainer.loop import train
from trainer.needs import disk
from trainer.preview import Preview
from trainer.run import Run

DROPOUT = {"denoiser": {"rank": 2, "dropout": 0.3}}


@pytest.fixture
def at_step(monkeypatch):
    """at_step(2, act): `act()` is called when step 2 is done for the first time."""
    step = Run.one_step

    def arrange(number: int, act) -> None:
        left = [act]

        def then(self):
            values = step(self)
            if self.step == number and left:
                left.pop()()
            return values

        monkeypatch.setattr(Run, "one_step", then)

    yield arrange
    monkeypatch.setattr(Run, "one_step", step)


def work(job) -> int:
    return worker.main(["train", str(job.folder)])


@pytest.mark.parametrize("wish, lora", [("stop", True), ("pause", False)])
def test_stopped_or_paused_it_goes_on_exactly(configure, at_step, wish, lora):
    config = configure(lora=DROPOUT)
    straight, job = command.create(config), command.create(config)
    train(straight.folder)
    at_step(2, lambda: requests.ask(job.folder, wish))
    assert work(job) == 0
    assert job.state() == ("paused" if wish == "pause" else "stopped")
    assert newest(job).position["step"] == job.last_event["step"] == 2
    assert bool(list(job.checkpoints.iterdir())) == lora, "what a stopped run has learnt so far can be tried"
    assert not lora or Path(job.last_event["lora"]).is_file()
    assert work(job) == 0 and job.state() == "finished"
    assert losses(job) == losses(straight)
    assert equal(newest(job).adapters, newest(straight).adapters)
    assert equal(newest(job).optimizer, newest(straight).optimizer)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finishes_the_step_saves_and_ends_well(configure, at_step, number):
    job = command.create(configure())
    before = signal.getsignal(number)
    at_step(3, lambda: os.kill(os.getpid(), number))
    assert work(job) == 0
    assert job.state() == "stopped" and newest(job).position["step"] == 3 and len(losses(job)) == 3
    assert signal.getsignal(number) == before


def test_save_now_and_sample_now(configure, at_step):
    job = command.create(configure(save={"every_epochs": 0}, preview={"prompts": ["sks"], "steps": 1}))
    at_step(2, lambda: [requests.ask(job.folder, wish) for wish in ("save", "sample")])
    train(job.folder)
    assert [event["step"] for event in events(job, "checkpoint")] == [3]
    assert [event["step"] for event in events(job, "sample")] == [0, 3, 6]
    assert {path.name for path in (job.folder / "state").iterdir()} == {"step-00000003", "step-00000006"}


def test_pausing_before_the_first_step(configure):
    job = command.create(configure())
    requests.ask(job.folder, "pause")
    train(job.folder)
    assert job.state() == "paused" and not losses(job)
    train(job.folder)
    assert job.state() == "finished"


def test_samples_do_not_hold_up_a_wish_to_end_and_are_drawn_later(configure, monkeypatch):
    config = configure(preview={"prompts": ["one", "two", "three"], "steps": 1, "every_steps": 2})
    job, straight = command.create(config), command.create(config)
    train(straight.folder)
    draw = Preview.draw

    def asked_meanwhile(self, step, folder):
        for drawn in draw(self, step, folder):
            if step == 2 and drawn[0] == 0:
                requests.ask(job.folder, "pause")
            yield drawn

    monkeypatch.setattr(Preview, "draw", asked_meanwhile)
    train(job.folder)
    assert [event["index"] for event in events(job, "sample") if event["step"] == 2] == [0]
    monkeypatch.setattr(Preview, "draw", draw)
    train(job.folder)
    wanted = sorted(path.name for path in straight.samples.iterdir())
    assert sorted(path.name for path in job.samples.iterdir()) == wanted
    for name in wanted:
        assert (job.samples / name).read_bytes() == (straight.samples / name).read_bytes()


def test_a_job_is_gone_on_with_from_the_shell(configure, capsys, tmp_path):
    at = tmp_path / "job"
    job = command.prepared(configure(), at)
    assert command.main(["--job", str(at), "--ask", "pause"]) == 2
    assert "is queued, not running" in capsys.readouterr().err
    train(at)
    options = ["--job", str(at), "--run.epochs", "2", "--preview.prompts", "sks", "--preview.steps", "1"]
    assert command.main([*options, "--accelerate.cpu_threads", "1"]) == 0, job.log_path.read_text()
    assert job.state() == "finished" and job.last_event["steps"] == 12 and events(job, "sample")
    assert command.main(["--job", str(tmp_path / "none")]) == 2
    assert "there is no job in" in capsys.readouterr().err


def test_other_settings_of_another_run_are_refused_by_name(configure, tmp_path):
    command.prepared(configure(), tmp_path / "job")
    before = (tmp_path / "job" / "config.toml").read_text()
    with pytest.raises(SettingsError) as refused:
        command.prepared(configure(run={"batch_size": 2, "seed": 7}, preview={"prompts": ["x"]}), tmp_path / "job")
    assert set(refused.value.problems) == {"run.batch_size", "run.seed"}
    assert "was 42 and is 7" in str(refused.value) and "lora.weights = " in str(refused.value)
    assert (tmp_path / "job" / "config.toml").read_text() == before
    command.prepared(configure(preview={"prompts": ["x"]}), tmp_path / "job")
    assert '["x"]' in (tmp_path / "job" / "config.toml").read_text()


def test_fewer_steps_are_refused(configure):
    job = command.create(configure(run={"epochs": 2}))
    train(job.folder)
    with pytest.raises(SettingsError, match=r"run\.epochs.*was 12 steps in all and is 6"):
        command.change(job, command.with_absolute_paths(configure()))


def test_a_config_edited_in_the_folder_is_held_against_the_state(configure, at_step, pictures):
    job = command.create(configure())
    at_step(2, lambda: requests.ask(job.folder, "pause"))
    train(job.folder)
    text = job.config_path.read_text()
    job.config_path.write_text(text.replace("\nrank = 4\n", "\nrank = 8\n"))
    assert work(job) == 1
    assert "lora.denoiser.rank" in job.last_event["cause"] and "was 4 and is 8" in job.last_event["cause"]
    moved = pictures.rename(pictures.with_name("moved"))
    job.config_path.write_text(text.replace(str(pictures), str(moved)))
    assert work(job) == 0 and job.state() == "finished" and "have changed" not in warnings(job)


def test_a_changed_caption_is_told(configure, at_step, pictures):
    job = command.create(configure())
    at_step(2, lambda: requests.ask(job.folder, "pause"))
    train(job.folder)
    (pictures / "00.txt").write_text("something else")
    train(job.folder)
    assert "pictures have changed since this state was saved, or their captions" in warnings(job)


@pytest.mark.parametrize("end", ["save", "pause"])
def test_a_full_disk_costs_a_warning_but_a_paused_run_must_be_saved(configure, at_step, monkeypatch, end):
    job = command.create(configure(save={"every_steps": 2}))
    usage = shutil.disk_usage
    at_step(3, lambda: (monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10)), requests.ask(job.folder, end)))
    assert work(job) == (0 if end == "save" else 1)
    monkeypatch.setattr(shutil, "disk_usage", usage)
    assert newest(job).position["step"] == 2, "what was saved before stays"
    if end == "save":
        assert job.state() == "finished" and warnings(job).count("nothing was saved at this step") == 2
    else:
        assert "disk is full" in job.last_event["cause"] and "Resume" in job.last_event["fix"]
        assert work(job) == 0 and job.state() == "finished"


def test_a_disk_that_fills_up_within_a_save(configure, monkeypatch):
    job, write, calls = command.create(configure(save={"every_steps": 2})), state.write, []

    def full(aside, now):
        calls.append(now.position["step"])
        write(aside, now)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(aside))

    monkeypatch.setattr(state, "write", full)
    train(job.folder)
    assert calls == [2, 4, 6] and job.state() == "finished" and "No space left" in warnings(job)
    assert sorted(path.name for path in (job.folder / "state").iterdir()) == ["step-00000002", "step-00000006"]


def test_a_disk_too_small_is_refused_before_the_first_step(configure, monkeypatch):
    job = command.create(configure())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1000))
    assert work(job) == 1
    assert "disk is full" in job.last_event["cause"] and "are needed" in job.last_event["traceback"]
    assert not events(job, "started")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(disk.SPARE + 2_000_000))
    many = command.create(configure(save={"every_steps": 1}, run={"epochs": 100, "max_steps": 600}))
    requests.ask(many.folder, "stop")
    monkeypatch.setattr(loop.Report, "counting", lambda self, name: lambda done, total: None)
    train(many.folder)
    assert "599 checkpoints" in warnings(many) and "keep_last" in warnings(many)


class Usage:
    def __init__(self, free: int):
        self.free = free


def spoil(monkeypatch, factor) -> None:
    """What the denoiser says is multiplied by `factor(call)`, from 1."""
    family, predict, calls = families()["sd15"], families()["sd15"].predict, []

    def broken(self, *inputs):
        calls.append(1)
        return predict(self, *inputs) * factor(len(calls))

    monkeypatch.setattr(family, "predict", broken)


@pytest.mark.parametrize("wrong", ["nan", "inf"])
def test_a_step_without_a_number_is_skipped_counted_and_named(configure, monkeypatch, wrong):
    spoil(monkeypatch, lambda call: float(wrong) if call == 2 else 1)
    job = command.create(configure())
    train(job.folder)
    steps = events(job, "step")
    assert [step["skipped"] for step in steps] == [0, 1, 1, 1, 1, 1]
    assert steps[1]["loss"] == wrong and steps[2]["loss"] not in ("nan", "inf")
    assert all(tensor.isfinite().all() for tensor in newest(job).adapters.values())
    assert "step 2 was skipped" in warnings(job) and ".png" in warnings(job)


def test_a_gradient_without_a_number_is_skipped_though_the_loss_has_one(configure, monkeypatch):
    backward = torch.Tensor.backward
    calls = []

    def broken(self, *arguments):
        backward(self, *arguments)
        calls.append(1)
        if len(calls) == 2:
            for run in runs:
                run.parameters[0].grad.fill_(float("nan"))

    runs = []
    prepare = Run.__post_init__
    monkeypatch.setattr(Run, "__post_init__", lambda self: (prepare(self), runs.append(self))[0])
    monkeypatch.setattr(torch.Tensor, "backward", broken)
    job = command.create(configure())
    train(job.folder)
    assert [step["skipped"] for step in events(job, "step")] == [0, 1, 1, 1, 1, 1]
    assert events(job, "step")[1]["grad_norm"] == "nan"


def test_no_numbers_again_and_again_end_the_run_and_keep_what_was_saved(configure, monkeypatch):
    spoil(monkeypatch, lambda call: float("inf") if call > 2 else 1)
    monkeypatch.setattr("trainer.run.GIVE_UP", 3)
    job = command.create(configure(save={"every_steps": 1}))
    assert work(job) == 1
    last = job.last_event
    assert job.state() == "failed"
    assert "no number for 3 steps, up to step 5" in last["cause"] and ".png" in last["cause"]
    assert "learning rate" in last["fix"] and "lora.weights" in last["fix"] and "Traceback" in last["traceback"]
    assert all(tensor.isfinite().all() for tensor in newest(job).adapters.values())
    assert [event["step"] for event in events(job, "checkpoint")] == [1, 2, 3, 4]


def test_weights_that_are_no_numbers_are_never_saved(configure, at_step, monkeypatch):
    runs = []
    prepare = Run.__post_init__
    monkeypatch.setattr(Run, "__post_init__", lambda self: (prepare(self), runs.append(self))[0])
    job = command.create(configure(save={"every_steps": 1}))
    at_step(3, lambda: runs[0].parameters[0].data.fill_(float("nan")))
    assert work(job) == 1
    assert "no numbers any more at step 3" in job.last_event["cause"] and newest(job).position["step"] == 2


def test_a_damaged_state_falls_back_and_says_so(configure, at_step):
    config = configure(save={"every_steps": 2}, lora=DROPOUT)
    straight, job = command.create(config), command.create(config)
    train(straight.folder)
    at_step(5, lambda: requests.ask(job.folder, "pause"))
    train(job.folder)
    (job.folder / "state" / "step-00000005" / "adapters.safetensors").write_bytes(b"half")
    train(job.folder)
    assert "step-00000005 is damaged and was passed over" in warnings(job)
    assert events(job, "started")[1]["step"] == 4
    assert equal(newest(job).adapters, newest(straight).adapters)


def test_without_a_whole_state_it_begins_again_and_says_so(configure, at_step):
    job = command.create(configure())
    at_step(2, lambda: requests.ask(job.folder, "pause"))
    train(job.folder)
    for path in state.saved(job.folder / "state"):
        (path / "manifest.json").unlink()
    train(job.folder)
    assert "no saved state is whole" in warnings(job) and job.state() == "finished"
    assert events(job, "started")[1]["step"] == 0


def test_every_path_is_meant_from_where_it_was_typed(configure, tmp_path, monkeypatch):
    for name in ("lora.safetensors", "merged.safetensors", "word.safetensors", "parts", "vae"):
        (tmp_path / name).touch()
    typed = {
        "model": {"vae": "vae", "components": "parts", "merge": [{"file": "merged.safetensors"}]},
        "lora": {"weights": "lora.safetensors"},
        "words": {"new": [{"word": "sks", "start_from": "word.safetensors"}]},
        "save": {"folder": "not/there/yet"},
    }
    monkeypatch.chdir(tmp_path)
    config = command.with_absolute_paths(configure(**typed))
    model = config.model
    found = [model.vae, model.components, model.merge[0].file, config.lora.weights, config.words.new[0].start_from]
    names = ("vae", "parts", "merged.safetensors", "lora.safetensors", "word.safetensors")
    assert found == [str(tmp_path / name) for name in names]
    assert config.save.folder == str(tmp_path / "not/there/yet") and config.save.logging_folder == ""


def test_a_job_of_another_version_is_not_in_the_way_of_a_new_one(configure):
    config = configure()
    old = command.create(config)
    old.config_path.write_text("version = 999\n")
    assert command.prepared(config, None).id != old.id
    assert command.prepared(config, None) == command.prepared(config, None)


def test_steps_that_a_full_disk_can_tell_nothing_of_are_learnt_all_the_same(configure, at_step, monkeypatch):
    straight, job = (command.create(configure()) for _ in range(2))
    train(straight.folder)
    write, full = EventWriter.write, []

    def on_a_full_disk(self, kind, **values):
        if kind == "step" and full and values["step"] < 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(self, kind, **values)

    monkeypatch.setattr(EventWriter, "write", on_a_full_disk)
    at_step(2, lambda: full.append(True))
    assert work(job) == 0 and job.state() == "finished"
    assert equal(newest(job).adapters, newest(straight).adapters)
    assert losses(job) == [loss for step, loss in enumerate(losses(straight), start=1) if step not in (2, 3)]
    assert "the disk was full" in warnings(job)
