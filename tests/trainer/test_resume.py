"""A run that is killed and goes on is, bit for bit, the run that was left alone."""

import os
import random
from typing import get_args

import numpy as np
import pytest
import torch

from jobs.folder import Job
from settings.errors import SettingsError
from tests.trainer.forks import Forks
from tests.trainer.reading import equal, events, newest
from trainer import command, state
from trainer.config import OptimizerSettings
from trainer.loop import train
from trainer.run import Run

pytestmark = pytest.mark.long
LEARNS_TO_READ = {"denoiser": {"rank": 2, "dropout": 0.3}, "text_encoder": {"train": True, "rank": 2, "dropout": 0.2}}
CASES = {
    "unet": {"preview": {"prompts": ["sks"], "steps": 2, "every_steps": 1}},
    "text encoder, dropout, long captions with weights": {
        "lora": LEARNS_TO_READ,
        "captions": {"dropout": 0.3, "length": 150, "clip_skip": 2, "weighted": True, "prefix": "(sks:1.3)"},
    },
    "accumulation, buckets, flips, shuffled captions": {
        "run": {"epochs": 2, "batch_size": 2, "gradient_accumulation": 2},
        "dataset": {"flip": True},
        "captions": {"shuffle": True},
        "schedule": {"warmup": 0.3},
    },
    "random windows, colours and sides": {
        "dataset": {"crop": "random", "colour_jitter": 0.5, "flip": True, "bucket_step": 16},
    },
    "variants at two resolutions": {
        "dataset": {"crop": "random", "colour_jitter": 0.3, "variants": 2, "more_resolutions": [48], "bucket_step": 16},
    },
    "fp16, dropout, checkpointing, nothing cached": {
        "accelerate": {"mixed_precision": "fp16"},
        "lora": {"denoiser": {"rank": 2, "dropout": 0.3}},
        "memory": {"gradient_checkpointing": True, "cache_latents": False, "cache_captions": False},
    },
    "adamw8bit": {"optimizer": {"name": "adamw8bit"}},
    "adafactor": {"optimizer": {"name": "adafactor"}},
    "prodigy": {"optimizer": {"name": "prodigy"}, "lora": {"denoiser": {"learning_rate": 1.0}}},
    "every kind of noise": {
        "noise": {
            "noise_offset": 0.1,
            "noise_offset_adaptive": 0.1,
            "multires_iterations": 3,
            "input_perturbation": 0.1,
            "loss": "huber",
            "min_snr_gamma": 5.0,
            "min_snr_soft": True,
            "timestep_max": 900,
        },
    },
    "new words alone, in fp16": {
        "words": {"new": [{"word": "sks", "vectors": 2}, "dog"], "keep_norm": True},
        "lora": {"denoiser": {"train": False}},
        "accelerate": {"mixed_precision": "fp16"},
        "memory": {"gradient_checkpointing": True},
    },
    "new words that rest in the end, LoRA, text encoder": {
        "words": {"new": ["sks"], "stop_at": 0.6},
        "lora": LEARNS_TO_READ,
        "optimizer": {"ema_decay": 0.9},
    },
    "DoRA with a moving average, LoRA+": {
        "optimizer": {"ema_decay": 0.9},
        "lora": {"kind": "dora", "denoiser": {"rank": 2, "layers": "all", "plus_ratio": 4, "dropout": 0.2},
                 "text_encoder": {"train": True, "rank": 2}},
    },
    "all weights, moving average": {
        "optimizer": {"ema_decay": 0.9},
        "full": {"train": True, "learning_rate": 1e-3},
        "lora": {"denoiser": {"train": False}},
    },
    "class images": {"prior": {"kind": "images", "class_prompt": "a dog", "images": 3, "steps": 1}},
    "the model's own answer": {"prior": {"kind": "model", "class_prompt": "a dog"}, "lora": LEARNS_TO_READ},
    "the class word": {
        "prior": {"kind": "class_word", "class_word": "dog", "trigger": "sks"},
        "lora": {"denoiser": {"rank": 2, "dropout": 0.3}},
        "captions": {"shuffle": True, "dropout": 0.3},
    },
    "moving average, LoRA+": {
        "optimizer": {"ema_decay": 0.9},
        "lora": {"denoiser": {"rank": 2, "plus_ratio": 4}, "text_encoder": {"train": True, "rank": 2, "plus_ratio": 8}},
    },
}
CASES |= {
    name: {"optimizer": {"name": name}}
    for name in get_args(OptimizerSettings.model_fields["name"].annotation)
    if name not in ("adamw", *CASES)
}
CASES["dadapt_adam"]["lora"] = CASES["prodigy"]["lora"]
CASES["ranks and rates by block, rank and layer dropout, max norm"] = {
    "memory": {"gradient_checkpointing": True},
    "optimizer": {"ema_decay": 0.9},
    "lora": {"max_norm": 0.002, "denoiser": {
        "rank": 4, "layers": "all", "conv_rank": 2, "plus_ratio": 4, "rank_dropout": 0.3, "module_dropout": 0.2,
        "blocks": [{"block": "down_blocks", "rank": 2, "rate": 0.5}, {"block": "mid_block", "rank": 0}],
    }},
}
CASES["schedulefree_adamw"] |= {"schedule": {"name": "constant"}, "preview": CASES["unet"]["preview"]}


