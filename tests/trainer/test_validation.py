"""The validation split: which pictures are held out, that they are never trained on, and a loss without chance."""

import pytest
import torch

from dataset import seen
from dataset.holdout import held_out
from dataset.scan import scan
from dataset.settings import ValidationSettings
from tests.trainer.conftest import draw
from tests.trainer.reading import equal, events, losses, newest
from trainer import command
from trainer.families import families
from trainer.loop import train
from trainer.plan import plan
from trainer.run import Run


def looked(job) -> list[tuple[int, float]]:
    return [(event["step"], event["loss"]) for event in events(job, "validation")]


@pytest.mark.proves("validation.share", "validation.seed")
def test_the_same_pictures_are_held_out_wherever_they_lie(tmp_path):
    one, two = (draw(tmp_path / name / "set", sizes=[(64, 64)] * 20) for name in ("a", "b"))
    from dataset.settings import Folder

    found = [held_out(ValidationSettings(share=0.25), scan([Folder(path=str(path))])) for path in (one, two)]
    names = [[item.path.name for item in held] for _, held in found]
    assert names[0] == names[1] and len(names[0]) == 5
    assert all(len(rest.items) == 15 and not {i.path for i in held} & {i.path for i in rest.items}
               for rest, held in found)
    other = held_out(ValidationSettings(share=0.25, seed=2), scan([Folder(path=str(one))]))[1]
    assert [item.path.name for item in other] != names[0]


def test_one_is_always_left_to_train_on_and_regularisation_is_not_touched(tmp_path):
    from dataset.settings import Folder

    few, reg = draw(tmp_path / "few", sizes=[(64, 64)] * 2), draw(tmp_path / "reg", sizes=[(64, 64)] * 3)
    data = scan([Folder(path=str(few)), Folder(path=str(reg), regularisation=True)])
    rest, held = held_out(ValidationSettings(share=0.01), data)
    assert len(held) == 1 and len(rest.training) == 1 and len(rest.regularisation) == 3
    assert held_out(ValidationSettings(), data) == (data, [])


def test_what_is_held_out_is_never_trained_on_and_the_plan_says_so(configure, monkeypatch):
    config = configure(validation={"share": 0.34}, run={"epochs": 3})
    planned = plan(config)
    assert (planned.pictures, planned.held_out, planned.validations) == (4, 2, (0, 4, 8, 12))
    assert ("Held out", "2, looked at 4 times") in planned.table
    names = {item.path.name for item in held_out(config.validation, scan(config.dataset.folders))[1]}
    trained = set()
    losses = Run.losses
    monkeypatch.setattr(
        Run, "losses", lambda self, samples, turn: (trained.update(s.item.path.name for s in samples),
                                                    losses(self, samples, turn))[1]
    )
    job = command.create(config)
    train(job.folder)
    assert len(trained) == 4 and not trained & names
    assert [step for step, _ in looked(job)] == [0, 4, 8, 12]
    data = scan(config.dataset.folders)
    for item in data.items:
        shown = seen.seen(item.path, seen.showing(config.model_dump()), data)
        assert (shown.times == 0 and "held out" in shown.reason) == (item.path.name in names)
        assert shown.steps == (0 if item.path.name in names else 12)


@pytest.mark.proves("validation.every_steps", "validation.every_epochs")
def test_looking_changes_nothing_and_says_the_same_twice(configure, monkeypatch):
    """With dropout and a text encoder that learns, so that there is something to disturb."""
    lora = {"denoiser": {"rank": 2, "dropout": 0.3}, "text_encoder": {"train": True, "rank": 2, "dropout": 0.2}}
    sections = {"lora": lora, "captions": {"dropout": 0.4}, "dataset": {"flip": True}}
    often = command.create(configure(validation={"share": 0.3, "every_steps": 1}, **sections))
    seldom = command.create(configure(validation={"share": 0.3, "every_epochs": 0}, **sections))
    train(often.folder)
    train(seldom.folder)
    assert equal(newest(often).adapters, newest(seldom).adapters) and losses(often) == losses(seldom)
    assert len(looked(often)) == 5 and len(looked(seldom)) == 2
    assert looked(often)[0] == looked(seldom)[0] and looked(often)[-1] == looked(seldom)[-1]
    assert looked(often)[0][1] != looked(often)[-1][1], "what was learnt shows"


def test_the_number_does_not_follow_what_is_changed_about_the_loss(configure):
    jobs = [command.create(configure(validation={"share": 0.3}, noise=noise, run={"seed": seed}))
            for noise, seed in (({}, 42), ({"loss": "huber", "min_snr_gamma": 5.0, "noise_offset": 0.1}, 7))]
    for job in jobs:
        train(job.folder)
    assert looked(jobs[0])[0] == looked(jobs[1])[0], "before the first step both are the base model"
    assert losses(jobs[0]) != losses(jobs[1])


def test_equals_the_mean_error_over_even_timesteps(configure, monkeypatch):
    nothing = lambda self, noisy, timesteps, text: torch.zeros_like(noisy)  # noqa: E731
    monkeypatch.setattr(families()["sd15"], "predict", nothing)
    job = command.create(configure(validation={"share": 0.2, "draws": 8}))
    with pytest.raises(RuntimeError):  # nothing learns where nothing is predicted
        train(job.folder)
    step, loss = looked(job)[0]
    assert step == 0 and loss == pytest.approx(1.0, abs=0.1), "noise has a mean square of one"


def test_without_a_split_nothing_is_looked_at(configure):
    job = command.create(configure())
    train(job.folder)
    assert not looked(job) and plan(configure()).validations == ()


@pytest.mark.proves("dataset.more_resolutions")
def test_each_resolution_that_is_trained_is_looked_at(configure):
    sections = {"validation": {"share": 0.3, "draws": 2}, "run": {"max_steps": 1}}
    both = command.create(configure(dataset={"more_resolutions": [64]}, **sections))
    train(both.folder)
    for event in events(both, "validation"):
        assert list(event["sizes"]) == ["32", "64"] and event["sizes"]["64"] != event["sizes"]["32"]
        assert event["loss"] == pytest.approx(sum(event["sizes"].values()) / 2, rel=1e-6)
    for side, first in events(both, "validation")[0]["sizes"].items():
        alone = command.create(configure(dataset={"resolution": int(side)}, **sections))
        train(alone.folder)
        assert looked(alone)[0] == (0, first) and "sizes" not in events(alone, "validation")[0]
