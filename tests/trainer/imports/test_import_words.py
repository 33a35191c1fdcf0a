"""Presets of kohya_ss's textual inversion, which here is a word of a run that trains nothing else."""

import json

from settings.errors import check
from settings.flags import nested
from trainer.config import TrainSettings
from trainer.imports.reading import told

PRESET = {
    "token_string": "<my-dog>", "init_word": "dog", "num_vectors_per_token": "4", "template": "caption", "weights": "",
    "learning_rate": "5e-4", "train_batch_size": 2, "max_train_steps": 800, "save_precision": "fp16", "epoch": 1,
    "max_resolution": "512,512", "pretrained_model_name_or_path": "stable-diffusion-v1-5/stable-diffusion-v1-5",
}  # fmt: skip


def imported(**other):
    return told(json.dumps(PRESET | other))


def test_the_word_comes_along_and_nothing_else_learns():
    report = imported()
    config = check(TrainSettings, nested(report.values))
    (word,) = config.words.new
    assert (word.word, word.initialiser, word.vectors, word.learning_rate) == ("<my-dog>", "dog", 4, 5e-4)
    assert not config.adapters_learn and config.run.max_steps == 800
    assert not report.of("unknown") and not report.of("left")


def test_both_encoders_of_sdxl_and_a_template_that_has_no_counterpart():
    base = "stabilityai/stable-diffusion-xl-base-1.0"
    report = imported(sdxl=True, pretrained_model_name_or_path=base, template="style template", weights="/old.pt")
    config = check(TrainSettings, nested(report.values))
    assert config.model.family == "sdxl" and not config.adapters_learn and config.words.new[0].start_from == "/old.pt"
    assert [line.name for line in report.of("left")] == ["template"]


def test_a_word_that_can_not_be_written_here_is_told():
    report = imported(token_string="two words")
    assert "words.new" not in report.values and check(TrainSettings, nested(report.values))
    assert any("one word" in line.note for line in report.of("left"))


def test_without_a_word_it_is_a_lora():
    assert "words.new" not in imported(token_string="").values
