"""The tables of layers are those of the real models, and what is reckoned with them is right."""

import math
import sys
from pathlib import Path

import pytest

from settings.errors import check
from tests.models import full_size
from trainer.config import TrainSettings
from trainer.families import families
from trainer.lora import inject, layers
from trainer.lora.sizes import sizes
from trainer.needs import memory
from trainer.remarks import about_layers


@pytest.fixture(scope="module")
def made():
    docs = str(Path(__file__).resolve().parents[3] / "docs")
    sys.path.insert(0, docs)
    try:
        import make_layers

        yield make_layers
    finally:
        sys.path.remove(docs)


def test_every_family_has_a_table_and_that_of_the_unet_is_the_real_ones():
    """Those of the transformers are compared where they are built (tests/trainer/families/test_full_sizes.py)."""
    assert {path.stem for path in layers.FOLDER.glob("*.txt")} == set(families())
    assert layers.known("sd15") == inject.shapes(full_size("sd15")[0])


def test_odd_numbers_come_apart_and_together_again(made, tmp_path, monkeypatch):
    table = {f"blocks.{a}.layers.{b}.to_q": (4, 4) for a, b in ((0, 0), (0, 1), (1, 0), (7, 3), (8, 3), (9, 3))}
    table |= {"blocks.0.to_out.0": (2, 4, 3, 3), "conv_in": (1, 2)}
    (tmp_path / "odd.txt").write_text(made.written(table))
    monkeypatch.setattr(layers, "FOLDER", tmp_path)
    assert layers.known.__wrapped__("odd") == table and "{" in made.written(table)


def test_blocks_are_named_as_their_layers_begin():
    for family in families():
        named, paths = layers.blocks(family), layers.known(family)
        assert named and len(set(named)) == len(named)
        assert all(any(path.startswith(f"{name}.") for path in paths) for name in named)
    assert layers.blocks("sd15")[:3] == ["down_blocks.0", "down_blocks.0.attentions.0", "down_blocks.0.attentions.1"]
    assert "mid_block" in layers.blocks("sdxl") and layers.blocks("flux")[-1] == "transformer_blocks.18"


def config(family="sdxl", **denoiser) -> TrainSettings:
    return check(TrainSettings, {"model": {"family": family}, "lora": {"denoiser": {"rank": 8, **denoiser}}})


def learnt(now: TrainSettings) -> float:
    """Millions of weights, from the plan's arithmetic."""
    return memory.adapters(now, families()[now.model.family].footprint) / 4e-3


@pytest.mark.parametrize("family", ["sd15", "sdxl", "flux"])
@pytest.mark.parametrize("said", [
    {}, {"layers": "all", "conv_rank": 2}, {"only": ["attn"]}, {"layers": "any", "exclude": ["blocks"]},
    {"blocks": [{"block": ".*blocks.0", "rank": 1}, {"block": ".*blocks.1", "rank": 0}]},
])
def test_the_plan_counts_the_weights_of_every_layer_with_its_rank(family, said):
    now = config(family, **said)
    shapes, kind = layers.known(family), families()[family]
    pattern = (kind.layers | {"any": ".*"})[now.lora.denoiser.layers]
    found = sizes(now.lora.denoiser, pattern, shapes, "lora.denoiser")
    exact = sum(size.rank * (shapes[path][0] + math.prod(shapes[path][1:])) for path, size in found.items()) / 1e6
    assert learnt(now) == pytest.approx(exact, rel=0.01)


def test_a_pattern_that_no_published_model_has_is_said_with_the_plan():
    assert not about_layers(config(only=["attn2"]))
    assert "attn9" in about_layers(config(only=["attn9"]))["lora.denoiser.only"]
    rows = [{"block": "mid_block"}, {"block": "down_blocks.7", "rank": 2}, {"block": "middle"}]
    told = about_layers(config(blocks=rows))["lora.denoiser.blocks"]
    assert "down_blocks.7" in told and "middle" in told and "mid_block" not in told.split(";")[0]


def test_layers_that_no_update_reaches_are_said_with_the_plan():
    """Sana's convolutions of single channels, and a LoKr's larger matrices that are learnt whole."""
    said = about_layers(config("sana", layers="any"))["lora.denoiser.layers"]
    assert said.startswith("20 convolutions of each channel by itself do not learn, such as transformer_blocks.")
    assert not about_layers(config("sana", layers="all")) and not about_layers(config("flux", layers="any"))

    def dropping(kind, rank):
        now = config(rank=rank, rank_dropout=0.1)
        return about_layers(now.model_copy(update={"lora": now.lora.model_copy(update={"kind": kind})}))

    assert not dropping("loha", 64) and not dropping("lokr", 4)
    some, every = (dropping("lokr", rank)["lora.denoiser.rank_dropout"] for rank in (16, 512))
    assert "no effect on 722 of 722 layers" in every and "of 722 layers" in some
    assert some != every
