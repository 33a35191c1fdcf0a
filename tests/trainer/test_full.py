"""All weights of a UNet learn: the checkpoint that comes of it is the model that was trained, for every reader."""

import hashlib
import json
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.loaders import single_file_utils
from PIL import Image
from safetensors import safe_open

from gui import learnt
from settings.errors import SettingsError, check, parse, warnings
from settings.flags import nested
from tests.models import tiny_sd15, tiny_sdxl
from tests.trainer.reading import events, losses, newest
from trainer import command
from trainer.base_model.models import find
from trainer.config import TrainSettings
from trainer.families import configs, families
from trainer.full import checkpoint, names
from trainer.imports.reading import told
from trainer.loop import train
from trainer.lora.keys import LoraError
from trainer.needs import memory
from trainer.plan import plan
from trainer.preview import Preview

ALL = {"lora": {"denoiser": {"train": False}}, "full": {"train": True, "learning_rate": 1e-3}}
BASES = {"sd15": tiny_sd15, "sdxl": lambda folder: tiny_sdxl(folder, pooled=40)}


def trained(configure, folder: Path, name: str, **sections):
    base = BASES[name](folder / name)
    sections = {"schedule": {"name": "constant"}, "run": {"epochs": 2}, "model": {}, **ALL, **sections}
    sections["model"] = {"base": str(base), "family": name, **sections["model"]}
    job = command.create(configure(**sections))
    train(job.folder)
    return base, job


def parts_of(path: Path, name: str):
    family = families()[name]()
    return family, family.load(find(str(path)), torch.float32)


@pytest.mark.parametrize("name", BASES)
def test_the_checkpoint_is_the_model_that_was_trained(configure, tmp_path, monkeypatch, name):
    base, job = trained(
        configure, tmp_path, name, save={"precision": "float32", "diffusers": True}, optimizer={"ema_decay": 0.9},
        preview={"prompts": ["sks"], "steps": 2, "at_start": False},
    )  # fmt: skip
    ours = {key.removeprefix("denoiser."): tensor for key, tensor in newest(job).adapters.items()}
    kept = parts_of(base, name)[1]
    assert ours.keys() == kept["denoiser"].state_dict().keys()
    moved = [key for key, tensor in kept["denoiser"].state_dict().items() if not torch.equal(tensor, ours[key])]
    assert len(moved) > 0.9 * len(ours) and np.mean(losses(job)[-3:]) < np.mean(losses(job)[:3])
    monkeypatch.setattr(families()[name], "single_file_configs", classmethod(lambda cls: base))
    for place in (job.folder / "tiny.safetensors", job.folder / "tiny-diffusers"):
        family, parts = parts_of(place, name)
        for part, module in parts.items():
            wanted = ours if part == "denoiser" else kept[part].state_dict()
            found = module.state_dict()
            assert found.keys() == wanted.keys()
            assert all(torch.equal(tensor, wanted[key]) for key, tensor in found.items()), (place, part)
    drawn = events(job, "sample")[-1]
    preview = Preview(configure(model={"base": str(base), "family": name}, **ALL), family, parts, None, torch.no_grad)
    with torch.no_grad():
        words = [family.encode_captions([text]) for text in ("sks", "")]
        how = preview._how(0).__class__(32, 32, 2, family.guidance, "ddim", drawn["seed"])
        pixels = family.decode(family.draw(*words, how))[0].numpy()
    assert np.array_equal(pixels, np.array(Image.open(job.folder / drawn["path"]))), "it draws what the run drew"
    average = parts_of(job.folder / "tiny-ema.safetensors", name)[1]["denoiser"].state_dict()
    assert not torch.equal(average["conv_in.weight"], ours["conv_in.weight"])


