"""What kohya says of layers: convolutions, blocks by number, LoRA+ by part, dropouts, norms, LoRAs under the base."""

import re

import pytest

from settings.errors import check
from settings.flags import nested
from trainer.config import TrainSettings
from trainer.families import families
from trainer.imports.layers import sd_blocks, sdxl_blocks, weights
from trainer.imports.rules import translated
from trainer.lora.layers import known
from trainer.lora.sizes import belongs, sizes


def imported(family="sd15", **arguments):
    marks = {"sdxl": {"sdxl": True}, "sd2": {"v2": True}}.get(family, {})
    return translated("test", {"network_dim": 16, "network_alpha": 8, **marks, **arguments}, window=bool(marks))


def table(report, family="sd15"):
    """The size of every layer that the imported settings give."""
    config = check(TrainSettings, nested(report.values | {"model.base": "a/b"}))
    lora = config.lora.denoiser
    assert config.model.family == family
    return sizes(lora, families()[family].layers[lora.layers], known(family), "lora.denoiser")


def line(report, name):
    return next(one for one in report.lines if one.name == name)


@pytest.mark.parametrize("family, named, count", [("sd15", sd_blocks(), 25), ("sdxl", sdxl_blocks(), 23)])
def test_every_layer_that_learns_is_in_one_of_their_blocks(family, named, count):
    assert len(named) == count
    for path in known(family):
        if re.fullmatch(families()[family].layers["all"], path):
            assert sum(belongs(path, block) for block in named if block) == 1, path


def test_single_blocks_are_where_kohya_has_them():
    path = "up_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
    assert [n for n, block in enumerate(sd_blocks()) if block and belongs(path, block)] == [12 + 1 + 3]
    path = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    assert [n for n, block in enumerate(sdxl_blocks()) if block and belongs(path, block)] == [11]
    assert belongs("down_blocks.0.downsamplers.0.conv", sd_blocks()[3])


def test_convolutions_have_their_rank():
    found = table(imported(network_args="conv_dim=4 conv_alpha=1"))
    assert found["down_blocks.0.resnets.0.conv1"].rank == 4 and found["down_blocks.0.resnets.0.conv1"].alpha == 1
    assert found["down_blocks.0.resnets.0.time_emb_proj"].rank == 16
    same = imported(network_args="conv_dim=16 conv_alpha=8").values
    assert same["lora.denoiser.layers"] == "all" and "lora.denoiser.conv_rank" not in same


def test_a_table_of_blocks_becomes_rows_and_nothing_is_lost():
    dims = ",".join(str(4 + number) for number in range(25))
    report = imported(network_args=["conv_dim=2", "conv_alpha=1", f"block_dims={dims}", "mid_lr_weight=0.5"])
    found = table(report)
    assert found["down_blocks.0.attentions.0.proj_in"].rank == 5
    assert found["up_blocks.3.attentions.2.proj_in"].rank == 28
    assert found["up_blocks.3.resnets.2.conv1"].rank == 2 and found["up_blocks.3.resnets.2.conv_shortcut"].rank == 28
    assert found["mid_block.attentions.0.proj_in"].rate == 0.5 and found["mid_block.resnets.0.conv1"].rate == 0.5
    assert line(report, "block_dims").kind == "changed"
    short = imported(network_args="block_dims=1,2,3")
    assert line(short, "block_dims").kind == "left" and "25" in line(short, "block_dims").note


def test_rates_by_block_and_what_is_below_the_threshold_does_not_learn():
    report = imported(network_args=["down_lr_weight=linear", "up_lr_weight=1,1,1,1,1,1,1,1,1,1,1,0.05",
                                    "block_lr_zero_threshold=0.1"])
    found = table(report)
    assert found["down_blocks.2.attentions.0.proj_in"].rate == pytest.approx(7 / 11)
    assert found["up_blocks.3.attentions.1.proj_in"].rate == 1
    assert not [path for path in found if path.startswith(("up_blocks.3.attentions.2", "down_blocks.0.attentions.0"))]


def test_curves_by_name():
    assert weights("linear", 3) == [0, 0.5, 1] and weights("reverse_linear+.25", 3) == [1.25, 0.75, 0.25]
    assert weights("cosine", 3) == pytest.approx([1, 0.5**0.5, 0]) and weights("zeros+1", 2) == [1, 1]
    assert weights("0.5", 3) == [0.5, 1, 1] and weights("", 2) == [1, 1]


def test_dropouts_norm_and_ratios_are_settings_now():
    args = ["rank_dropout=0.1", "module_dropout=0.2", "loraplus_unet_lr_ratio=4", "loraplus_text_encoder_lr_ratio=2"]
    values = imported(network_args=args, scale_weight_norms=1.5).values
    for part in ("denoiser", "text_encoder"):
        assert values[f"lora.{part}.rank_dropout"] == 0.1 and values[f"lora.{part}.module_dropout"] == 0.2
    assert values["lora.max_norm"] == 1.5
    assert values["lora.denoiser.plus_ratio"] == 4 and values["lora.text_encoder.plus_ratio"] == 2
    assert imported(scale_weight_norms=0).values.get("lora.max_norm") is None


def test_rank_dropout_of_lycoris_kinds_is_said_to_be_another():
    report = imported(network_module="lycoris.kohya", network_args=["algo=loha", "rank_dropout=0.1"])
    assert report.values["lora.denoiser.rank_dropout"] == report.values["lora.text_encoder.rank_dropout"] == 0.1
    assert line(report, "rank_dropout").kind == "changed" and "outputs" in line(report, "rank_dropout").note


def test_loras_under_the_base_model():
    values = imported(base_weights=["a.safetensors", "b.safetensors"], base_weights_multiplier=[0.5]).values
    rows = check(TrainSettings, nested(values | {"model.base": "a/b"})).model.merge
    assert [(row.file, row.strength) for row in rows] == [("a.safetensors", 0.5), ("b.safetensors", 1.0)]
