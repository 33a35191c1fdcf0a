"""Settings and data set files of sd-scripts, and what breaks them."""

import random
from pathlib import Path

import pytest

from settings.errors import check
from settings.flags import nested
from trainer.config import TrainSettings
from trainer.imports.absent import ABSENT
from trainer.imports.reading import read, told
from trainer.imports.report import ImportProblem
from trainer.imports.translation import named

FLAT = """
pretrained_model_name_or_path = "flux1-dev.safetensors"
ae = "/models/ae.safetensors"
network_module = "networks.lora_flux"
network_dim = 16
network_alpha = 8
network_train_unet_only = true
network_args = ["loraplus_lr_ratio=4", "train_double_block_indices=0-3"]
learning_rate = 1e-4
timestep_sampling = "shift"
discrete_flow_shift = 3.1582
lr_scheduler = "cosine"
lr_warmup_steps = 100
max_train_steps = 1000
save_every_n_steps = 200
save_last_n_steps = 500
optimizer_type = "adafactor"
optimizer_args = ["relative_step=False", "scale_parameter=False", "warmup_init=False"]
fp8_base = true
train_data_dir = "/data/img"
resolution = "1024,1024"
mixed_precision = "bf16"
"""


def sectioned(text):
    """The same lines, as people group them."""
    lines = text.strip().splitlines()
    return "\n".join(["[model]", *lines[:2], "[network]", *lines[2:10], "[rest]", *lines[10:]])


def line(report, name):
    return next(line for line in report.lines if line.name == name)


def test_flat_and_in_sections_are_the_same():
    flat = told(FLAT)
    assert told(sectioned(FLAT)).values == flat.values
    values = flat.values
    assert values["model.family"] == "flux"
    assert (values["lora.denoiser.rank"], values["lora.denoiser.alpha"]) == (16, 8)
    assert values["lora.text_encoder.train"] is False and values["lora.denoiser.plus_ratio"] == 4
    assert (values["run.max_steps"], values["schedule.warmup"]) == (1000, 0.1)
    assert values["save.keep_last"] == 3  # 500 steps, one every 200
    assert (values["noise.timesteps"], values["noise.shift"]) == ("logit_normal", 3.1582)
    assert values["optimizer.name"] == "adafactor" and values["dataset.resolution"] == 1024
    assert {one.name for one in flat.of("left")} == {"ae"}
    assert values["memory.base_precision"] == "8bit"
    check(TrainSettings, nested(values))


def test_what_is_not_said_is_what_sd_scripts_does():
    report = told('pretrained_model_name_or_path = "x.safetensors"\n')
    wanted = {"run.max_steps": 1600, "schedule.name": "constant", "lora.denoiser.rank": 4, "lora.denoiser.alpha": 1,
              "lora.denoiser.learning_rate": 2e-6, "dataset.buckets": False, "lora.text_encoder.train": True}
    assert {path: report.values[path] for path in wanted} == wanted
    assert line(report, "lr_scheduler").given == "" and "not in the file" in line(report, "lr_scheduler").note


def test_epochs_come_before_steps():
    report = told('network_module = "networks.lora"\nmax_train_epochs = 7\nmax_train_steps = 99\n')
    assert report.values["run.epochs"] == 7 and report.values["run.max_steps"] is None


@pytest.mark.parametrize("said, wanted", [
    ('timestep_sampling = "sigmoid"', ("logit_normal", 1.0, None)),
    ('timestep_sampling = "flux_shift"', ("logit_normal", None, None)),
    ('timestep_sampling = "uniform"', ("uniform", 1.0, None)),
    ('timestep_sampling = "sigma"\nweighting_scheme = "logit_normal"\nlogit_mean = 0.5', ("logit_normal", 0, -0.5)),
    ('weighting_scheme = "cosmap"\ntraining_shift = 2.0', ("uniform", 2.0, None)),
])  # fmt: skip
def test_how_much_noise_flow_models_get(said, wanted):
    values = told(f'network_module = "networks.lora_sd3"\n{said}\n').values
    found = (values.get("noise.timesteps"), values.get("noise.shift", 0), values.get("noise.bias"))
    assert found == wanted


@pytest.mark.parametrize("steps, share", [("0.05", 0.05), ("160", 0.1), ("0", 0.0), ('"80"', 0.05)])
def test_a_warm_up_is_steps_or_a_share(steps, share):
    report = told(f'network_module = "networks.lora"\nlr_scheduler = "linear"\nlr_warmup_steps = {steps}\n')
    assert report.values["schedule.warmup"] == share


