"""Presets of kohya_ss's window, written by hand as it saves them: switches as text, zeros that mean something, and
every field of every family whether used or not."""

import json

import pytest
from PIL import Image

from settings.errors import check
from settings.flags import nested
from trainer.config import TrainSettings
from trainer.imports.reading import told
from trainer.imports.report import ImportProblem

PRESET = {
    "LoRA_type": "Standard", "LyCORIS_preset": "full", "additional_parameters": "", "bucket_no_upscale": True,
    "bucket_reso_steps": 64, "cache_latents": "True", "cache_latents_to_disk": False, "caption_dropout_rate": 0.05,
    "caption_extension": ".txt", "clip_skip": "2", "conv_alpha": 1, "conv_dim": 1, "enable_bucket": "True",
    "epoch": 10, "flux1_checkbox": False, "flux1_t5xxl": "", "full_bf16": True, "gradient_accumulation_steps": 2,
    "gradient_checkpointing": True, "huber_c": 0.1, "huber_schedule": "snr", "keep_tokens": "1", "learning_rate": 1e-4,
    "loss_type": "l2", "lr_scheduler": "cosine_with_restarts", "lr_scheduler_num_cycles": "3", "lr_warmup": 10,
    "lr_warmup_steps": 0, "max_bucket_reso": 2048, "max_grad_norm": 0, "max_resolution": "512,512",
    "max_train_epochs": 0, "max_train_steps": 1600, "min_bucket_reso": 256, "min_snr_gamma": 0,
    "mixed_precision": "bf16", "network_alpha": 16, "network_dim": 32, "noise_offset": 0.05,
    "noise_offset_type": "Original", "optimizer": "AdamW8bit", "optimizer_args": "weight_decay=0.1 betas=0.9,0.99",
    "output_dir": "/out", "output_name": "my lora", "pretrained_model_name_or_path": "runwayml/stable-diffusion-v1-5",
    "prior_loss_weight": 0, "sample_every_n_epochs": 1, "sample_every_n_steps": 100, "sample_sampler": "euler_a",
    "sample_prompts": "# first\nsks dog --w 512 --h 768 --d 4 --l 7.5 --s 28 --n bad, ugly\n\na dog --w 640 --g 2",
    "save_every_n_epochs": 2, "save_last_n_epochs": 3, "save_model_as": "safetensors", "save_precision": "float",
    "sdxl": False, "seed": 0, "shuffle_caption": True, "text_encoder_lr": 5e-05, "train_batch_size": 2,
    "train_data_dir": "/data/img", "reg_data_dir": "/data/reg", "unet_lr": 0.0001, "v2": False, "xformers": "xformers",
    "wandb_api_key": "SECRET-KEY", "no_such_field": 5, "vae": "", "flux1_mystery": "",
}  # fmt: skip


def imported(**other):
    return told(json.dumps(PRESET | other))


def line(report, name):
    return next(line for line in report.lines if line.name == name)


def test_a_whole_preset_and_nothing_is_silent():
    report = imported()
    wanted = {
        "model.base": "stable-diffusion-v1-5/stable-diffusion-v1-5", "lora.denoiser.rank": 32,
        "lora.text_encoder.rank": 32, "lora.denoiser.alpha": 16, "lora.denoiser.learning_rate": 1e-4,
        "lora.text_encoder.train": True, "lora.text_encoder.learning_rate": 5e-5, "run.max_steps": 1600,
        "run.batch_size": 2, "run.gradient_accumulation": 2, "optimizer.name": "adamw8bit",
        "optimizer.weight_decay": 0.1, "optimizer.beta1": 0.9, "optimizer.beta2": 0.99, "optimizer.max_grad_norm": 0,
        "schedule.name": "cosine_restarts", "schedule.cycles": 3, "schedule.warmup": 0.1, "noise.min_snr_gamma": None,
        "noise.noise_offset": 0.05, "prior.weight": 0, "dataset.resolution": 512, "dataset.buckets": True,
        "dataset.upscale": False, "dataset.caption_extension": ".txt", "captions.shuffle": True,
        "captions.keep_tokens": 1, "captions.dropout": 0.05, "accelerate.mixed_precision": "bf16",
        "save.folder": "/out", "save.precision": "float32", "save.keep_last": 3, "save.every_epochs": 2,
        "name": "my_lora",
        "memory.gradient_checkpointing": True, "memory.cache_latents": True, "preview.every_epochs": 1,
        "preview.every_steps": 0, "preview.prompts": ["sks dog", "a dog"], "preview.width": 512, "preview.height": 768,
        "preview.seed": 4, "preview.guidance": 7.5, "preview.steps": 28, "preview.negative_prompt": "bad, ugly",
        "preview.sampler": "euler_a",
    }  # fmt: skip
    assert {path: report.values.get(path, "absent") for path in wanted} == wanted
    folders = [(row.path, row.regularisation) for row in report.values["dataset.folders"]]
    assert folders == [("/data/img", False), ("/data/reg", True)]
    assert {name for name in PRESET if name not in {line.name for line in report.lines}} <= {
        "optimizer", "max_resolution", "additional_parameters", "flux1_t5xxl"}  # told under sd-scripts' names
    check(TrainSettings, nested(report.values))


