"""A base model in 8 or 4 bits: what is made small, that it trains nearly the same, goes on to the bit, and its file is
an ordinary one."""

import sys

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from settings import toml
from settings.errors import SettingsError
from tests.trainer.reading import equal, events, losses, newest
from trainer import command
from trainer.base_model.models import fitting
from trainer.base_model.quantise import quantise
from trainer.families import families
from trainer.loop import train

bitsandbytes = pytest.importorskip("bitsandbytes")
KINDS = {"8bit": bitsandbytes.nn.Linear8bitLt, "4bit": bitsandbytes.nn.Linear4bit}


@pytest.fixture
def denoiser(tiny):
    family = families()["sd15"]()
    return family.load(fitting(str(tiny), "sd15", False), torch.float32)["denoiser"]


@pytest.mark.parametrize("precision", KINDS)
def test_the_layers_of_the_blocks_are_made_small_and_nothing_else(denoiser, precision):
    plain = {name: layer.weight.numel() for name, layer in denoiser.named_modules() if isinstance(layer, nn.Linear)}
    count = quantise(denoiser, precision, torch.float32)
    denoiser.to("cpu")
    small = {name for name, layer in denoiser.named_modules() if type(layer) is KINDS[precision]}
    assert len(small) == count and all("block" in name for name in small)
    assert {name for name in plain if name.startswith("time_embedding")}.isdisjoint(small)
    left = [name for name, layer in denoiser.named_modules() if type(layer) is nn.Linear]
    assert set(left) | small == plain.keys() and not any("attn" in name for name in left)
    for name in small:
        weight = denoiser.get_submodule(name).weight
        assert weight.nbytes <= plain[name] * (1 if precision == "8bit" else 0.5) and not weight.requires_grad


@pytest.mark.parametrize("precision, near", [("8bit", 0.02), ("4bit", 0.2)])
def test_the_answer_is_nearly_the_same(denoiser, precision, near):
    random = torch.Generator().manual_seed(0)
    noisy, words = torch.randn(2, 4, 8, 8, generator=random), torch.randn(2, 77, 32, generator=random)
    inputs = noisy, torch.tensor([10, 900]), words
    with torch.no_grad():
        exact = denoiser(*inputs).sample
        quantise(denoiser, precision, torch.float32)
        found = denoiser.to("cpu")(*inputs).sample
    away = (found - exact).norm() / exact.norm()
    assert 0 < away < near


@pytest.mark.parametrize("precision", KINDS)
@pytest.mark.proves("memory.base_precision")
def test_a_run_learns_nearly_the_same_and_goes_on_to_the_bit(configure, precision):
    def run(kept: str, **sections):
        job = command.create(configure(memory={"base_precision": kept, "gradient_checkpointing": True}, **sections))
        train(job.folder)
        return job

    sections = {"save": {"every_steps": 3, "precision": "float32"}, "preview": {"prompts": ["sks"], "steps": 2},
                "schedule": {"name": "constant"}}  # fmt: skip
    plain, small = run("16bit", **sections), run(precision, **sections)
    assert losses(small) == pytest.approx(losses(plain), rel=0.05) and losses(small) != losses(plain)
    assert all(tensor.dtype == torch.float32 for tensor in newest(small).adapters.values())
    assert any(tensor.any() for name, tensor in newest(small).adapters.items() if "lora_B" in name)
    one, two = (load_file(job.folder / "tiny.safetensors") for job in (plain, small))
    assert one.keys() == two.keys() and all(one[key].shape == two[key].shape for key in one)
    assert len(events(small, "sample")) == len(events(plain, "sample"))
    longer = run(precision, **sections, run={"epochs": 2})
    command.extend(small, 2)
    train(small.folder)
    assert equal(newest(small).adapters, newest(longer).adapters)


def test_another_precision_would_be_another_run(configure):
    job = command.create(configure())
    train(job.folder)
    other = configure(memory={"base_precision": "8bit"}, run={"epochs": 2})
    job.config_path.write_text(toml.dumps(other), encoding="utf-8")
    with pytest.raises(SettingsError, match=r"memory\.base_precision"):
        train(job.folder)


def test_a_machine_without_the_library_is_told(denoiser, monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(SettingsError, match="choose 16bit"):
        quantise(denoiser, "4bit", torch.float32)