def test_what_the_file_says_of_itself(configure, tmp_path):
    _, job = trained(configure, tmp_path, "sd15", model={"prediction_type": "v_prediction"}, save={"keep_last": 1},
                     run={"epochs": 3}, metadata={"title": "Mine"})  # fmt: skip
    path = job.folder / "tiny.safetensors"
    with safe_open(path, "pt") as file:
        said = file.metadata()
        assert {str(file.get_tensor(key).dtype) for key in file.keys() if key != "v_pred"} == {"torch.float16"}
    content = path.read_bytes()
    tensors = content[8 + int.from_bytes(content[:8], "little") :]
    assert said["modelspec.hash_sha256"] == "0x" + hashlib.sha256(tensors).hexdigest()
    assert said["modelspec.architecture"] == "stable-diffusion-v1" and said["modelspec.title"] == "Mine"
    assert said["ss_learning_rate"] == "0.001" and not any("network" in key for key in said)
    assert find(str(path)).prediction_type == "v_prediction", "ComfyUI and this program read it from the same mark"
    assert families()["sd15"].recognises(find(str(path)))
    assert [one.name for one in job.checkpoints.iterdir()] == ["tiny-000002.safetensors"], "keep_last = 1"


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_the_weights_and_their_optimiser_are_float32(configure, tmp_path, precision):
    _, job = trained(configure, tmp_path, "sd15", accelerate={"mixed_precision": precision}, run={"max_steps": 2},
                     memory={"gradient_checkpointing": True})  # fmt: skip
    saved = newest(job)
    moments = [value for slot in saved.optimizer["state"].values() for key, value in slot.items() if "exp" in key]
    assert {tensor.dtype for tensor in (*saved.adapters.values(), *moments)} == {torch.float32}
    assert events(job, "step")[-1]["skipped"] == 0


@pytest.mark.parametrize("name", ["sd15", "sdxl"])
def test_every_weight_of_the_published_model_has_the_name_that_diffusers_knows(name):
    from diffusers import AutoencoderKL, UNet2DConditionModel

    known = {"sd15": configs.SD15, "sdxl": configs.SDXL}[name]
    with torch.device("meta"):
        unet, vae = UNet2DConditionModel(**known["unet"]), AutoencoderKL(**known["vae"])
    original = names.unet(unet.state_dict())
    assert len(set(original.values())) == len(original)
    back = single_file_utils.convert_ldm_unet_checkpoint(
        {theirs: ours for ours, theirs in original.items()}, dict(unet.config))
    assert back == {key: key for key in original}
    state = vae.state_dict()
    files = names.vae(state)
    assert files["first_stage_model.encoder.mid.attn_1.q.weight"].shape == (512, 512, 1, 1)
    back = single_file_utils.convert_ldm_vae_checkpoint(files, dict(vae.config))
    assert {key: tensor.shape for key, tensor in back.items()} == {key: tensor.shape for key, tensor in state.items()}


def test_a_damaged_or_unfinished_file_is_never_taken_for_the_model(tmp_path):
    path, tensors = tmp_path / "model.safetensors", {"a": torch.ones(3), "b": torch.zeros(2, 2)}
    checkpoint.save(path, tensors, {})
    checkpoint.verify(path, tensors)
    for other in ({"a": torch.ones(3)}, tensors | {"a": torch.zeros(3)}, tensors | {"c": torch.ones(1)}):
        with pytest.raises(LoraError, match="is not what was trained"):
            checkpoint.verify(path, other)
    before = path.read_bytes()
    with pytest.raises(LoraError, match="b holds NaN"):
        checkpoint.save(path, tensors | {"b": torch.full((2, 2), float("nan"))}, {})
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_a_new_run_starts_from_the_newest_checkpoint(configure, tmp_path):
    """A LoRA's run is trained on through lora.weights, which has no meaning here."""
    _, job = trained(configure, tmp_path, "sd15", run={"max_steps": 2})
    assert learnt.start_from(job) == {"model.base": str(job.folder / "tiny.safetensors")}
    assert learnt.is_whole(job)
    job.config_path.write_text(job.config_path.read_text().replace("seed = 42", "seed = 7"))
    with pytest.raises(SettingsError, match="model.base = a checkpoint of"):
        train(job.folder)
    assert learnt.start_from(command.create(configure())).keys() == {"lora.weights"}


DREAMBOOTH = {
    "pretrained_model_name_or_path": "someone/sd_xl_base", "sdxl": True, "train_batch_size": 1, "learning_rate": 2e-6,
    "learning_rate_te": 1e-6, "learning_rate_te1": 0, "stop_text_encoder_training": 0, "max_resolution": "1024,1024",
}  # fmt: skip


