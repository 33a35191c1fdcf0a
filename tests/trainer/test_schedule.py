"""Schedules equal their closed forms and the ones that others use."""

import math
import subprocess
import sys
from typing import get_args

import pytest
import torch

from trainer.config import ScheduleSettings
from trainer.schedule import schedule, warmup_steps

THEIRS = {"linear": "linear", "cosine": "cosine", "cosine_restarts": "cosine_with_restarts", "polynomial": "polynomial"}


@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.33])
@pytest.mark.parametrize("name", THEIRS)
def test_schedules_equal_those_of_diffusers(name, warmup):
    from diffusers.optimization import get_scheduler

    total, settings = 61, ScheduleSettings(name=name, warmup=warmup, cycles=3, power=2.0, minimum=1e-7)
    ours = schedule(settings, total)
    reference = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = get_scheduler(THEIRS[name], reference, num_warmup_steps=warmup_steps(settings, total),
                           num_training_steps=total, num_cycles=3, power=2.0)
    for step in range(total + 1):  # beyond the end diffusers' cosine rises again; ours stays
        assert ours(step) == pytest.approx(reference.param_groups[0]["lr"], abs=2e-7)
        reference.step()
        theirs.step()


def test_constant_equals_that_of_diffusers():
    from diffusers.optimization import get_scheduler

    ours = schedule(ScheduleSettings(name="constant", warmup=0.2, minimum=0.5), 20)
    reference = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = get_scheduler("constant_with_warmup", reference, num_warmup_steps=4)
    for step in range(25):
        assert ours(step) == pytest.approx(reference.param_groups[0]["lr"])
        reference.step()
        theirs.step()


def test_cosine_with_a_minimum_equals_that_of_transformers():
    from transformers.optimization import get_scheduler

    settings = ScheduleSettings(name="cosine", warmup=0.1, minimum=0.2)
    ours = schedule(settings, 50)
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
    ("rex", lambda p: 0.1 + 0.9 * (1 - p) / (0.5 + 0.5 * (1 - p))),
    ("warmup_stable_decay", lambda p: 1.0 if p < 0.8 else 0.1 + 0.9 * (1 + math.cos(math.pi * (p - 0.8) / 0.2)) / 2),
    ("inverse_sqrt", lambda p: 0.1 + 0.9 * math.sqrt(10 / (10 + 30 * p))),
])
@pytest.mark.proves("schedule.name", "schedule.warmup", "schedule.cycles", "schedule.power", "schedule.minimum")
def test_schedules_equal_their_closed_forms(name, expected):
    curve = schedule(ScheduleSettings(name=name, warmup=0.25, cycles=2, power=3.0, minimum=0.1), 40)
    assert [curve(step) for step in range(10)] == pytest.approx([step / 10 for step in range(10)])
    for step in range(10, 45):
        assert curve(step) == pytest.approx(expected(min(1.0, (step - 10) / 30)))


@pytest.mark.parametrize("name", get_args(ScheduleSettings.model_fields["name"].annotation))
@pytest.mark.parametrize("total, warmup", [(1, 0.0), (1, 1.0), (2, 1.0), (3, 0.9)])
def test_the_shortest_runs_have_rates_between_0_and_1(name, total, warmup):
    curve = schedule(ScheduleSettings(name=name, warmup=warmup), total)
    assert all(0.0 <= curve(step) <= 1.0 for step in range(total + 2))


def test_the_curve_needs_no_torch():
    code = ("import sys; from trainer.schedule import schedule; from trainer.config import ScheduleSettings\n"
            "schedule(ScheduleSettings(), 10)(3); sys.exit('torch' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_inverse_root_equals_that_of_transformers():
    from transformers.optimization import get_inverse_sqrt_schedule

    ours = schedule(ScheduleSettings(name="inverse_sqrt", warmup=0.1), 50)
    reference = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = get_inverse_sqrt_schedule(reference, num_warmup_steps=5)
    for step in range(51):
        assert ours(step) == pytest.approx(reference.param_groups[0]["lr"])
        reference.step()
        theirs.step()


@pytest.mark.proves("schedule.decay")
def test_warm_up_stable_decay_equals_that_of_transformers():
    from transformers.optimization import get_wsd_schedule

    ours = schedule(ScheduleSettings(name="warmup_stable_decay", warmup=0.1, decay=0.4, minimum=0.2), 50)
    reference = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = get_wsd_schedule(reference, num_warmup_steps=5, num_stable_steps=27, num_decay_steps=18, min_lr_ratio=0.2)
    for step in range(51):  # theirs begins the warm-up at the minimum
        assert step < 5 or ours(step) == pytest.approx(reference.param_groups[0]["lr"])
        reference.step()
        theirs.step()
