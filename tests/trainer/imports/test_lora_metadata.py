"""The settings that a LoRA file remembers: sd-scripts' entries, written as text, and our own."""

import json
import struct

import pytest

from dataset.scan import scan
from settings.errors import check
from settings.flags import nested
from tests.trainer.conftest import draw
from trainer.config import TrainSettings
from trainer.families import families
from trainer.imports.reading import read
from trainer.imports.report import ImportProblem
from trainer.lora.metadata import metadata
from trainer.plan import plan

KOHYA = {
    "ss_session_id": "1834567890", "ss_training_started_at": "1771000000.12", "ss_output_name": "my_lora",
    "ss_learning_rate": "0.0001", "ss_text_encoder_lr": "5e-05", "ss_unet_lr": "0.0001",
    "ss_num_batches_per_epoch": "50", "ss_num_epochs": "10", "ss_epoch": "10", "ss_steps": "500",
    "ss_max_train_steps": "500", "ss_lr_warmup_steps": "50",
    "ss_gradient_checkpointing": "True", "ss_gradient_accumulation_steps": "1", "ss_lr_scheduler": "cosine",
    "ss_network_module": "networks.lora", "ss_network_dim": "32", "ss_network_alpha": "16.0",
    "ss_network_dropout": "None", "ss_network_args": '{"conv_dim": "32", "conv_alpha": "16.0"}',
    "ss_mixed_precision": "bf16", "ss_full_fp16": "False", "ss_v2": "False", "ss_base_model_version": "sdxl_base_v1-0",
    "ss_clip_skip": "None", "ss_max_token_length": "225",
    "ss_cache_latents": "True", "ss_seed": "7", "ss_noise_offset": "0.0357", "ss_min_snr_gamma": "5.0",
    "ss_optimizer": "bitsandbytes.optim.adamw.AdamW8bit(weight_decay=0.1,betas=(0.9, 0.99))", "ss_max_grad_norm": "1.0",
    "ss_prior_loss_weight": "1.0", "ss_resolution": "(1024, 1024)", "ss_batch_size_per_device": "2",
    "ss_enable_bucket": "True", "ss_bucket_no_upscale": "True", "ss_shuffle_caption": "True", "ss_keep_tokens": "1",
    "ss_dataset_dirs": '{"10_sks": {"n_repeats": 10, "img_count": 20}}', "ss_sd_model_name": "sdxl.safetensors",
    "ss_tag_frequency": '{"10_sks": {"dog": 20}}', "sshs_model_hash": "abc", "modelspec.title": "my_lora",
    "modelspec.author": "someone",
}  # fmt: skip
NAMES = ("lora_unet_x.lora_down.weight", "lora_te1_x.lora_down.weight", "lora_te2_x.lora_down.weight")


def lora(path, metadata, names=NAMES):
    header = {name: {"dtype": "F16", "shape": [4, 4], "data_offsets": [32 * place, 32 * place + 32]}
              for place, name in enumerate(names)}
    text = json.dumps({"__metadata__": metadata} | header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"\0" * 32 * len(names))
    return path


def test_what_sd_scripts_wrote(tmp_path):
    report = read(lora(tmp_path / "a.safetensors", KOHYA))
    wanted = {
        "model.family": "sdxl", "lora.denoiser.rank": 32, "lora.denoiser.alpha": 16, "lora.denoiser.layers": "all",
        "lora.text_encoder.train": True, "lora.text_encoder_2.learning_rate": 5e-5, "run.epochs": 10,
        "run.batch_size": 2, "run.seed": 7, "run.max_steps": None, "optimizer.name": "adamw8bit",
        "optimizer.weight_decay": 0.1, "optimizer.beta2": 0.99,
        "dataset.resolution": 1024, "noise.min_snr_gamma": 5.0, "captions.keep_tokens": 1,
        "memory.gradient_checkpointing": True, "metadata.author": "someone", "name": "my_lora",
    }  # fmt: skip
    assert {path: report.values.get(path, "absent") for path in wanted} == wanted
    told = {line.name: line for line in report.lines}
    assert told["sd_model_name"].kind == "left" and "sdxl.safetensors" in told["sd_model_name"].note
    assert told["ss_tag_frequency"].kind == "off"
    assert not report.of("unknown")
    check(TrainSettings, nested(report.values))


