"""The names in our files are those that other programs know, and every dialect is found again."""

import pytest
import torch

from tests.lora import attach, tiny_parts
from tests.models import full_size, golden_lines
from trainer.lora import inject
from trainer.lora.file import PRECISIONS
from trainer.lora.keys import INNER, STABLE_DIFFUSION, Naming, Part, canonical, dialect, group, split

SDXL_LIKE = Naming((
    Part("denoiser", "lora_unet", "unet"),
    Part("text_encoder", "lora_te1", "text_encoder", INNER),
    Part("text_encoder_2", "lora_te2", "text_encoder_2", INNER),
))
TRANSFORMER_LIKE = Naming((Part("denoiser", "lora_transformer", "transformer"),), style="diffusers")


def tiny(layers):
    parts = tiny_parts()
    attach(parts, layers=layers)
    return parts


def real(layers):
    parts = dict(zip(("denoiser", "text_encoder"), full_size("sd15")))
    attach(parts, layers=layers, rank=16, alpha=16.0)
    return parts


def lines_of(parts) -> list[str]:
    """What a file of these adapters holds, sorted: a key and its shape a line."""
    state = inject.state(parts)
    lines = []
    for name in inject.alphas(parts):
        keys = STABLE_DIFFUSION.keys(name)
        lines += [f"{keys['alpha']} scalar",
                  f"{keys['down']} {'x'.join(map(str, state[f'{name}.lora_A.weight'].shape))}",
                  f"{keys['up']} {'x'.join(map(str, state[f'{name}.lora_B.weight'].shape))}"]
    return sorted(lines)


def test_keys_of_the_tiny_model():
    assert lines_of(tiny("all")) == golden_lines("keys/sd15_tiny.txt")


def test_keys_of_the_real_architecture():
    parts = real("attention+ff")
    assert len(inject.layers(parts["denoiser"])) == 192
    assert len(inject.layers(parts["text_encoder"])) == 72
    assert lines_of(parts) == golden_lines("keys/sd15.txt")
    # Names that published files carry.
    held = {line.split()[0] for line in golden_lines("keys/sd15.txt")}
    assert {
        "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q.lora_down.weight",
        "lora_unet_mid_block_attentions_0_proj_in.alpha",
        "lora_unet_up_blocks_3_attentions_2_transformer_blocks_0_ff_net_0_proj.lora_up.weight",
        "lora_te_text_model_encoder_layers_11_mlp_fc2.lora_up.weight",
        "lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight",
    } <= held


def test_text_encoder_names_do_not_depend_on_transformers():
    flat, nested = "encoder.layers.0.mlp.fc1", "text_model.encoder.layers.0.mlp.fc1"
    assert canonical(flat) == canonical(nested) == flat
    assert STABLE_DIFFUSION.stem(f"text_encoder.{flat}") == "lora_te_text_model_encoder_layers_0_mlp_fc1"


@pytest.mark.parametrize("key", [
    "lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight",
    "lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_down.weight",
    "lora_te_encoder_layers_0_mlp_fc1.lora_down.weight",
    "text_encoder.text_model.encoder.layers.0.mlp.fc1.lora_A.weight",
    "text_encoder.encoder.layers.0.mlp.fc1.lora_linear_layer.down.weight",
    "text_encoder.base_model.model.text_model.encoder.layers.0.mlp.fc1.lora_A.weight",
    "base_model.model.text_model.encoder.layers.0.mlp.fc1.lora_A.default.weight",
    "text_encoder.encoder.layers.0.mlp.fc1.lora.down.weight",
])
def test_every_spelling_of_a_layer_is_found(key):
    index = STABLE_DIFFUSION.index(inject.learnable(tiny_parts()))
    assert group([key], index) == ({"text_encoder.encoder.layers.0.mlp.fc1": {"down": key}}, [])


def test_names_go_there_and_back_for_every_layer():
    layers = list(inject.learnable(dict(zip(("denoiser", "text_encoder"), full_size("sd15")))))
    index = STABLE_DIFFUSION.index(layers)
    assert [index[STABLE_DIFFUSION.stem(name)] for name in layers] == layers
    assert len({STABLE_DIFFUSION.stem(name) for name in layers}) == len(layers)


def test_keys_that_fit_nothing_are_given_back():
    index = STABLE_DIFFUSION.index(["denoiser.a.to_q"])
    layers, unmatched = group(["lora_unet_a_to_q.alpha", "lora_unet_a_to_k.alpha", "noise", ""], index)
    assert layers == {"denoiser.a.to_q": {"alpha": "lora_unet_a_to_q.alpha"}}
    assert unmatched == ["lora_unet_a_to_k.alpha", "noise", ""]


def test_a_family_is_one_table():
    two = ["text_encoder.encoder.layers.0.mlp.fc1", "text_encoder_2.encoder.layers.0.mlp.fc1"]
    assert [SDXL_LIKE.stem(name) for name in two] == [
        "lora_te1_text_model_encoder_layers_0_mlp_fc1", "lora_te2_text_model_encoder_layers_0_mlp_fc1"]
    index = SDXL_LIKE.index(two)
    assert index["text_encoder_2.text_model.encoder.layers.0.mlp.fc1"] == two[1]
    assert "base_model.model.encoder.layers.0.mlp.fc1" not in index  # could be either
    assert TRANSFORMER_LIKE.keys("denoiser.transformer_blocks.0.attn.to_q") == {
        "down": "transformer.transformer_blocks.0.attn.to_q.lora_A.weight",
        "up": "transformer.transformer_blocks.0.attn.to_q.lora_B.weight",
        "alpha": "transformer.transformer_blocks.0.attn.to_q.alpha",
    }


@pytest.mark.parametrize("key, role", [
    ("x.lora_up.weight", "up"), ("x.alpha", "alpha"), ("x.dora_scale", "dora_scale"), ("x.hada_w1_a", "hada_w1_a"),
    ("x.lora_mid.weight", "foreign"), ("x.lokr_w2", "lokr_w2"),
    ("x.lora_magnitude_vector", "lora_magnitude_vector"), ("x.hada_t1", "hada_t1"), ("x.oft_blocks", "oft_blocks"),
    ("x.weight", "unknown"), ("", "unknown"),
])
def test_roles_of_keys(key, role):
    assert split(key)[1] == role


@pytest.mark.parametrize("keys, name", [
    (["lora_unet_a.lora_down.weight"], "kohya"), (["base_model.model.a.lora_A.weight"], "peft"),
    (["unet.a.lora.down.weight"], "diffusers-old"), (["unet.a.lora_A.weight"], "diffusers"),
    (["transformer.a.lora_A.weight", "transformer.a.alpha"], "comfyui"), (["a.weight"], "unknown"), ([], "unknown"),
    (["lora_unet_double_blocks_0_img_attn_qkv.lora_up.weight"], "blocks"),
    (["lora_transformer_a.lora_down.weight"], "onetrainer"), (["clip_l.a.lora_down.weight"], "onetrainer"),
])
def test_dialects(keys, name):
    assert dialect(keys) == name


def test_precisions_are_the_choices_of_the_setting():
    from typing import get_args

    from trainer.config import SaveSettings

    choices = get_args(SaveSettings.model_fields["precision"].annotation)
    assert set(PRECISIONS) == set(choices)
    assert all(isinstance(dtype, torch.dtype) for dtype in PRECISIONS.values())
