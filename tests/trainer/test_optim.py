"""Optimisers go on bit for bit after a resume; schedules equal their closed forms and the ones that others use."""

import io
import math
import subprocess
import sys

import pytest
import torch

from settings.errors import SettingsError
from trainer import optim
from trainer.config import OptimizerSettings, ScheduleSettings

NAMES = ["adamw", "adamw8bit", "adafactor", "prodigy", "lion"]


def weights(seed=0, sizes=((96, 64), (64, 3, 3, 3), (7,))):
    generator = torch.Generator().manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(size, generator=generator)) for size in sizes]


def build(name, params, rates=(1e-3, 1e-3), **options):
    return optim.optimizer(OptimizerSettings(name=name, **options), [
        {"name": "denoiser", "params": params[:2], "lr": rates[0]},
        {"name": "text_encoder", "params": params[2:], "lr": rates[1]}])


def train(optimizer, params, steps, multiplier=lambda step: 1.0):
    """Steps towards zero with noise that depends on the step alone."""
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        for weight in params:
            weight.grad = weight.detach() + 0.1 * torch.randn(weight.shape, generator=generator)
        optim.set_learning_rates(optimizer, multiplier(step))
        optimizer.step()


@pytest.mark.parametrize("name", NAMES)
def test_goes_on_bit_for_bit_after_a_resume(name):
    curve = optim.schedule(ScheduleSettings(warmup=0.3), 12)
    straight = weights()
    train(build(name, straight), straight, range(12), curve)

    params = weights()
    first = build(name, params)
    train(first, params, range(5), curve)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    copies = [torch.nn.Parameter(weight.detach().clone()) for weight in params]
    second = build(name, copies)
    second.load_state_dict(torch.load(file, weights_only=True))
    train(second, copies, range(5, 12), curve)
    assert all(torch.equal(one, two) for one, two in zip(straight, copies))
    assert not torch.equal(straight[0], weights()[0])


@pytest.mark.parametrize("name, rate", [("adamw", 0.01), ("adamw8bit", 0.01), ("adafactor", 0.01), ("prodigy", 1.0),
                                        ("lion", 0.005)])
def test_learns(name, rate):
    params = weights()
    before = sum(weight.square().sum() for weight in params)
    train(build(name, params, (rate, rate)), params, range(150))
    assert sum(weight.square().sum() for weight in params) < before / 2


@pytest.mark.parametrize("name", NAMES)
def test_every_group_has_its_own_rate(name):
    params = weights()
    if name == "prodigy":
        with pytest.raises(SettingsError) as caught:
            build(name, params, (1.0, 0.5))
        assert "lora.text_encoder.learning_rate" in caught.value.problems
        return
    optimizer = build(name, params, (1e-3, 0.0), weight_decay=0.0)
    start = [weight.detach().clone() for weight in params]
    train(optimizer, params, range(2), lambda step: 0.5)
    assert optim.learning_rates(optimizer) == {"denoiser": 5e-4, "text_encoder": 0.0}
    assert not torch.equal(params[0], start[0])
    assert torch.equal(params[2], start[2])


def test_a_step_of_adafactor_is_as_large_as_asked_even_from_zero():
    """torch's own scales by the size of the weights, so a LoRA that starts at zero would hardly move."""
    weight = torch.nn.Parameter(torch.zeros(64, 64))
    weight.grad = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    group = {"name": "denoiser", "params": [weight], "lr": 1e-3}
    optimizer = optim.optimizer(OptimizerSettings(name="adafactor"), [group])
    optimizer.step()
    assert weight.detach().square().mean().sqrt() == pytest.approx(1e-3, rel=0.1)


def test_prodigy_reports_the_rate_that_it_found():
    params = weights()
    optimizer = build("prodigy", params, (1.0, 1.0))
    train(optimizer, params, range(100), lambda step: 0.5)
    found = optim.learning_rates(optimizer)
    assert found["denoiser"] == found["text_encoder"] == optimizer.param_groups[0]["d"] * 0.5
    assert found["denoiser"] > 1e-5  # it began at 1e-6


@pytest.mark.parametrize("name", ["adamw", "adamw8bit", "prodigy", "lion"])
@pytest.mark.parametrize("option, other", [("beta1", 0.5), ("beta2", 0.9), ("weight_decay", 1.0)])
def test_options_reach_the_optimiser(name, option, other):
    results = []
    for options in ({}, {option: other}):
        params = weights()
        rate = 1.0 if name == "prodigy" else 1e-2
        train(build(name, params, (rate, rate), **options), params, range(30))
        results.append(params[0].detach())
    assert not torch.equal(*results)