@pytest.mark.parametrize("said, ours", [("AdamW", "adamw"), ("bitsandbytes.optim.Lion8bit", "lion"), ("DAdaptation",
                                        "dadapt_adam"), ("PagedAdamW", "adamw"), ("pytorch_optimizer.CAME", "came")])
def test_optimisers_by_their_names(said, ours):
    assert told(f'network_module = "networks.lora"\noptimizer_type = "{said}"\n').values["optimizer.name"] == ours


def test_prompts_in_a_file_of_their_own(tmp_path):
    (tmp_path / "prompts.toml").write_text(
        '[prompt]\nwidth = 640\nnegative_prompt = "bad"\n[[prompt.subset]]\nprompt = "a cat"\nscale = 5\n'
        '[[prompt.subset]]\nprompt = "a dog"\nseed = 3\n')
    (tmp_path / "run.toml").write_text('network_module = "networks.lora"\nsample_prompts = "prompts.toml"\n')
    values = read(tmp_path / "run.toml").values
    assert values["preview.prompts"] == ["a cat", "a dog"] and values["preview.width"] == 640
    assert values["preview.guidance"] == 5 and values["preview.negative_prompt"] == "bad"
    lost = told('network_module = "networks.lora"\nsample_prompts = "/not/here.txt"\n')
    assert line(lost, "sample_prompts").kind == "left"


DATASET = """
[general]
enable_bucket = true
shuffle_caption = true
caption_extension = ".txt"

[[datasets]]
resolution = [768, 768]
batch_size = 4

  [[datasets.subsets]]
  image_dir = "/data/10_dog"
  num_repeats = 2
  keep_tokens = 1

  [[datasets.subsets]]
  image_dir = "/data/reg"
  is_reg = true
  class_tokens = "dog"
  flip_aug = true
  keep_tokens = 1

[[datasets]]
resolution = 512
batch_size = 4
no_such_key = 1

  [[datasets.subsets]]
  image_dir = "/data/10_dog"
  keep_tokens = 3
"""


def test_a_data_set_file():
    report = told(DATASET)
    rows = [(row.path, row.repeats, row.regularisation, row.class_words) for row in report.values["dataset.folders"]]
    assert rows == [("/data/10_dog", 2, False, ""), ("/data/reg", 1, True, "dog")]
    wanted = {"dataset.resolution": 768, "run.batch_size": 4, "captions.shuffle": True, "captions.keep_tokens": 1,
              "dataset.upscale": True, "dataset.bucket_max": 1024}
    assert {path: report.values[path] for path in wanted} == wanted
    others = {one.name for one in report.lines if "subset" in one.name}
    assert others == {"flip_aug of subset 2", "resolution of subset 3", "keep_tokens of subset 3",
                      "no_such_key of subset 3"}
    kinds = {one.kind for one in report.lines if one.name in others}
    assert kinds == {"left", "unknown"} and line(report, "no_such_key of subset 3").kind == "unknown"


SEVERAL = """
[[datasets]]
enable_bucket = true
resolution = {first}
  [[datasets.subsets]]
  image_dir = "/data/dog"
  num_repeats = 2
  [[datasets.subsets]]
  image_dir = "/data/cat"

[[datasets]]
enable_bucket = true
resolution = [768, 768]
  [[datasets.subsets]]
  image_dir = "/data/dog"
  num_repeats = {repeats}
  [[datasets.subsets]]
  image_dir = "/data/cat"
"""


def test_the_same_folders_at_two_resolutions():
    report = told(SEVERAL.format(first=512, repeats=2))
    assert (report.values["dataset.resolution"], report.values["dataset.more_resolutions"]) == (512, [768])
    assert [row.path for row in report.values["dataset.folders"]] == ["/data/dog", "/data/cat"]
    assert not [one.name for one in report.lines if "subset" in one.name]
    uneven = told(SEVERAL.format(first=512, repeats=1))
    assert "dataset.more_resolutions" not in uneven.values
    assert line(uneven, "resolution of subset 3").kind == "left"


def test_windows_and_colours_at_random():
    values = told('network_module = "networks.lora"\nrandom_crop = true\ncolor_aug = true\n').values
    assert (values["dataset.crop"], values["dataset.colour_jitter"]) == ("random", 0.2)
    values = told('network_module = "networks.lora"\nrandom_crop = false\ncolor_aug = false\n').values
    assert (values["dataset.crop"], values["dataset.colour_jitter"]) == ("centre", 0.0)
    faces = line(told('network_module = "networks.lora"\nface_crop_aug_range = "1.5,3"\n'), "face_crop_aug_range")
    assert faces.kind == "left" and "focus" in faces.note