@pytest.fixture(scope="module")
def forks():
    if not hasattr(os, "fork"):
        pytest.skip("this system can't fork")
    program = Forks()
    yield program
    program.end()


def told(job: Job) -> dict[int, tuple]:
    """What was last said of each step; one that is done again says the same."""
    return {event["step"]: (event["loss"], event["loss_average"], event["lrs"]) for event in events(job, "step")}


def same(job: Job, other: Job) -> bool:
    one, two = newest(job), newest(other)
    learnt = any(tensor.any() for name, tensor in one.adapters.items() if "lora_A" not in name)
    parts = ("adapters", "average", "optimizer", "scaler")
    whole = all(equal(getattr(one, part), getattr(two, part)) for part in parts)
    return learnt and whole and told(job) == told(other)


@pytest.mark.parametrize("case", CASES)
def test_killed_and_gone_on_is_the_same_as_left_alone(configure, forks, case):
    if "8bit" in case:
        pytest.importorskip("bitsandbytes")
    config = configure(**{"run": {"epochs": 1}, "save": {"every_steps": 2}} | CASES[case])
    straight, killed = command.create(config), command.create(config)
    code = forks.train(straight.folder)
    if code and "optimizer.name" in straight.last_event["cause"]:
        pytest.skip(straight.last_event["cause"])
    assert code == 0, straight.log_path.read_text()
    assert forks.train(killed.folder, kill=3) == -9 and newest(killed).position["step"] == 2
    assert forks.train(killed.folder) == 0, killed.log_path.read_text()
    assert events(killed, "started")[1]["step"] == 2, "it went on, and did not begin again"
    assert same(killed, straight)
    assert {event["path"] for event in events(killed, "sample")} == {
        event["path"] for event in events(straight, "sample")
    }


def test_killed_again_and_again(configure, forks):
    config = configure(save={"every_steps": 1}, lora=LEARNS_TO_READ)
    straight, killed = command.create(config), command.create(config)
    assert forks.train(straight.folder) == 0
    for step in (1, 2, 3, 4, 5):
        assert forks.train(killed.folder, kill=step) == -9
    assert forks.train(killed.folder) == 0 and same(killed, straight)


def test_no_global_generator_matters_or_is_moved(configure, monkeypatch):
    config = configure(lora=LEARNS_TO_READ, dataset={"flip": True}, captions={"shuffle": True, "dropout": 0.3})
    calm, disturbed = command.create(config), command.create(config)
    train(calm.folder)
    step, chance = Run.one_step, np.random.default_rng(1)

    def disturb(self):
        for draw in (torch.rand, np.random.rand):
            draw(int(chance.integers(1, 50)))
        random.seed(int(chance.integers(1000)))
        before = torch.get_rng_state(), random.getstate(), np.random.get_state()[2]
        values = step(self)
        assert equal(before, (torch.get_rng_state(), random.getstate(), np.random.get_state()[2]))
        return values

    monkeypatch.setattr(Run, "one_step", disturb)
    train(disturbed.folder)
    assert same(disturbed, calm)