def test_adamw_is_fused_and_equals_its_closed_form():
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    weight.grad = torch.tensor([0.5, 0.25])
    group = {"name": "denoiser", "params": [weight], "lr": 0.01}
    optimizer = optim.optimizer(OptimizerSettings(weight_decay=0.1), [group])
    assert optimizer.defaults["fused"]
    optimizer.step()
    # The first step of AdamW: decay, then the sign of the gradient times the rate.
    assert torch.allclose(weight.detach(), torch.tensor([1.0, -2.0]) * (1 - 0.01 * 0.1) - 0.01, atol=1e-6)


def test_8_bit_that_can_not_work_is_said_with_the_way_out(monkeypatch):
    def broken(kind, device):
        raise RuntimeError("no kernel for this device")

    monkeypatch.setattr(optim, "_try_one_step", broken)
    with pytest.raises(SettingsError) as caught:
        build("adamw8bit", weights())
    assert "choose adamw" in caught.value.problems["optimizer.name"]


def test_8_bit_keeps_its_state_in_8_bits():
    params = weights()
    optimizer = build("adamw8bit", params)
    train(optimizer, params, range(1))
    assert optimizer.state[params[0]]["state1"].dtype == torch.uint8


THEIRS = {"linear": "linear", "cosine": "cosine", "cosine_restarts": "cosine_with_restarts", "polynomial": "polynomial"}


@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.33])
@pytest.mark.parametrize("name", THEIRS)
def test_schedules_equal_those_of_diffusers(name, warmup):
    from diffusers.optimization import get_scheduler

    total, settings = 61, ScheduleSettings(name=name, warmup=warmup, cycles=3, power=2.0, minimum=1e-7)
    ours = optim.schedule(settings, total)
    reference = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = get_scheduler(THEIRS[name], reference, num_warmup_steps=optim.warmup_steps(settings, total),
                           num_training_steps=total, num_cycles=3, power=2.0)
    for step in range(total + 1):  # beyond the end diffusers' cosine rises again; ours stays
        assert ours(step) == pytest.approx(reference.param_groups[0]["lr"], abs=2e-7)
        reference.step()
        theirs.step()


def test_constant_equals_that_of_diffusers():
    from diffusers.optimization import get_scheduler

    ours = optim.schedule(ScheduleSettings(name="constant", warmup=0.2, minimum=0.5), 20)
    reference = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = get_scheduler("constant_with_warmup", reference, num_warmup_steps=4)
    for step in range(25):
        assert ours(step) == pytest.approx(reference.param_groups[0]["lr"])
        reference.step()
        theirs.step()


def test_cosine_with_a_minimum_equals_that_of_transformers():
    from transformers.optimization import get_scheduler

    settings = ScheduleSettings(name="cosine", warmup=0.1, minimum=0.2)
    ours = optim.schedule(settings, 50)
    reference = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = get_scheduler("cosine_with_min_lr", reference, num_warmup_steps=5, num_training_steps=50,
                           scheduler_specific_kwargs={"min_lr_rate": 0.2})
    for step in range(51):
        assert ours(step) == pytest.approx(reference.param_groups[0]["lr"])
        reference.step()
        theirs.step()


@pytest.mark.parametrize("name, expected", [
    ("constant", lambda p: 1.0),
    ("linear", lambda p: 0.1 + 0.9 * (1 - p)),
    ("cosine", lambda p: 0.1 + 0.9 * (1 + math.cos(math.pi * p)) / 2),
    ("cosine_restarts", lambda p: 0.1 + (0.9 * (1 + math.cos(math.pi * (2 * p % 1))) / 2 if p < 1 else 0)),
    ("polynomial", lambda p: 0.1 + 0.9 * (1 - p) ** 3),
])
def test_schedules_equal_their_closed_forms(name, expected):
    curve = optim.schedule(ScheduleSettings(name=name, warmup=0.25, cycles=2, power=3.0, minimum=0.1), 40)
    assert [curve(step) for step in range(10)] == pytest.approx([step / 10 for step in range(10)])
    for step in range(10, 45):
        assert curve(step) == pytest.approx(expected(min(1.0, (step - 10) / 30)))


@pytest.mark.parametrize("name", ["constant", *THEIRS])
@pytest.mark.parametrize("total, warmup", [(1, 0.0), (1, 1.0), (2, 1.0), (3, 0.9)])
def test_the_shortest_runs_have_rates_between_0_and_1(name, total, warmup):
    curve = optim.schedule(ScheduleSettings(name=name, warmup=warmup), total)
    assert all(0.0 <= curve(step) <= 1.0 for step in range(total + 2))


def test_the_curve_needs_no_torch():
    code = ("import sys; from trainer import optim; from trainer.config import ScheduleSettings\n"
            "optim.schedule(ScheduleSettings(), 10)(3); sys.exit('torch' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