def test_a_main_file_reads_its_data_set_file(tmp_path):
    (tmp_path / "data.toml").write_text(DATASET)
    (tmp_path / "run.toml").write_text('network_module = "networks.lora"\ndataset_config = "data.toml"\n')
    values = read(tmp_path / "run.toml").values
    assert values["dataset.resolution"] == 768 and values["run.max_steps"] == 1600
    (tmp_path / "lost.toml").write_text('network_module = "networks.lora"\ndataset_config = "gone.toml"\n')
    assert line(read(tmp_path / "lost.toml"), "dataset_config").kind == "left"


BROKEN = ["[[datasets]]\n", "datasets = 3\n", "datasets = [1]\n", "[datasets]\nx = 1\n", "[[datasets]]\nsubsets = 3\n",
          "general = 3\n[[datasets]]\n[[datasets.subsets]]\nimage_dir = 'x'\n", "a = 1\n", "no toml at all", "= 3"]


@pytest.mark.parametrize("text", BROKEN)
def test_broken_files_are_refused_in_a_sentence(text):
    with pytest.raises(ImportProblem) as error:
        told(text)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_file_is_read_or_refused_and_never_worse(seed):
    """Bytes changed at random: a report of settings that are right, or a sentence."""
    draw = random.Random(seed)
    letters = list(FLAT if seed % 2 else DATASET)
    for _ in range(draw.randint(1, 12)):
        letters[draw.randrange(len(letters))] = draw.choice('"[]{}=0-e\n\x00x')
    try:
        report = told("".join(letters))
    except ImportProblem as error:
        assert len(str(error)) < 300
        return
    assert check(TrainSettings, nested(report.values))


@pytest.mark.parametrize("kind", ["folder", "gone", "binary", "large"])
def test_files_that_are_none(kind, tmp_path):
    path = tmp_path / "settings.toml"
    if kind == "folder":
        path.mkdir()
    elif kind == "binary":
        path.write_bytes(bytes(range(256)))
    elif kind == "large":
        path.write_bytes(b"#" * 4_000_001)
    with pytest.raises(ImportProblem):
        read(Path(path))


@pytest.mark.parametrize("given, wanted", [
    ({"masked_loss": True}, "files"), ({"alpha_mask": True}, "alpha"),
    ({"masked_loss": True, "alpha_mask": True}, "either"), ({"masked_loss": False}, None),
])  # fmt: skip
def test_masks_are_those_of_files_or_of_transparency(given, wanted):
    lines = "\n".join(f"{name} = {str(value).lower()}" for name, value in given.items())
    report = told(f'pretrained_model_name_or_path = "a.safetensors"\n{lines}\nconditioning_data_dir = "/masks"\n')
    assert report.values.get("dataset.masked_loss") == wanted
    assert "masks/" in line(report, "conditioning_data_dir").note and not report.of("unknown")


PRESERVING = """
[[datasets]]
resolution = 512
[[datasets.subsets]]
image_dir = "/data/a"
CLASS_A
[[datasets.subsets]]
image_dir = "/data/b"
custom_attributes.diff_output_preservation = true
CLASS_B
"""


def test_a_subset_that_is_to_be_kept_as_it_is_is_no_folder_to_learn():
    words = PRESERVING.replace("CLASS_A", 'class_tokens = "sks dog"').replace("CLASS_B", 'class_tokens = "dog"')
    report = told(words)
    assert [folder.path for folder in report.values["dataset.folders"]] == ["/data/a"]
    wanted = {"prior.kind": "class_word", "prior.trigger": "sks dog", "prior.class_word": "dog"}
    assert {path: report.values.get(path) for path in wanted} == wanted
    report = told(PRESERVING.replace("CLASS_A", "").replace("CLASS_B", ""))
    assert [folder.path for folder in report.values["dataset.folders"]] == ["/data/a"]
    assert "class word" in line(report, "custom_attributes").note and "prior.kind" not in report.values
    ordinary = told(PRESERVING.replace("= true", "= false").replace("CLASS_A", "").replace("CLASS_B", ""))
    assert len(ordinary.values["dataset.folders"]) == 2


def test_what_a_setting_names_is_not_said_to_be_absent():
    assert not ABSENT.keys() & named().keys()