def test_a_dreambooth_preset_of_kohya_is_imported_as_what_it_is():
    report = told(json.dumps(DREAMBOOTH))
    found = parse(TrainSettings, nested(report.values))
    assert found.all_weights and found.full.learning_rate == 2e-6 and not found.lora.denoiser.train
    assert not any(text.train for text in found.text_encoders.values())
    left = {line.name: line.note for line in report.lines if line.kind == "left"}
    assert "text encoders stay as they are" in left["learning_rate_te"] and "learning_rate_te1" not in left
    lora = told(json.dumps(DREAMBOOTH | {"LoRA_type": "Standard", "network_dim": 8}))
    assert not parse(TrainSettings, nested(lora.values)).all_weights


def settings(**sections) -> TrainSettings:
    values = {"model": {"family": "sdxl", "base": "someone/some-model"}, "dataset": {"resolution": 1024}, **ALL}
    return check(TrainSettings, {**values, **sections})


@pytest.mark.parametrize("sections, where", [
    ({"lora": {}}, "lora.denoiser.train"),
    ({"lora": {"denoiser": {"train": False}, "text_encoder_2": {"train": True}}}, "lora.text_encoder_2.train"),
    ({"lora": {"denoiser": {"train": False}, "weights": "mine.safetensors"}}, "lora.weights"),
    ({"memory": {"base_precision": "8bit"}}, "memory.base_precision"),
    ({"prior": {"kind": "model", "class_prompt": "a dog"}}, "prior.kind"),
])  # fmt: skip
def test_what_can_not_be_had_with_it_is_said(sections, where):
    with pytest.raises(SettingsError) as caught:
        settings(**sections)
    assert set(caught.value.problems) == {where}


def test_what_is_unlikely_or_without_effect_is_said():
    assert "full.learning_rate" not in warnings(settings(full={"train": True}))
    assert "a rate for a LoRA" in warnings(settings(full={"train": True, "learning_rate": 1e-4}))["full.learning_rate"]
    prodigy = settings(full={"train": True}, optimizer={"name": "prodigy"})
    assert "set it to 1" in warnings(prodigy)["full.learning_rate"]
    assert "no LoRA" in warnings(settings(save={"peft": True}))["save.peft"]
    flux = check(TrainSettings, {"model": {"family": "flux", "base": "some/one"}, "full": {"train": True}})
    assert not flux.all_weights, "what the form hides has no effect"


def test_the_plan_tells_the_memory_before_anything_is_loaded():
    """Weights, gradients and AdamW's two numbers in float32, and the copies in 16 bit that it is computed with."""
    step = memory.moments(settings())["step"]
    assert step.parts["weights and optimizer"] == pytest.approx(4 * 4 * 2.567, rel=1e-2)
    assert step.parts["base model"] == pytest.approx(2 * 2.567, rel=1e-2) and step.total > 50
    small = memory.moments(settings(optimizer={"name": "adamw8bit"}, memory={"gradient_checkpointing": True}))["step"]
    assert 30 < small.total < 34
    assert memory.moments(settings(optimizer={"ema_decay": 0.99}))["step"].total - step.total == pytest.approx(10.26)


def test_the_plan_tells_the_disk_and_refuses_one_that_is_too_small(configure, pictures, monkeypatch):
    Usage = namedtuple("Usage", "total used free")
    config = settings(dataset={"folders": [{"path": str(pictures)}], "resolution": 1024}, save={"keep_last": 2})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 10**12))
    planned = plan(config)
    assert planned.disk.state == pytest.approx(12 * 2.567e9, rel=1e-2), "weights and two numbers each, in float32"
    assert planned.disk.file == pytest.approx(6.94e9, rel=1e-2), "the published file has as many"
    assert planned.disk.files == 3 and dict(planned.table)["Disk"] == planned.disk.sentence
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 60 * 10**9))
    with pytest.raises(SettingsError, match="a run needs 99.* of disk .*60.0 GB are free"):
        plan(config)
    assert plan(config, begun=True).disk == planned.disk, "its states are there already"
    lora = plan(config.model_copy(update={"full": type(config.full)(), "lora": type(config.lora)()})).disk
    assert lora.state == pytest.approx(12 * 16 * 2.66e6), "a LoRA's is told too, and is small"
