"""save.keep_best: what did best on the pictures that are held out is kept, whatever else is removed."""

import pytest
import torch

from settings.errors import SettingsError
from tests.trainer.reading import equal, events
from trainer import command
from trainer.loop import train
from trainer.lora import file
from trainer.needs.room import room
from trainer.plan import plan
from trainer.run import Run

EVERY = {"validation": {"share": 0.3, "every_steps": 1, "draws": 1}, "run": {"max_steps": 5}}
SAVE = {"keep_best": True, "every_steps": 1, "every_epochs": 0, "keep_last": 1, "precision": "float32"}
LOSSES = {0: 0.1, 1: 0.5, 2: 0.3, 3: 0.3, 4: 0.4, 5: float("nan")}  # 0 is the base model, and what equals is not better


class Ended(Exception):
    """A process that is no more."""


@pytest.fixture
def losses(monkeypatch):
    """What validation says at each step; where it says nothing, the process ends."""
    told = dict(LOSSES)

    def validate(self):
        if told[self.step] is None:
            raise Ended
        return {64: told[self.step]}

    monkeypatch.setattr(Run, "validate", validate)
    return told


@pytest.fixture
def weights(monkeypatch):
    """The adapters after each step."""
    found, step = {}, Run.one_step

    def keep(self):
        values = step(self)
        found[self.step] = {name: tensor.clone() for name, tensor in self.adapters.items()}
        return values

    monkeypatch.setattr(Run, "one_step", keep)
    return found


def holds(path, adapters: dict[str, torch.Tensor]) -> bool:
    """Whether a file has just these weights, whatever it calls them."""
    found = {tensor.numpy().tobytes() for tensor in file.load(path).tensors.values()}
    return all(tensor.numpy().tobytes() in found for tensor in adapters.values())


def test_the_best_is_kept_beside_the_last_and_copied_at_the_end(configure, losses, weights, tmp_path):
    job = command.create(configure(**EVERY, save=SAVE | {"folder": str(tmp_path / "out")}))
    train(job.folder)
    assert sorted(path.name for path in job.checkpoints.iterdir()) == [
        "tiny-000001.safetensors", "tiny-best.safetensors"]  # fmt: skip
    best, last = job.checkpoints / "tiny-best.safetensors", job.folder / "tiny.safetensors"
    assert (job.folder / "tiny-best.safetensors").read_bytes() == best.read_bytes()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["tiny-best.safetensors", "tiny.safetensors"]
    assert job.last_event["lora"] == str(tmp_path / "out" / "tiny.safetensors"), "the finished one is still the last"
    said = [event["step"] for event in events(job, "checkpoint") if event["path"].endswith("-best.safetensors")]
    assert said == [1, 2]
    assert file.load(best).metadata["ss_steps"] == "2" and file.load(last).metadata["ss_steps"] == "5"
    assert holds(best, weights[2]) and holds(last, weights[5]) and not holds(best, weights[5])


def test_a_run_that_was_killed_knows_what_was_best(configure, losses, weights):
    job = command.create(configure(**EVERY, save=SAVE))
    losses[4] = None
    with pytest.raises(Ended):
        train(job.folder)
    losses[4] = 0.35
    train(job.folder)
    assert events(job, "started")[1]["step"] == 3
    assert file.load(job.folder / "tiny-best.safetensors").metadata["ss_steps"] == "2", "0.35 is worse than 0.3 was"
    assert holds(job.folder / "tiny-best.safetensors", weights[2])


@pytest.mark.proves("save.keep_best")
def test_it_changes_nothing_that_is_learnt_and_off_leaves_nothing(configure, losses, weights):
    found = []
    for keep in (True, False):
        job = command.create(configure(**EVERY, save={"keep_best": keep}))
        train(job.folder)
        found.append(weights[5])
        assert bool(list(job.folder.rglob("*-best*"))) == keep
    assert equal(*found)


def test_without_pictures_held_out_it_is_refused_and_its_room_is_reckoned(configure):
    with pytest.raises(SettingsError, match=r"save\.keep_best: .*validation\.share"):
        configure(save={"keep_best": True})
    config = configure(**EVERY, save=SAVE)
    plain = configure(**EVERY, save=SAVE | {"keep_best": False})
    saves = len(plan(config).saves)
    assert room(config, 100, 0, saves).files == room(plain, 100, 0, saves).files + 2
