"""A wrong base model is one sentence, from its header alone."""

import json
import struct

import pytest
import torch
from safetensors.torch import save_file

from trainer.base_model.models import ModelError, find, fitting


def refused(base, **options) -> str:
    with pytest.raises(ModelError) as error:
        fitting(str(base), "sd15", **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_is_not_there_and_what_is_no_model(tmp_path):
    assert "nothing at" in refused(tmp_path / "none.safetensors")
    (tmp_path / "empty").mkdir()
    assert "model_index.json" in refused(tmp_path / "empty")
    (tmp_path / "empty" / "model_index.json").write_text("{not json")
    assert "no JSON" in refused(tmp_path / "empty")
    for name, data in {
        "zero": b"",
        "page": b"<!doctype html> not found",
        "cut": struct.pack("<Q", 5000) + b"{",
        "bomb": struct.pack("<Q", 2**60) + b"{}",
        "list": struct.pack("<Q", 2) + b"[]",
    }.items():
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(data)
        assert "no safetensors file" in refused(path), name


def test_pickles_only_after_a_yes(tmp_path):
    path = tmp_path / "model.ckpt"
    torch.save({}, path)
    assert "trust_pickle" in refused(path)
    assert fitting(str(path), "sd15", trust_pickle=True).kind == "pickle"


@pytest.mark.parametrize(
    "key, said",
    [
        ("lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight", "LoRA"),
        ("conditioner.embedders.0.transformer.text_model.final_layer_norm.bias", "SDXL"),
        ("double_blocks.0.img_attn.norm.key_norm.scale", "FLUX"),
        ("cond_stage_model.model.ln_final.bias", "SD 2.x"),
        ("something.else", "1 tensors"),
    ],
)
def test_another_kind_of_file_is_named(tmp_path, key, said):
    save_file({key: torch.zeros(2)}, tmp_path / "file.safetensors")
    message = refused(tmp_path / "file.safetensors")
    assert said in message and "expected Stable Diffusion 1.x" in message


def test_a_folder_of_another_family_is_named(tmp_path, tiny):
    index = json.loads((tiny / "model_index.json").read_text()) | {"_class_name": "StableDiffusionXLPipeline"}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    assert "StableDiffusionXLPipeline" in refused(tmp_path)


def test_a_model_that_was_exchanged_is_read_anew(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    assert list(find(str(path)).shapes) == ["a"]
    save_file({"b": torch.zeros(3, 4)}, path)
    assert find(str(path)).shapes == {"b": (3, 4)}


def test_inpainting_models_are_not_taken_for_plain_ones(tmp_path):
    save_file(
        {
            "cond_stage_model.transformer.text_model.x": torch.zeros(1),
            "model.diffusion_model.input_blocks.0.0.weight": torch.zeros(8, 9, 3, 3),
        },
        tmp_path / "inpaint.safetensors",
    )
    assert "expected Stable Diffusion 1.x" in refused(tmp_path / "inpaint.safetensors")


def test_hub_names_are_taken_at_their_word():
    assert fitting("someone/some-model", "sd15").kind == "hub"
