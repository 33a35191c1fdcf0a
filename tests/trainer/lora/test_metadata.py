"""The entries that other programs read, and nothing private when that is asked for."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from dataset.scan import Dataset, Item
from settings.errors import check
from trainer import optim
from trainer.base_model import hashes
from trainer.config import OptimizerSettings, TrainSettings
from trainer.lora.metadata import OPTIMIZERS, SCHEDULES, metadata

BEGAN = 1_771_000_000.12
FAMILY = SimpleNamespace(base_version="sd_v1", architecture="stable-diffusion-v1", prediction_type="epsilon")
PLAN = SimpleNamespace(repeated=40, regularisation_repeated=8, batches_per_epoch=24, epochs=3, steps_per_epoch=12,
                       total_steps=36, warmup_steps=4)


def item(name, folder, caption, *, width=640, height=512, repeats=10, regularisation=False):
    path = Path("/home/secret-user/pictures") / folder / name
    return Item(path, width, height, caption, repeats, folder, regularisation)


DATASET = Dataset([
    item("a.png", "10_sks dog", "sks dog, Grass"),
    item("b.png", "10_sks dog", "sks dog", width=512),
    item("c.png", "1_dog", "dog", repeats=1, regularisation=True),
], [])


def entries(family=FAMILY, step=30, **values):
    base = {"name": "my_dog", "model": {"base": "/home/secret-user/models/secret.safetensors", "vae": "/x/secret-vae"},
            "dataset": {"folders": [{"path": "/home/secret-user/pictures"}]}}
    for section, fields in values.items():
        base[section] = base.get(section, {}) | fields
    return metadata(check(TrainSettings, base), family, PLAN, DATASET, step=step, began=BEGAN)


def test_every_entry_is_text_as_the_file_format_wants():
    assert all(isinstance(key, str) and isinstance(value, str) for key, value in entries().items())
    assert all(key.startswith(("ss_", "modelspec.")) for key in entries())


def test_what_readers_decide_by():
    held = entries(metadata={"trigger": "sks dog", "author": "me"}, dataset={"resolution": 512})
    expected = {
        "ss_base_model_version": "sd_v1", "ss_v2": "False", "ss_output_name": "my_dog",
        "ss_network_module": "networks.lora", "ss_network_args": "{}",
        "ss_network_dim": "16", "ss_network_alpha": "16.0", "ss_resolution": "512,512",
        "ss_sd_model_name": "secret.safetensors", "ss_vae_name": "secret-vae",
        "modelspec.sai_model_spec": "1.0.1", "modelspec.architecture": "stable-diffusion-v1/lora",
        "modelspec.title": "my_dog", "modelspec.resolution": "512x512", "modelspec.prediction_type": "epsilon",
        "modelspec.trigger_phrase": "sks dog", "modelspec.author": "me",
    }
    assert {key: held[key] for key in expected} == expected
    assert "modelspec.license" not in held  # nothing was said


def test_numbers_of_the_run():
    held = entries(run={"batch_size": 2, "gradient_accumulation": 3}, noise={"min_snr_gamma": 5.0})
    expected = {
        "ss_num_train_images": "40", "ss_num_reg_images": "8", "ss_num_batches_per_epoch": "24", "ss_num_epochs": "3",
        "ss_epoch": "3", "ss_steps": "30", "ss_max_train_steps": "36", "ss_lr_warmup_steps": "4",
        "ss_batch_size_per_device": "2", "ss_total_batch_size": "6", "ss_seed": "42", "ss_min_snr_gamma": "5.0",
        "ss_noise_offset": "None", "ss_training_started_at": str(BEGAN), "ss_unet_lr": "0.0001",
        "ss_text_encoder_lr": "None", "ss_lr_scheduler": "cosine", "ss_mixed_precision": "bf16",
    }
    assert {key: held[key] for key in expected} == expected
    assert [entries(step=step)["ss_epoch"] for step in (0, 12, 13)] == ["0", "1", "2"]
    assert entries(step=12)["ss_session_id"] == held["ss_session_id"]


def test_tables_of_the_data_set():
    held = entries()
    assert json.loads(held["ss_tag_frequency"])["10_sks dog"] == {"sks dog": 2, "grass": 1}
    assert json.loads(held["ss_dataset_dirs"]) == {"10_sks dog": {"n_repeats": 10, "img_count": 2}}
    assert json.loads(held["ss_reg_dataset_dirs"]) == {"1_dog": {"n_repeats": 1, "img_count": 1}}
    buckets = json.loads(held["ss_bucket_info"])["buckets"].values()
    assert sum(bucket["count"] for bucket in buckets) == 40  # 20 pictures, and as often the regularisation picture


@pytest.mark.proves("metadata.private")
def test_private_leaves_out_names_and_tags():
    open_file, private = entries(), entries(metadata={"private": True})
    assert "secret" in json.dumps(open_file) and "Grass".lower() in json.dumps(open_file)
    assert not any(word in json.dumps(private) for word in ("secret", "sks", "grass", "pictures"))
    assert private["ss_base_model_version"] == "sd_v1" and private["ss_num_train_images"] == "40"


def test_a_usage_hint_and_the_hash_of_a_single_file_base_are_told(tmp_path):
    held = entries(metadata={"usage_hint": "at 0.8, with euler"})
    assert held["modelspec.usage_hint"] == "at 0.8, with euler" and held["ss_sd_model_hash"] == "None"
    base = tmp_path / "base.safetensors"
    base.write_bytes(bytes(0x100000) + b"x" * 0x10000 + b"more")
    told = entries(model={"base": str(base)})
    assert told["ss_sd_model_hash"] == hashlib.sha256(b"x" * 0x10000).hexdigest()[:8]
    assert told["ss_new_sd_model_hash"] == hashlib.sha256(base.read_bytes()).hexdigest()
    assert held["ss_new_sd_model_hash"] == "None", "a hub name"
    private = entries(model={"base": str(base)}, metadata={"private": True})
    assert not {"ss_sd_model_hash", "ss_new_sd_model_hash"} & private.keys() and "ss_sd_model_name" not in private


def test_the_hash_of_a_base_is_reckoned_once_for_as_long_as_it_is_the_same(tmp_path, monkeypatch):
    base = tmp_path / "base.safetensors"
    base.write_bytes(b"one")
    read, digest = [], hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *given: (read.append(1), digest(*given))[1])
    assert hashes.long(str(base)) == hashes.long(str(base)) == hashlib.sha256(b"one").hexdigest()
    assert len(read) == 1
    base.write_bytes(b"another")
    assert hashes.long(str(base)) == hashlib.sha256(b"another").hexdigest() and len(read) == 2
    hashes.notebook().write_text("damaged")
    assert hashes.long(str(base)) == hashlib.sha256(b"another").hexdigest() and len(read) == 3
    assert hashes.long(str(tmp_path)) is hashes.long("someone/model") is None


def test_what_was_trained():
    convolutions = entries(lora={"denoiser": {"rank": 8, "alpha": 4, "layers": "all", "dropout": 0.1}})
    assert json.loads(convolutions["ss_network_args"]) == {"conv_dim": "8", "conv_alpha": "4.0"}
    assert convolutions["ss_network_dropout"] == "0.1" and convolutions["ss_scale_weight_norms"] == "None"
    own = {"rank": 8, "alpha": 4, "layers": "all", "conv_rank": 2, "rank_dropout": 0.2}
    sized = entries(lora={"max_norm": 1, "denoiser": own})
    assert json.loads(sized["ss_network_args"]) == {"conv_dim": "2", "conv_alpha": "1.0", "rank_dropout": "0.2"}
    assert sized["ss_scale_weight_norms"] == "1.0"
    assert entries(lora={"denoiser": own | {"conv_rank": 0, "rank_dropout": 0}})["ss_network_args"] == "{}"
    only_text = entries(lora={"denoiser": {"train": False}, "text_encoder": {"train": True, "rank": 2, "alpha": 1}})
    expected = {"ss_network_dim": "2", "ss_unet_lr": "None", "ss_text_encoder_lr": "5e-05"}
    assert {key: only_text[key] for key in expected} == expected
    second = SimpleNamespace(base_version="sd_v2_v", architecture="stable-diffusion-v2-768-v",
                             prediction_type="v_prediction")
    assert entries(second)["ss_v2"] == "True" and entries(second)["modelspec.prediction_type"] == "v"


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimisers_are_called_by_their_real_names(name):
    group = {"name": "denoiser", "params": [torch.nn.Parameter(torch.zeros(2))], "lr": 1.0}
    kind = type(optim.optimizer(OptimizerSettings(name=name), [group]))
    assert OPTIMIZERS[name] == f"{kind.__module__}.{kind.__qualname__}"
    assert entries(optimizer={"name": name})["ss_optimizer"].startswith(OPTIMIZERS[name] + "(weight_decay=0.01")


def test_schedules_have_the_names_that_others_know():
    from diffusers.optimization import SchedulerType

    names = [SCHEDULES.get(name, name) for name in ("constant", "linear", "cosine", "cosine_restarts", "polynomial")]
    assert all(SchedulerType(name) for name in names)
