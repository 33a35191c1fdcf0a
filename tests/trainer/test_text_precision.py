"""Frozen text encoders in 8 or 4 bits: they say nearly the same, and what they said is kept apart."""

import pytest
import torch
from torch import nn

from settings.errors import SettingsError, check, warnings
from tests.models import tiny_sd3
from tests.trainer.reading import losses
from trainer import command
from trainer.base_model.models import find
from trainer.base_model.quantise import quantise
from trainer.beginning import load_family
from trainer.cache import fingerprint
from trainer.config import TrainSettings
from trainer.families import families
from trainer.loop import train
from trainer.needs import memory

bitsandbytes = pytest.importorskip("bitsandbytes")
SMALL = (bitsandbytes.nn.Linear8bitLt, bitsandbytes.nn.Linear4bit)


def sd3(**sections) -> TrainSettings:
    return check(TrainSettings, {"model": {"family": "sd3", "base": "someone/some-model"}, **sections})


@pytest.mark.parametrize("precision, near", [("8bit", 0.05), ("4bit", 0.35)])
def test_all_three_of_sd3_say_nearly_the_same(tmp_path, precision, near):
    """T5 casts what its last layer gets to the type of that layer's weight, which must not be that of bytes."""
    family = families()["sd3"]()
    parts = family.load(find(str(tiny_sd3(tmp_path / "sd3"))), torch.float32)
    prints = {}
    with torch.no_grad():
        exact = family.encode_captions(["a red dog"])
        for name in ("text_encoder", "text_encoder_2", "text_encoder_3"):
            prints[name] = fingerprint(parts[name])
            layers = sum(isinstance(layer, nn.Linear) for layer in parts[name].modules())
            assert 0 < quantise(parts[name], precision, torch.float32, "memory.text_precision") <= layers
            assert fingerprint(parts[name]) != prints[name], "captions of other bits are others in the cache"
            parts[name].to("cpu")
        found = family.encode_captions(["a red dog"])
    for key, wanted in exact.items():
        assert 0 < (found[key] - wanted).norm() / wanted.norm() < near


@pytest.mark.proves("memory.text_precision")
def test_a_run_with_it_reads_captions_anew_and_repeats_itself(configure):
    def run(precision: str) -> list[float]:
        job = command.create(configure(memory={"text_precision": precision}, run={"max_steps": 3}))
        train(job.folder)
        return losses(job)

    whole, small = run("16bit"), run("4bit")
    assert small != whole and small == pytest.approx(whole, rel=0.05)
    assert run("4bit") == small and run("16bit") == whole, "each finds its own in the cache"


class Quiet:
    device = torch.device("cpu")

    def phase(self, *_):
        pass

    warning = phase


@pytest.mark.parametrize("learns", [{"lora": {"text_encoder": {"train": True}}}, {"words": {"new": ["sks"]}}], ids=str)
def test_an_encoder_in_which_something_learns_stays_whole(configure, learns):
    config = configure(memory={"text_precision": "8bit"}, **learns)
    parts = load_family(config, Quiet())[1]
    assert not any(isinstance(layer, SMALL) for layer in parts["text_encoder"].modules())
    assert "no effect" in warnings(config)["memory.text_precision"]
    still = configure(memory={"text_precision": "8bit"})
    assert any(isinstance(layer, SMALL) for layer in load_family(still, Quiet())[1]["text_encoder"].modules())
    assert "memory.text_precision" not in warnings(still)


def test_the_plan_reckons_with_it():
    """T5 has 9.5 of 11.14 GB. A twentieth is never made smaller."""
    whole, half = (memory.moments(sd3(memory={"text_precision": bits}))["reading"] for bits in ("16bit", "8bit"))
    assert whole.parts["text encoders"] == pytest.approx(11.14)
    assert half.parts["text encoders"] == pytest.approx(11.14 * (0.05 + 0.95 * 8.1 / 16))
    learning = sd3(memory={"text_precision": "4bit", "cache_captions": False}, lora={"text_encoder": {"train": True}})
    kept = memory.moments(learning)["step"].parts["text encoders"]
    assert kept == pytest.approx(0.25 + (1.39 + 9.5) * (0.05 + 0.95 * 4.5 / 16)), "CLIP-L learns, and is whole"
    full = {"lora": {"denoiser": {"train": False}}, "full": {"train": True}, "memory": {"text_precision": "8bit"}}
    with pytest.raises(SettingsError, match="text_precision"):
        check(TrainSettings, {"model": {"family": "sdxl", "base": "a/b"}, **full})