@pytest.mark.parametrize("names, learns", [(NAMES[:1], (True, False, False)), (NAMES[1:], (False, True, True)),
                                           (NAMES[:2], (True, True, False))])
def test_the_tensors_tell_what_learnt(names, learns, tmp_path):
    values = read(lora(tmp_path / "a.safetensors", KOHYA, names)).values
    found = [values.get(f"lora.{part}.train", True) for part in ("denoiser", "text_encoder", "text_encoder_2")]
    assert tuple(found) == learns


def test_steps_that_are_no_whole_epochs_are_steps(tmp_path):
    values = read(lora(tmp_path / "a.safetensors", KOHYA | {"ss_max_train_steps": "430"})).values
    assert values["run.max_steps"] == 430 and "run.epochs" not in values


def test_a_run_from_a_data_set_file(tmp_path):
    datasets = [{"resolution": [768, 768], "batch_size_per_device": 3, "enable_bucket": True,
                 "subsets": [{"shuffle_caption": False, "keep_tokens": 2, "image_dir": "10_sks"}]}]
    folders = ("ss_resolution", "ss_batch_size_per_device")
    without = {name: value for name, value in KOHYA.items() if name not in folders}
    values = read(lora(tmp_path / "a.safetensors", without | {"ss_datasets": json.dumps(datasets)})).values
    assert (values["dataset.resolution"], values["run.batch_size"], values["captions.keep_tokens"]) == (768, 3, 2)


def test_our_own_files_give_the_settings_that_made_them(tmp_path):
    pictures = draw(tmp_path / "5_sks", [(512, 512)] * 4)
    config = check(TrainSettings, {
        "name": "mine", "dataset": {"folders": [{"path": str(pictures)}], "flip": True},
        "lora": {"denoiser": {"rank": 24, "alpha": 12, "layers": "all"}, "text_encoder": {"train": True, "rank": 24,
                                                                                         "alpha": 12}},
        "run": {"epochs": 6, "batch_size": 2}, "schedule": {"name": "cosine_restarts", "warmup": 0.1},
        "optimizer": {"name": "lion", "weight_decay": 0.2}, "noise": {"min_snr_gamma": 5.0},
        "captions": {"shuffle": True, "keep_tokens": 1}, "metadata": {"trigger": "sks"}})  # fmt: skip
    dataset = scan(config.dataset.folders)
    family = families()["sd15"]
    said = metadata(config, family_like(family), plan(config, dataset), dataset, step=60, began=0.0)
    names = ("lora_unet_x.lora_down.weight", "lora_te_x.lora_down.weight")
    found = check(TrainSettings, nested(read(lora(tmp_path / "a.safetensors", said, names)).values))
    for section in ("run", "schedule", "optimizer", "noise", "captions", "lora"):
        assert getattr(found, section) == getattr(config, section)
    assert found.dataset.flip and found.metadata.trigger == "sks" and found.name == "mine"


def family_like(family):
    """What the metadata asks of a loaded family, without loading it."""
    class Loaded(family):
        prediction_type = "epsilon"

    Loaded.__abstractmethods__ = frozenset()
    return object.__new__(Loaded)


@pytest.mark.parametrize("metadata", [{}, {"format": "pt"}, {"modelspec.title": "x"}])
def test_a_file_that_remembers_nothing(metadata, tmp_path):
    with pytest.raises(ImportProblem, match="no ss_ entries"):
        read(lora(tmp_path / "a.safetensors", metadata))


@pytest.mark.parametrize("data", [b"", b"\xff" * 20, struct.pack("<Q", 10**9) + b"{}", struct.pack("<Q", 2) + b"[]"])
def test_a_broken_file(data, tmp_path):
    (tmp_path / "a.safetensors").write_bytes(data)
    with pytest.raises(ImportProblem, match="safetensors"):
        read(tmp_path / "a.safetensors")


@pytest.mark.parametrize("name, value", [("ss_network_args", "{broken"), ("ss_datasets", "[1]"), ("ss_datasets", "{"),
                                         ("ss_optimizer", "("), ("ss_resolution", "wide"), ("ss_num_epochs", "nan"),
                                         ("ss_network_dim", "9" * 400), ("ss_base_model_version", "sd99")])
def test_strange_entries(name, value, tmp_path):
    report = read(lora(tmp_path / "a.safetensors", KOHYA | {name: value}))
    assert check(TrainSettings, nested(report.values)).run.batch_size == 2, "the others count all the same"
