"""How much memory a run takes, and what is said when there was too little; the model is a name on the hub, of the
published size."""

import pytest

from settings.errors import check
from trainer.config import TrainSettings
from trainer.needs import memory, shortage
from trainer.needs.remedies import changed, remedies, together
from trainer.needs.shortage import available

NO_ROOM = (
    "CUDA out of memory. Tried to allocate 96.00 MiB. GPU 0 has a total capacity of 11.76 GiB of which 40.44 MiB is "
    "free. Process 17 has 1.00 GiB memory in use. Including non-PyTorch memory, this process has {} GiB memory in use."
)


def config(family: str = "sdxl", **sections) -> TrainSettings:
    side = {"sd15": 512, "sd2": 768, "sdxl": 1024}[family]
    values = {"model": {"family": family, "base": "someone/some-model"}, "dataset": {"resolution": side}}
    for name, section in sections.items():
        values[name] = values.get(name, {}) | section
    return check(TrainSettings, values)


def total(*arguments, **sections) -> float:
    return memory.peak(config(*arguments, **sections)).total


def test_the_parts_of_a_step_are_those_that_were_measured():
    step = memory.moments(config("sd15", lora={"denoiser": {"rank": 16}}))["step"]
    assert step.parts["base model"] == 1.72 and step.parts["activations"] == pytest.approx(1.26)
    assert step.parts["LoRA and optimizer"] == pytest.approx(4 * 4e-3 * 16 * 0.424)  # weights, gradients, two of AdamW
    assert step.parts["text encoders"] == step.parts["VAE"] == 0.0, "what is cached has left the device"
    assert step.total == pytest.approx(sum(step.parts.values()))
    assert "activations 1.3" in step.sentence and "VAE" not in step.sentence


@pytest.mark.parametrize(
    "more, at_least",
    [
        ({"run": {"batch_size": 2}}, 8.0),
        ({"accelerate": {"mixed_precision": "no"}}, 5.1),
        ({"memory": {"cache_captions": False}}, 1.6),
        ({"memory": {"cache_latents": False}}, 0.3),
        ({"lora": {"text_encoder": {"train": True}}}, 1.6),
        ({"lora": {"denoiser": {"rank": 256}}}, 8.0),
        ({"optimizer": {"name": "prodigy"}, "lora": {"denoiser": {"learning_rate": 1.0}}}, 0.3),
        ({"dataset": {"resolution": 1536}}, 10.0),
    ],
    ids=str,
)
def test_what_takes_more(more, at_least):
    assert total(**more) - total() >= at_least


def test_fewer_bits_make_the_base_model_smaller_and_nothing_else():
    whole, half, quarter = (
        memory.moments(config(memory={"base_precision": bits}))["step"].parts for bits in ("16bit", "8bit", "4bit")
    )
    assert half["base model"] == pytest.approx(0.531 * whole["base model"], rel=0.01)
    assert quarter["base model"] == pytest.approx(0.317 * whole["base model"], rel=0.01)
    rest = {part: gb for part, gb in whole.items() if part != "base model"}
    assert rest == {part: gb for part, gb in quarter.items() if part != "base model"}


def test_gradient_checkpointing_saves_activations_until_samples_are_the_most():
    thrifty = {"memory": {"gradient_checkpointing": True}}
    assert total() - total(**thrifty) == pytest.approx(8.37 - 0.72)
    drawing = memory.peak(config(**thrifty, preview={"prompts": ["sks"]}))
    assert drawing.name == "it draws samples" and drawing.parts["text encoders"] == 0, "they stay where they are"
    uncached = memory.moments(config(memory={"cache_captions": False}, preview={"prompts": ["sks"]}))["samples"]
    assert uncached.parts["text encoders"] == pytest.approx(1.64)


def test_readers_are_on_the_device_alone_while_captions_are_encoded():
    found = memory.moments(config())
    assert found["reading"].parts == {"text encoders": pytest.approx(1.64), "around it": memory.AROUND}
    assert "reading" not in memory.moments(config(memory={"cache_captions": False}))


