"""What kohya's FLUX trainer says of layers: the same layers learn here, at the same rank and rate."""

import re

import pytest

from settings.errors import check
from settings.flags import nested
from trainer.config import TrainSettings
from trainer.families import families
from trainer.imports.rules import translated
from trainer.imports.values import pairs
from trainer.lora.layers import known
from trainer.lora.sizes import sizes

BEFORE = ("x_embedder", "context_embedder", "time_text_embed.")


def imported(*network_args, **others):
    given = {"network_module": "networks.lora_flux", "network_dim": 16, "network_alpha": 8, "unet_lr": 1e-4}
    return translated("test", given | others | {"network_args": list(network_args)})


def table(report):
    config = check(TrainSettings, nested(report.values | {"model.base": "a/b"}))
    lora = config.lora.denoiser
    return sizes(lora, (families()["flux"].layers | {"any": ".*"})[lora.layers], known("flux"), "lora.denoiser")


def line(report, name):
    return next(one for one in report.lines if one.name == name)


def test_a_plain_lora_learns_all_linear_layers_of_the_blocks():
    """304 of FLUX there, where queries, keys and values are one layer (and of single blocks the way in too)."""
    found = table(imported())
    joined = {re.sub(r"(attn\.)(to_[qkv]|add_[qkv]_proj)$", lambda name: f"{name[1]}{name[2][:2]}", path)
              for path in found}
    singles = {path for path in joined if path.startswith("single") and path.endswith("proj_mlp")}
    assert len(joined - singles) == 304 and {size.rank for size in found.values()} == {16}


def test_ranks_by_pattern_are_those_of_the_first_that_is_found_in_kohyas_names():
    report = imported("network_reg_dims=single_blocks_([0-9])_linear1=4,double_blocks_1_img=32,img_attn=2,txt_mod=0")
    found = table(report)
    rank = {path: size.rank for path, size in found.items()}
    assert rank["single_transformer_blocks.3.attn.to_q"] == rank["single_transformer_blocks.3.proj_mlp"] == 4
    assert rank["single_transformer_blocks.3.proj_out"] == rank["single_transformer_blocks.30.attn.to_q"] == 16
    assert rank["transformer_blocks.1.attn.to_q"] == rank["transformer_blocks.1.ff.net.2"] == 32
    assert rank["transformer_blocks.2.attn.to_out.0"] == 2 and rank["transformer_blocks.2.attn.add_q_proj"] == 16
    assert not [path for path in rank if path.endswith("norm1_context.linear")] and {one.alpha for one in
                                                                                      found.values()} == {8}
    assert len(report.values["lora.denoiser.blocks"]) <= 6 and line(report, "network_reg_dims").kind == "changed"


def test_rates_by_pattern_are_shares_of_the_parts_rate():
    found = table(imported("network_reg_lrs=single_blocks=5e-5,double_blocks_0_=0"))
    assert {size.rate for path, size in found.items() if path.startswith("single")} == {0.5}
    assert {size.rate for path, size in found.items() if path.startswith("transformer_blocks.3.")} == {1}
    assert not [path for path in found if path.startswith("transformer_blocks.0.")]
    assert {size.rank for size in found.values()} == {16}


def test_numbered_blocks_learn_and_the_others_do_not():
    found = table(imported("train_double_block_indices=0,3-5", "train_single_block_indices=none"))
    assert {path.split(".")[1] for path in found} == {"0", "3", "4", "5"}
    assert all(path.startswith("transformer_blocks.") for path in found)
    both = imported("train_double_block_indices=all", "train_single_block_indices=all")
    every = families()["flux"].layers["all"]
    assert len(table(both)) == len([path for path in known("flux") if re.fullmatch(every, path)])
    assert "lora.denoiser.blocks" not in both.values


def test_kinds_of_layers_have_their_ranks():
    rank = {path: size.rank for path, size in table(
        imported("img_attn_dim=2", "txt_mlp_dim=3", "single_dim=0", "single_mod_dim=5")).items()}
    assert rank["transformer_blocks.7.attn.to_v"] == 2 and rank["transformer_blocks.7.ff_context.net.2"] == 3
    assert rank["transformer_blocks.7.ff.net.2"] == 16 and rank["single_transformer_blocks.7.norm.linear"] == 5
    assert not [path for path in rank if path.startswith("single") and not path.endswith("norm.linear")]


def test_layers_before_the_blocks():
    found = table(imported("in_dims=[4,0,2,0,6]"))
    before = {path: size.rank for path, size in found.items() if path.startswith(BEFORE)}
    assert before == {"x_embedder": 4, "context_embedder": 6, "time_text_embed.text_embedder.linear_1": 2,
                      "time_text_embed.text_embedder.linear_2": 2}
    blocks = table(imported("in_dims=0,0,0,0,0"))
    assert found.keys() - before.keys() == blocks.keys()
    single = table(imported("in_dims=4,0,0,0,0", "train_blocks=single"))
    assert {path.split(".")[0] for path in single} == {"x_embedder", "single_transformer_blocks"}


def test_a_pattern_that_is_none_is_left_and_other_families_have_none():
    report = imported("network_reg_dims=single[=4")
    assert line(report, "network_reg_dims").kind == "left"
    other = translated("test", {"network_dim": 4, "network_args": ["network_reg_dims=mid=4"]})
    assert line(other, "network_reg_dims").kind == "left" and "lora.denoiser.blocks" not in other.values


@pytest.mark.parametrize("given", [
    ["conv_dim=4", "network_reg_dims=a=1,b[0-9]=2"], "conv_dim=4 network_reg_dims=a=1,b[0-9]=2",
    'network_reg_dims="a=1,b[0-9]=2" conv_dim=4',
])
def test_pairs_inside_a_value_stay_together(given):
    assert pairs(given) == {"conv_dim": "4", "network_reg_dims": "a=1,b[0-9]=2"}
