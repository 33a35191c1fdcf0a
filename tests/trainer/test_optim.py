"""Optimisers go on bit for bit after a resume, learn, and take each of their settings."""

import io
from typing import get_args

import pytest
import torch

from settings.errors import SettingsError, check
from settings.section import settings
from trainer import optim
from trainer.config import ADAMS, DenoiserLora, OptimizerSettings, ScheduleSettings, TrainSettings
from trainer.lora import inject
from trainer.lora.sizes import Size
from trainer.schedule import schedule

NAMES = get_args(OptimizerSettings.model_fields["name"].annotation)
FINDING = ("prodigy", "dadapt_adam")  # their own step size
USED_BY = {
    "weight_decay": NAMES,
    "beta1": [*ADAMS.split("|"), "lion", "came"],
    "beta2": [*ADAMS.split("|"), "lion", "came"],
    "beta3": ["came", "ademamix"],
    "eps": ADAMS.split("|"),
    "momentum": ["sgd"],
    "nesterov": ["sgd"],
    "clip_threshold": ["adafactor", "came"],
    "d0": FINDING,
    "d_coef": ["prodigy"],
    "growth_rate": FINDING,
    "slow_weight": ["ademamix"],
}
OTHER = {"weight_decay": 1.0, "beta1": 0.5, "beta2": 0.9, "beta3": 0.9, "eps": 0.5, "momentum": 0.1, "nesterov": True,
         "clip_threshold": 0.01, "d0": 1e-3, "d_coef": 0.1, "growth_rate": 1.01, "slow_weight": 50.0}


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
    curve = schedule(ScheduleSettings(warmup=0.3), 12)
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


@pytest.mark.parametrize("name", NAMES)
def test_learns(name):
    rate = {"prodigy": 1.0, "dadapt_adam": 1.0, "lion": 0.005, "sgd": 0.005}.get(name, 0.01)
    params = weights()
    before = sum(weight.square().sum() for weight in params)
    train(build(name, params, (rate, rate)), params, range(150))
    assert sum(weight.square().sum() for weight in params) < before / 2


@pytest.mark.parametrize("name", NAMES)
def test_every_group_has_its_own_rate(name):
    params = weights()
    if name in FINDING:
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


def trained(name, **options):
    params = weights()
    rate = 1.0 if name in FINDING else 1e-2
    train(build(name, params, (rate, rate), **options), params, range(30))
    return params[0].detach()


@pytest.mark.parametrize("name, option", [(name, option) for option, users in USED_BY.items() for name in users])
@pytest.mark.proves(
    "optimizer.weight_decay", "optimizer.beta1", "optimizer.beta2", "optimizer.beta3", "optimizer.eps",
    "optimizer.momentum", "optimizer.nesterov", "optimizer.clip_threshold", "optimizer.d0", "optimizer.d_coef",
    "optimizer.growth_rate", "optimizer.slow_weight",
)
def test_options_reach_the_optimiser(name, option):
    assert not torch.equal(trained(name), trained(name, **{option: OTHER[option]}))


@pytest.mark.parametrize("option", USED_BY)
def test_a_setting_is_shown_for_the_optimisers_that_use_it(option):
    when = next(one.ui.when for one in settings(TrainSettings) if one.path == f"optimizer.{option}")
    assert set(when.removeprefix("optimizer.name=").split("|") if when else NAMES) == set(USED_BY[option])


def test_every_optimiser_has_its_size():
    assert set(optim.STATE) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_keeps_no_more_than_is_reckoned_with(name):
    params = [torch.nn.Parameter(torch.randn(64, 96))]
    optimizer = optim.optimizer(OptimizerSettings(name=name), [{"name": "denoiser", "params": params, "lr": 1e-3}])
    train(optimizer, params, range(2))
    kept = sum(value.nbytes for value in optimizer.state[params[0]].values() if isinstance(value, torch.Tensor))
    assert kept <= optim.STATE[name] * params[0].nbytes * 1.1


def test_schedule_free_answers_with_the_average_and_trains_on_untouched():
    params, calm = weights(), weights()
    optimizer, other = build("schedulefree_adamw", params), build("schedulefree_adamw", calm)
    for step in range(6):
        train(optimizer, params, [step])
        train(other, calm, [step])
        with optim.as_used(optimizer):
            # x = (y - (1 - beta1) z) / beta1: Defazio et al., equation 1 solved for the average.
            z, y = optimizer.state[params[0]]["z"], calm[0].detach()
            assert torch.allclose(params[0].detach(), (y - 0.1 * z) / 0.9, atol=1e-6)
        assert all(torch.equal(one, two) for one, two in zip(params, calm))
    assert not torch.equal(optimizer.state[params[0]]["z"], params[0])


def test_others_are_used_as_they_are():
    params = weights()
    before = params[0].detach().clone()
    with optim.as_used(build("adamw", params)):
        assert torch.equal(params[0], before)


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


def test_lora_plus_lets_the_second_matrix_learn_faster():
    """Hayou et al., arXiv 2402.12354: the rate of B is that of A times the ratio."""
    from trainer.beginning import of_rates

    part, chosen = torch.nn.Sequential(torch.nn.Linear(3, 3)), {"0": Size(2, 2.0)}
    down, up = inject.inject(part, inject.AdapterSpec("denoiser", chosen), seed=1)
    groups = of_rates("denoiser", part, DenoiserLora(learning_rate=1e-4, plus_ratio=16), chosen)
    assert [(group["name"], group["lr"]) for group in groups] == [("denoiser", 1e-4), ("denoiser B", 16e-4)]
    assert groups[0]["params"] == [down] and groups[1]["params"] == [up]
    assert len(of_rates("denoiser", part, DenoiserLora(), chosen)) == 1


def test_what_finds_its_own_rate_has_one_for_all(checked):
    for name in FINDING:
        with pytest.raises(SettingsError) as caught:
            checked(optimizer={"name": name}, lora={"denoiser": {"plus_ratio": 4}})
        assert "lora.denoiser.plus_ratio" in caught.value.problems


@pytest.fixture
def checked():
    return lambda **values: check(TrainSettings, values)
