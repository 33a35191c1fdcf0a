"""The moving average of the weights: its closed form, and the file that it becomes."""

import pytest
import torch
from safetensors.torch import load_file

from tests.trainer.reading import newest
from trainer import command
from trainer.ema import Average
from trainer.loop import train


def test_equals_its_closed_form_in_float64():
    """A weighted sum of all weights so far, the start among them; the weights add up to one."""
    history = [torch.randn(5, generator=torch.Generator().manual_seed(step)) for step in range(30)]
    average = Average(0.8, {"w": history[0]})
    for updates, weight in enumerate(history[1:], 1):
        average.follow({"w": weight}, updates)
    decays = [min(0.8, (1 + n) / (10 + n)) for n in range(1, 30)]
    shares = [1 - decay for decay in decays]
    expected, left = torch.zeros(5, dtype=torch.float64), 1.0
    for weight, share, decay in zip(reversed(history[1:]), reversed(shares), reversed(decays)):
        expected += left * share * weight.double()
        left *= decay
    expected += left * history[0].double()
    assert torch.allclose(average.weights["w"].double(), expected, atol=1e-6)
    assert decays[0] == pytest.approx(2 / 11) and decays[-1] == pytest.approx(30 / 39)


def test_follows_and_never_shares_memory():
    weight = torch.zeros(3)
    average = Average(0.5, {"w": weight})
    weight += 1
    assert not average.weights["w"].any()


@pytest.mark.proves("optimizer.ema_decay")
def test_both_are_saved_checked_and_rotated_together(configure):
    precise = {"precision": "float32", "every_steps": 2, "keep_last": 1}
    job = command.create(configure(optimizer={"ema_decay": 0.9}, save=precise))
    train(job.folder)
    assert sorted(path.name for path in job.checkpoints.iterdir()) == [
        "tiny-step00000004-ema.safetensors",
        "tiny-step00000004.safetensors",
    ]
    lora, smooth = (load_file(job.folder / f"{name}.safetensors") for name in ("tiny", "tiny-ema"))
    assert lora.keys() == smooth.keys()
    kept = newest(job)
    ups = {name: tensor for name, tensor in kept.average.items() if "lora_B" in name}
    assert all(tensor.any() for tensor in ups.values())
    assert any(not torch.equal(tensor, kept.adapters[name]) for name, tensor in ups.items())
    ours = sorted(float(t.double().square().sum()) for t in kept.average.values())
    theirs = sorted(float(t.double().square().sum()) for name, t in smooth.items() if not name.endswith("alpha"))
    assert ours == pytest.approx(theirs)


def test_without_it_nothing_more_is_written(configure):
    job = command.create(configure())
    train(job.folder)
    assert not list(job.folder.rglob("*-ema*")) and not newest(job).average


def test_a_schedule_free_run_saves_the_average_that_it_answers_with(configure):
    job = command.create(configure(
        optimizer={"name": "schedulefree_adamw"}, schedule={"name": "constant"}, save={"precision": "float32"}
    ))
    train(job.folder)
    saved = load_file(job.folder / "tiny.safetensors")
    trained = newest(job)
    expected = {
        name: weight.double() + (1 - 1 / 0.9) * (trained.optimizer["state"][name]["z"].double() - weight.double())
        for name, weight in trained.adapters.items()
    }
    ours = sorted(float(t.square().sum()) for t in expected.values())
    theirs = sorted(float(t.double().square().sum()) for name, t in saved.items() if not name.endswith("alpha"))
    raw = sorted(float(t.double().square().sum()) for t in trained.adapters.values())
    assert ours == pytest.approx(theirs, rel=1e-4) and ours != pytest.approx(raw, rel=1e-4)