def test_each_is_in_its_group_with_a_reason():
    report = imported()
    kinds = {"network_dim": "kept", "save_precision": "changed", "full_bf16": "left", "no_such_field": "unknown",
             "conv_dim": "off", "flux1_mystery": "off", "epoch": "off"}
    assert {name: line(report, name).kind for name in kinds} == kinds
    assert all(line.note for line in report.lines if line.kind in ("changed", "left", "unknown"))
    assert "640" in line(report, "sample_prompts --w").note and line(report, "sample_prompts --g").kind == "left"
    assert "epochs come before" in line(report, "sample_every_n_steps").note
    assert "SECRET-KEY" not in report.text() and "SECRET-KEY" not in json.dumps(report.told())


@pytest.mark.parametrize("unet, text, learns", [(1e-4, 5e-5, (True, True)), (0, 5e-5, (False, True)),
                                                ("1e-4", "0", (True, False)), (0.0, 0.0, (True, True))])
def test_a_rate_of_zero_is_a_switch_and_two_are_none(unet, text, learns):
    values = imported(unet_lr=unet, text_encoder_lr=text).values
    assert (values.get("lora.denoiser.train", True), values["lora.text_encoder.train"]) == learns
    if (unet, text) == (0.0, 0.0):
        assert values["lora.denoiser.learning_rate"] == values["lora.text_encoder.learning_rate"] == 1e-4


def test_epochs_by_the_windows_own_formula(tmp_path):
    for name, count in (("img/10_sks dog", 7), ("img/3_sks cat", 2), ("img/no number", 4)):
        (tmp_path / name).mkdir(parents=True)
        for place in range(count):
            Image.new("RGB", (8, 8)).save(tmp_path / name / f"{place}.png")
    report = imported(max_train_steps=0, train_data_dir=str(tmp_path / "img"), lr_warmup_steps=19)
    steps = 380  # ceil((7 x 10 + 2 x 3) / 2 / 2 x 10 x 2)
    assert report.values["run.epochs"] == 10 and report.values["run.max_steps"] is None
    assert f"{steps} steps" in line(report, "epoch").note
    assert report.values["schedule.warmup"] == pytest.approx(19 / steps, abs=1e-6)


def test_a_warm_up_in_steps_needs_to_know_how_many_there_are():
    assert imported(lr_warmup_steps=80).values["schedule.warmup"] == 0.05
    report = imported(lr_warmup_steps=80, max_train_steps=0)
    assert line(report, "lr_warmup_steps").kind == "left" and "schedule.warmup" not in report.values
    assert imported(lr_scheduler="constant").values["schedule.warmup"] == 0
    assert imported(lr_scheduler="constant_with_warmup").values["schedule.name"] == "constant"


@pytest.mark.parametrize("said, resolution, changed", [("768", 768, False), ("1024,1024", 1024, False),
                                                       ("640, 960", 768, True), ("500,500", 512, True)])
def test_the_resolution_is_that_of_a_square(said, resolution, changed):
    report = imported(max_resolution=said)
    assert report.values["dataset.resolution"] == resolution
    assert (line(report, "resolution").kind == "changed") is changed


@pytest.mark.parametrize("fields, family", [({"sdxl": True}, "sdxl"), ({"LoRA_type": "Flux1"}, "flux"),
                                            ({"v2": True}, "sd2"),
                                            ({"pretrained_model_name_or_path": "/m/ponyDiffusion.safetensors"}, "sdxl"),
                                            ({"flux1_checkbox": True, "flux1_model_type": "chroma"}, "chroma")])
def test_the_family(fields, family):
    assert imported(**fields).values["model.family"] == family


