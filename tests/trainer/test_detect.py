"""What is said of a base model before anything is loaded."""

import json
import math
import struct

import pytest

from tests.models import header_of
from trainer.base_model.detect import detect, millions

UNET = "model.diffusion_model.input_blocks.0.0.weight"


def checkpoint(path, channels=4, dtype="BF16", **others):
    """The header of a single file that looks like SD 1.x, and nothing after it."""
    names = {UNET: [320, channels, 3, 3], "cond_stage_model.transformer.x.weight": [8, 8]} | others
    header = {name: {"dtype": dtype, "shape": shape, "data_offsets": [0, 0]} for name, shape in names.items()}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    return str(path)


def test_a_folder(tiny):
    found = detect(str(tiny), "sd15")
    facts = dict(found.facts)
    assert found.family == "sd15" and found.problem == "" and "epsilon" in facts["Predicts"]
    header = header_of(tiny / "unet" / "diffusion_pytorch_model.safetensors")
    count = sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
    assert facts["Size"] == f"{millions(count)} weights in the denoiser, float32"
    wrong = detect(str(tiny), "sdxl")
    assert wrong.family == "sd15" and "expected Stable Diffusion XL" in wrong.problem


def test_a_single_file(tmp_path):
    found = detect(checkpoint(tmp_path / "a.safetensors", v_pred=[]), "sd15")
    facts = dict(found.facts)
    assert found.family == "sd15" and not found.problem and "velocity" in facts["Predicts"]
    assert facts["Size"] == "0.0115 million weights in the denoiser, bfloat16"


@pytest.mark.parametrize("channels, word", [(9, "inpainting"), (8, "editing")])
def test_models_that_are_given_a_picture_too_are_refused(channels, word, tmp_path):
    found = detect(checkpoint(tmp_path / "a.safetensors", channels), "sd15")
    assert word in found.problem and "choose the ordinary one" in found.problem


@pytest.mark.parametrize("typed, said", [("/nothing/here", "there is nothing"), ("a\0b", "nothing"), ("", ""),
                                         ("a" * 5000, "aaa…', and it is no hub name"), ("author/model", "")])
def test_what_cannot_be_looked_into(typed, said):
    found = detect(typed, "sd15")
    assert found.family == "" and said in found.problem and bool(said) is bool(found.problem)
    assert len(found.problem) < 310


def test_a_lora_is_no_base_model(tmp_path):
    path = checkpoint(tmp_path / "a.safetensors", **{"lora_unet_x.lora_down.weight": [4, 4]})
    text = json.dumps({"lora_unet_x.lora_down.weight": {"dtype": "F16", "shape": [4, 4], "data_offsets": [0, 0]}})
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(text)) + text.encode())
    assert "LoRA" in detect(path, "sd15").problem


def test_pickles_are_taken_at_their_word_only_when_trusted(tmp_path):
    (tmp_path / "a.ckpt").write_bytes(b"x")
    assert "pickle" in detect(str(tmp_path / "a.ckpt"), "sd15").problem
    assert detect(str(tmp_path / "a.ckpt"), "sd15", trust_pickle=True).problem == ""


def test_counts_in_words():
    assert [millions(count) for count in (2_567_500_000, 859_500_000, 7_140_000)] == ["2.6 billion", "860 million",
                                                                                     "7.14 million"]