def test_a_model_of_unknown_size_has_no_estimate_but_remedies(configure):
    settings = configure(run={"batch_size": 4})
    assert memory.peak(settings) is None
    found = remedies(settings)
    assert [remedy.saves_gb for remedy in found] == [None] * 3 and found[0].settings["run.batch_size"] == 1
    cause, fix, _ = shortage.explained(settings)
    assert cause == "The machine has not enough memory." and fix.startswith("Cheapest first: batch size 1")


def test_only_what_still_applies_is_offered_cheapest_first():
    wasteful = config(
        run={"batch_size": 2}, memory={"cache_latents": False, "cache_captions": False},
        lora={"denoiser": {"rank": 64, "layers": "all"}},
    )  # fmt: skip
    assert [one.says for one in remedies(wasteful)] == [
        "cache latents", "cache captions", "batch size 1 with gradient accumulation 2"
    ]  # fmt: skip
    thrifty = config(memory={"gradient_checkpointing": True}, lora={"denoiser": {"rank": 64}})
    assert [one.says for one in remedies(thrifty)] == ["base model in 8 bits", "base model in 4 bits", "rank 32"]
    small = config(
        memory={"gradient_checkpointing": True, "base_precision": "4bit"}, lora={"denoiser": {"rank": 64}}
    )
    assert [one.says for one in remedies(small)] == ["rank 32", "layers attention", "resolution 896"]
    assert all(one.saves_gb >= 0.05 for one in remedies(thrifty))


def test_each_saves_what_the_estimate_falls_by():
    settings = config(run={"batch_size": 4})
    for remedy in remedies(settings):
        fallen = memory.peak(settings).total - memory.peak(changed(settings, remedy.settings)).total
        assert remedy.saves_gb == pytest.approx(fallen)
    found = remedies(settings)
    assert together(settings, found) < sum(one.saves_gb for one in found)


def test_more_than_three_where_three_are_not_enough():
    settings = config(run={"batch_size": 2}, lora={"denoiser": {"rank": 128}})
    assert len(remedies(settings, lacking=1.0)) == 3
    many = remedies(settings, lacking=20.0)
    assert len(many) > 3 and together(settings, many) > together(settings, many[:3])


def test_the_cause_says_how_much_there_was_and_the_fix_what_is_enough():
    settings = config(run={"batch_size": 4})
    cause, fix, _ = shortage.explained(settings, NO_ROOM.format("22.00"), "step")
    assert "39.9 GB while it trains (activations 33.5" in cause and "graphics card has 23.7 GB for it" in cause
    assert "16.9 GB are lacking: batch size 1 with gradient accumulation 4 is enough by itself" in fix
    _, fix, _ = shortage.explained(settings, NO_ROOM.format("1.50"), "step")
    assert "of the" in fix and "a larger card" in fix
    least = {"denoiser": {"rank": 4, "layers": "attention"}}
    kept = {"gradient_checkpointing": True, "base_precision": "4bit"}
    thrifty = config(memory=kept, dataset={"resolution": 256}, lora=least)
    assert "as thrifty as they can be" in shortage.explained(thrifty, "", "step")[1]


def test_the_moment_that_failed_counts():
    settings = config(run={"batch_size": 4}, preview={"prompts": ["sks"]})
    assert remedies(settings, moment="samples")[0].says == "samples of half the size"
    assert "samples" not in remedies(settings, moment="step")[0].says


@pytest.mark.parametrize(
    "said, gb",
    [
        (NO_ROOM.format("10.00"), 10 * 1.0737 + 0.0424),
        ("MPS backend out of memory (MPS allocated: 8.00 GB, other allocations: 1.00 GB, max allowed: 9.50 GB)", 8.5),
        ("CUDA out of memory. GPU 0 has a total capacity of 2.00 GiB of which", 2.147),
        ("DefaultCPUAllocator: can't allocate memory: you tried to allocate 400 bytes.", None),
    ],
)
def test_what_there_was_is_read_from_the_systems_words(said, gb):
    assert available(said) == (gb if gb is None else pytest.approx(gb, abs=0.01))
