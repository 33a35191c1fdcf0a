"""Options that show only in a whole run of the tiny model: its files, what is kept of it, and its first step."""

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from dataset.scan import scan
from tests import models
from tests.trainer.reading import events, losses, newest
from tests.trainer.test_optim import NAMES, build, weights
from trainer import command
from trainer.base_model.models import find
from trainer.beginning import attach
from trainer.families.sd15 import Sd15
from trainer.loop import train
from trainer.run import Run
from trainer.validation import Validation

SHORT = {"run": {"max_steps": 1}}


def run(config):
    job = command.create(config)
    train(job.folder)
    return job


@pytest.mark.proves("name", "save.precision", "save.logging_folder")
def test_the_name_of_the_file_its_numbers_and_where_its_curves_go(configure, tmp_path):
    board = tmp_path / "board"
    plain = run(configure(**SHORT))
    named = run(configure(name="other", save={"precision": "float32", "logging_folder": str(board)}, **SHORT))
    assert not (named.folder / "tiny.safetensors").exists() and not (named.folder / "tensorboard").exists()
    assert [path.name for path in board.iterdir()] == [named.id] and any((plain.folder / "tensorboard").iterdir())
    one, two = load_file(plain.folder / "tiny.safetensors"), load_file(named.folder / "other.safetensors")
    kinds = [{tensor.dtype for key, tensor in file.items() if not key.endswith("alpha")} for file in (one, two)]
    assert kinds == [{torch.float16}, {torch.float32}] and one.keys() == two.keys()
    assert all(torch.allclose(one[key].float(), two[key].float(), atol=1e-3) for key in one), "the same was learnt"


@pytest.mark.proves("save.autosave_minutes")
@pytest.mark.parametrize("minutes, steps", [(0, [3]), (1e-9, [1, 2, 3, 3])])
def test_a_state_is_written_every_so_often(configure, monkeypatch, minutes, steps):
    saved, save = [], Run.save_state
    monkeypatch.setattr(Run, "save_state", lambda self, *given: (saved.append(self.step), save(self, *given))[1])
    run(configure(run={"max_steps": 3}, save={"autosave_minutes": minutes, "every_epochs": 0}))
    assert saved == steps


@pytest.mark.proves("save.blocks")
@pytest.mark.parametrize("wanted", [False, True])
def test_a_file_with_the_originals_names_lies_beside_it(configure, tmp_path, wanted):
    model = {"family": "sdxl", "base": str(models.tiny_sdxl(tmp_path / "sdxl"))}
    job = run(configure(model=model, save={"blocks": wanted}, **SHORT))
    path = job.folder / "tiny-blocks.safetensors"
    assert path.exists() == wanted
    if wanted:
        with safe_open(path, "pt") as file:
            assert any("input_blocks" in key for key in file.keys())  # noqa: SIM118 (it is no dict)


@pytest.mark.proves("memory.cache_latents", "memory.cache_captions")
@pytest.mark.parametrize("option", ["cache_latents", "cache_captions"])
def test_what_is_encoded_beforehand_is_kept_on_disk(configure, workspace, option):
    job = run(configure(memory={option: False}, **SHORT))
    kept = {path.name for path in (workspace / "cache").iterdir()}
    phases = {event["name"] for event in events(job, "phase")}
    assert kept == {"latents", "captions"} - {option.removeprefix("cache_")}
    assert option.replace("_", " ") not in phases
    run(configure(**SHORT))
    assert {path.name for path in (workspace / "cache").iterdir()} == {"latents", "captions"}


@pytest.mark.proves("memory.gradient_checkpointing")
@pytest.mark.parametrize("on", [False, True])
def test_activations_are_computed_again_in_the_denoiser(configure, tiny, on):
    family = Sd15()
    parts = family.load(find(str(tiny)), torch.float32)
    attach(configure(memory={"gradient_checkpointing": on}), family, parts)
    assert parts["denoiser"].is_gradient_checkpointing == on


@pytest.mark.proves("model.base", "model.prediction_type")
def test_another_base_or_another_target_is_another_run(configure, tmp_path):
    other = models.tiny_sd15(tmp_path / "other", seed=5)
    plain, another, towards_v = (
        run(configure(model=model, **SHORT))
        for model in ({}, {"base": str(other)}, {"prediction_type": "v_prediction"})
    )
    assert len({losses(job)[0] for job in (plain, another, towards_v)}) == 3
    told = []
    for job in (plain, another, towards_v):
        with safe_open(job.folder / "tiny.safetensors", "pt") as file:
            told.append((file.metadata()["ss_sd_model_name"], file.metadata()["modelspec.prediction_type"]))
    assert told[1] == ("other", "epsilon") and told[2] == (told[0][0], "v") and told[0][1] == "epsilon"


@pytest.mark.proves("dataset.caption_extension")
def test_captions_are_read_from_files_of_this_kind(configure, pictures):
    (pictures / "00.words").write_text("from another file")
    plain, other = (
        scan(config.dataset.folders, config.dataset.caption_extension)
        for config in (configure(), configure(dataset={"caption_extension": ".words"}))
    )
    assert plain.items[0].caption == "sks, a dog, number 0" and other.items[0].caption == "from another file"
    assert [item.path for item in plain.items] == [item.path for item in other.items]


@pytest.mark.proves("optimizer.name")
def test_every_name_is_another_optimiser():
    made = set()
    for name in NAMES:
        if "8bit" in name:
            pytest.importorskip("bitsandbytes")
        rates = (1.0, 1.0) if name in ("prodigy", "dadapt_adam") else (1e-3, 1e-3)
        made.add(type(build(name, weights(), rates)))
    assert len(made) == len(NAMES)


@pytest.mark.proves("optimizer.max_grad_norm")
def test_a_longer_gradient_is_shortened(configure):
    """The first step of plain descent from a LoRA's start moves its second matrices, which are zero, by rate times
    gradient: all together by rate times its length."""
    plain = {"name": "sgd", "momentum": 0.0, "weight_decay": 0.0}
    rate, moved = 1e-3, []
    for limit in (0.0, 1e-3):
        job = run(configure(optimizer=plain | {"max_grad_norm": limit}, schedule={"name": "constant"}, **SHORT))
        ups = [tensor.double().square().sum() for key, tensor in newest(job).adapters.items() if "lora_B" in key]
        moved.append(sum(ups).sqrt().item())
    norm = events(job, "step")[0]["grad_norm"]
    assert moved == pytest.approx([rate * norm, rate * 1e-3], rel=1e-3) and norm > 1e-3


@pytest.mark.proves("validation.draws")
@pytest.mark.parametrize("draws", [1, 3])
def test_each_picture_that_is_held_out_is_looked_at_with_so_many_shares_of_noise(configure, monkeypatch, draws):
    looked, one = [], Validation._one
    monkeypatch.setattr(Validation, "_one", lambda self, run, *which: (looked.append(which), one(self, run, *which))[1])
    run(configure(validation={"share": 0.34, "draws": draws}, **SHORT))
    once = [(sample.place, number) for sample, number in looked[: len(looked) // 2]]
    assert once == [(place, number) for place in range(2) for number in range(draws)], "two pictures"
    assert looked[len(once) :] == looked[: len(once)], "the same before the first step and after the last"