def test_locon_is_a_choice_of_layers():
    report = imported(LoRA_type="Kohya LoCon", conv_dim=8, conv_alpha=4)
    assert report.values["lora.denoiser.layers"] == "all"
    assert (report.values["lora.denoiser.conv_rank"], report.values["lora.denoiser.conv_alpha"]) == (8, 4)
    assert line(imported(LoRA_type="LyCORIS/GLoRA"), "LoRA_type").kind == "left"


@pytest.mark.parametrize("fields, kind", [
    ({"LoRA_type": "LyCORIS/LoHa"}, "loha"), ({"LoRA_type": "Kohya LoKr"}, "lokr"),
    ({"LoRA_type": "LyCORIS/Diag-OFT"}, "oft"), ({"LoRA_type": "LyCORIS/LoCon", "dora_wd": True}, "dora"),
    ({"network_args": "algo=loha dora_wd=True"}, "loha"), ({"network_args": "algo=lora dora_wd=True"}, "dora"),
])
def test_kinds_of_adapter(fields, kind):
    report = imported(**fields)
    assert report.values["lora.kind"] == kind
    if kind == "loha" and "network_args" in fields:
        assert line(report, "dora_wd").kind == "left"


def test_the_factor_of_lokr():
    assert imported(LoRA_type="Kohya LoKr", factor=8).values["lora.factor"] == 8
    assert "lora.factor" not in imported(LoRA_type="Kohya LoKr", factor=-1).values
    assert line(imported(factor=8), "factor").kind == "off"


def test_the_noise_that_was_not_chosen_is_off():
    report = imported(noise_offset_type="Multires", multires_noise_iterations=6)
    assert "noise.noise_offset" not in report.values and line(report, "multires_noise_iterations").kind != "off"
    assert line(imported(multires_noise_iterations=6), "multires_noise_iterations").kind == "off"


def test_prodigy_has_one_rate():
    report = imported(optimizer="Prodigy", unet_lr=1.0, text_encoder_lr=0.5, optimizer_args="d_coef=2 decouple=True")
    assert report.values["lora.text_encoder.learning_rate"] == 1.0 and report.values["optimizer.name"] == "prodigy"
    assert line(report, "optimizer_args decouple").kind == "off"


def test_what_contradicts_the_rest_is_left_with_the_reason():
    report = imported(gpu_ids="0,1", num_processes=1, min_bucket_reso=1024, bucket_no_upscale=False)
    assert "as many GPUs" in line(report, "gpu_ids").note and "accelerate.gpu_ids" not in report.values
    assert line(report, "min_bucket_reso").kind == "left"
    check(TrainSettings, nested(report.values))


@pytest.mark.parametrize("name, value", [("network_dim", 100_000), ("train_batch_size", "many"), ("seed", -3),
                                         ("network_alpha", [1]), ("mixed_precision", "int4"), ("epoch", "x")])
def test_a_value_that_is_refused_here_is_told(name, value):
    report = imported(**{name: value}, **({"max_train_steps": 0} if name == "epoch" else {}))
    assert line(report, name).kind in ("left", "off")
    check(TrainSettings, nested(report.values))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"a": 1}', "\x00", "[" * 100_000])
def test_what_is_no_preset_is_refused_in_a_sentence(text):
    with pytest.raises(ImportProblem, match="JSON|TOML"):
        told(text)


def test_further_flags_count():
    report = imported(additional_parameters='--min_snr_gamma 5 --training_comment "two words" --zero_terminal_snr')
    assert report.values["noise.min_snr_gamma"] == 5 and report.values["metadata.comment"] == "two words"


def test_how_captions_are_read_comes_along_where_the_family_can():
    said = {"clip_skip": "2", "max_token_length": "225", "weighted_captions": True}
    report = imported(**said)
    ours = {"captions.clip_skip": 2, "captions.length": 225, "captions.weighted": True}
    assert {path: report.values[path] for path in ours} == ours
    xl = imported(**said, sdxl=True, pretrained_model_name_or_path="stabilityai/stable-diffusion-xl-base-1.0")
    assert xl.values["model.family"] == "sdxl" and xl.values["captions.length"] == 225
    assert "captions.clip_skip" not in xl.values and line(xl, "clip_skip").kind == "off"
    usual = imported(clip_skip="1", max_token_length="75", weighted_captions=False)
    assert {path: usual.values.get(path) for path in ours} == {
        "captions.clip_skip": 1, "captions.length": 75, "captions.weighted": False}