def test_dropout_differs_from_step_to_step_and_follows_the_seed(configure):
    lora = {"denoiser": {"rank": 4, "dropout": 0.5}}
    runs = [command.create(configure(lora=lora, run={"seed": seed})) for seed in (1, 1, 2)]
    for job in runs:
        train(job.folder)
    assert same(runs[0], runs[1]) and not same(runs[0], runs[2])


def test_more_steps_are_the_longer_run(configure):
    """With a constant rate, which does not depend on the length, an extended run is the run that was long at once."""
    config = configure(schedule={"name": "constant"})
    longer = command.create(configure(schedule={"name": "constant"}, run={"epochs": 2}))
    train(longer.folder)
    job = command.create(config)
    train(job.folder)
    assert job.state() == "finished"
    command.extend(job, 2)
    train(job.folder)
    assert same(job, longer) and job.last_event["steps"] == 12
    assert events(job, "changed")[0]["settings"] == {"run.epochs": ["1", "2"]}
    assert any("extended from 6 to 12 steps" in event["message"] for event in events(job, "warning"))
    with pytest.raises(SettingsError, match="must be more than 2"):
        command.extend(job, 2)


@pytest.mark.parametrize("source", ["job", "file", "job without states"])
@pytest.mark.proves("lora.weights")
def test_a_new_run_that_trains_on_from_the_weights_of_another(configure, monkeypatch, source):
    first = command.create(configure(save={"precision": "float32"}))
    train(first.folder)
    learnt = newest(first).adapters
    weights = first.folder / "tiny.safetensors" if source == "file" else first.folder
    if source == "job without states":
        (first.folder / "state").rename(first.folder / "moved")
    seen = []
    step = Run.one_step
    monkeypatch.setattr(
        Run, "one_step", lambda self: (seen.append({n: t.clone() for n, t in self.adapters.items()}), step(self))[1]
    )
    second = command.create(configure(lora={"weights": str(weights), "denoiser": {"learning_rate": 1e-5}}))
    train(second.folder)
    assert all(torch.allclose(seen[0][name], learnt[name], atol=1e-6) for name in learnt)
    assert events(second, "started")[0]["step"] == 0 and second.state() == "finished"
    seen.clear()
    own = newest(second).adapters
    first.folder.rename(first.folder.with_name("moved away"))
    command.extend(second, 2)
    train(second.folder)
    assert equal(seen[0], own) and not equal(own, learnt), "resumed, it goes on from its own weights"


def test_weights_that_do_not_fit_are_named_before_training(configure, tmp_path):
    first = command.create(configure())
    train(first.folder)
    for changed in ({"rank": 2}, {"rank": 2, "layers": "all"}):
        job = command.create(configure(lora={"weights": str(first.folder), "denoiser": changed}))
        with pytest.raises(SettingsError, match=r"lora\.weights"):
            train(job.folder)
    with pytest.raises(SettingsError, match="there is no"):
        command.create(configure(lora={"weights": str(tmp_path / "gone.safetensors")}))


def test_an_optimiser_is_kept_by_name():
    weights = [torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(3))]
    for weight in weights:
        weight.grad = torch.ones_like(weight)
    adam = torch.optim.AdamW([{"params": weights[:1], "name": "a"}, {"params": weights[1:], "name": "b"}])
    adam.step()
    kept = state.named(adam.state_dict(), ["one", "two"])
    assert set(kept["state"]) == {"one", "two"} and kept["param_groups"][1]["params"] == ["two"]
    assert equal(state.numbered(kept, ["one", "two"]), adam.state_dict())
    assert equal(state.numbered(adam.state_dict(), ["one", "two"]), adam.state_dict()), "as older states have it"
    other = state.numbered(kept, ["two", "one"])
    assert equal(other["state"][0], adam.state_dict()["state"][1]), "layers in another order"
