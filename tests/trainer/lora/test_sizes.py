"""Which layers learn, how large each update is and how fast: table, adapters, groups of the optimiser, and file."""

import pytest
import torch

from settings.errors import SettingsError, check, warnings
from tests.lora import scramble, tiny_parts
from tests.models import full_size
from trainer.beginning import attach
from trainer.config import DenoiserLora, TextEncoderLora, TrainSettings
from trainer.families import families
from trainer.lora import file, inject, keys, peft_folders, reading, targets
from trainer.lora.adapter import Adapter
from trainer.lora.coverage import coverage
from trainer.lora.sizes import Size, sizes

DOWN = "down_blocks.0.attentions.0"


@pytest.fixture(scope="module")
def shapes():
    return inject.shapes(tiny_parts()["denoiser"])


def chosen(shapes, **said) -> dict[str, Size]:
    lora = check(DenoiserLora, said)
    return sizes(lora, (targets.UNET | {"any": ".*"})[lora.layers], shapes, "lora.denoiser")


def test_without_more_all_are_alike(shapes):
    found = chosen(shapes, rank=4, alpha=2)
    assert set(found.values()) == {Size(4, 2.0)} and "conv_in" not in found
    assert list(found) == [path for path in shapes if path in found], "in the model's order"


@pytest.mark.proves("lora.denoiser.layers", "lora.denoiser.only", "lora.denoiser.exclude")
def test_any_means_every_layer_and_only_and_exclude_narrow(shapes):
    assert chosen(shapes, layers="any").keys() == shapes.keys() and "conv_in" in shapes
    some = chosen(shapes, layers="any", only=["attn2", r"^conv_(in|out)$"], exclude=["to_out", "up_blocks"])
    assert some.keys() == {path for path in shapes if path in ("conv_in", "conv_out")
                           or ("attn2" in path and "to_out" not in path and "up_blocks" not in path)}
    assert chosen(shapes, only=["attn2"]).keys() == {path for path in chosen(shapes) if "attn2" in path}


def test_a_convolution_of_each_channel_by_itself_never_learns():
    """PEFT takes none whose rank its groups don't divide, and Sana has them."""
    shapes = {"conv_depth": (64, 1, 3, 3), "conv_in": (64, 4, 3, 3), "of_one": (1, 1, 3, 3), "linear": (64, 1)}
    assert chosen(shapes, layers="any").keys() == {"conv_in", "of_one", "linear"}


@pytest.mark.proves("lora.denoiser.conv_rank", "lora.denoiser.conv_alpha")
def test_convolutions_of_more_than_one_pixel_have_their_own_size(shapes):
    found = chosen(shapes, rank=8, alpha=4, layers="all", conv_rank=2)
    wide = {path for path in found if shapes[path][2:] == (3, 3)}
    assert wide and all(found[path] == (Size(2, 1.0) if path in wide else Size(8, 4.0)) for path in found)
    assert any(shapes[path][2:] == (1, 1) for path in found), "those of one pixel count with the others"
    assert chosen(shapes, layers="all", conv_rank=2, conv_alpha=3)[next(iter(wide))] == Size(2, 3.0)
    assert not wide & chosen(shapes, layers="all", conv_rank=0).keys()


@pytest.mark.proves(
    "lora.denoiser.blocks.block", "lora.denoiser.blocks.rank", "lora.denoiser.blocks.alpha",
    "lora.denoiser.blocks.rate",
)
def test_the_first_row_that_fits_counts_before_everything_else(shapes):
    rows = [{"block": f"{DOWN}.transformer_blocks.0.attn1", "rank": 2},
            {"block": "down_blocks.0", "alpha": 5, "rate": 0.5},
            {"block": r"up_blocks\.\d", "rank": 0}, {"block": "up_blocks.1", "rank": 7}]
    found = chosen(shapes, rank=8, alpha=4, layers="all", conv_rank=3, blocks=rows)
    assert found[f"{DOWN}.transformer_blocks.0.attn1.to_q"] == Size(2, 1.0)
    assert found[f"{DOWN}.transformer_blocks.0.attn2.to_q"] == Size(8, 5.0, 0.5)
    assert found["down_blocks.0.resnets.0.conv1"] == Size(3, 5.0, 0.5)
    assert found["mid_block.attentions.0.proj_in"] == Size(8, 4.0)
    assert not [path for path in found if path.startswith("up_blocks")]


def test_a_block_is_not_another_that_begins_alike():
    _, flux = "down_blocks.1", {f"transformer_blocks.{number}.attn.to_q": (4, 4) for number in (1, 10, 11)}
    lora = DenoiserLora(blocks=[{"block": "transformer_blocks.1", "rank": 2}])
    found = sizes(lora, targets.FLUX["attention"], flux, "lora.denoiser")
    assert [size.rank for size in found.values()] == [2, 16, 16]


@pytest.mark.parametrize("said, setting", [
    ({"only": ["attn3"]}, "only"),
    ({"exclude": ["attn1", "text_model"]}, "exclude"),
    ({"blocks": [{"block": "mid_block", "rank": 2}, {"block": "middle"}]}, "blocks.1.block"),
    ({"only": ["conv_in"]}, "only"),
    ({"exclude": ["."]}, "exclude"),
    ({"blocks": [{"block": ".*", "rank": 0}]}, "blocks"),
])
def test_what_fits_nothing_is_an_error_that_names_layers(shapes, said, setting):
    with pytest.raises(SettingsError) as caught:
        chosen(shapes, **said)
    assert list(caught.value.problems) == [f"lora.denoiser.{setting}"]
    assert any(path in caught.value.problems[f"lora.denoiser.{setting}"] for path in shapes)


def test_patterns_are_checked_with_the_settings():
    with pytest.raises(SettingsError) as caught:
        check(DenoiserLora, {"only": ["attn(", "ff"], "exclude": ["*"], "blocks": [{"block": ""}, {"block": "[1"}]})
    assert set(caught.value.problems) == {"only", "exclude", "blocks.0.block", "blocks.1.block"}


def test_what_an_optimiser_can_not_follow_is_said_before():
    def problems(optimizer, **lora):
        try:
            check(TrainSettings, {"optimizer": {"name": optimizer}, "lora": lora})
        except SettingsError as error:
            return set(error.problems)
        return set()

    rows = {"denoiser": {"learning_rate": 1, "blocks": [{"block": "mid_block", "rank": 2},
                                                        {"block": "up_blocks", "rate": 2}]}}
    assert problems("prodigy", **rows) == {"lora.denoiser.blocks.1.rate"} and not problems("adamw", **rows)
    assert problems("schedulefree_adamw", max_norm=1) == {"lora.max_norm"} and not problems("lion", max_norm=1)


def test_what_has_no_effect_is_said():
    assert "conv_rank" in warnings(check(DenoiserLora, {"conv_rank": 4}))
    assert not warnings(check(DenoiserLora, {"conv_rank": 4, "layers": "all"}))
    assert "conv_alpha" in warnings(check(DenoiserLora, {"conv_alpha": 4, "layers": "all"}))


def test_a_text_encoder_is_the_same_everywhere():
    text = tiny_parts()["text_encoder"]
    found = sizes(TextEncoderLora(rank=2, alpha=1), targets.CLIP, inject.shapes(text), "lora.text_encoder")
    assert set(found.values()) == {Size(2, 1.0)} and len(found) == 12


def settings(**denoiser) -> TrainSettings:
    lora = {"denoiser": denoiser, "text_encoder": {"train": True, "rank": 2, "alpha": 2, "learning_rate": 2e-5}}
    return check(TrainSettings, {"lora": lora, "accelerate": {"mixed_precision": "no"},
                                 "memory": {"gradient_checkpointing": False}})


ROWS = [{"block": "down_blocks", "rank": 2, "alpha": 4, "rate": 0.5}, {"block": "mid_block", "rank": 0}]


@pytest.fixture
def attached():
    parts = tiny_parts()
    config = settings(rank=8, alpha=4, learning_rate=1e-3, layers="all", conv_rank=3, plus_ratio=4, blocks=ROWS)
    trained, groups = attach(config, families()["sd15"](), parts)
    return trained, groups


def test_each_adapter_is_as_large_as_the_table_says(attached):
    trained, _ = attached
    alphas, layers = inject.alphas(trained), inject.layers(trained["denoiser"])
    assert not [path for path in layers if path.startswith("mid_block")]
    for path, layer in layers.items():
        rank = 2 if path.startswith("down") else 3 if layer.get_base_layer().weight.shape[2:] == (3, 3) else 8
        down, up = inject.weights(layer).values()
        assert down.shape[0] == rank == up.shape[1]
        assert alphas[f"denoiser.{path}"] == pytest.approx(4 if path.startswith("down") else rank / 2)


def test_each_rate_has_its_group_and_the_second_matrix_its_multiple(attached):
    trained, groups = attached
    rates = {group["name"]: group["lr"] for group in groups}
    assert rates == {"denoiser": 1e-3, "denoiser B": 4e-3, "denoiser x0.5": 5e-4, "denoiser B x0.5": 2e-3,
                     "text_encoder": 2e-5}
    of = {id(weight): group["name"] for group in groups for weight in group["params"]}
    for name, weight in inject.named_weights(trained):
        part, path = name.split(".", 1)
        second = " B" if "lora_B" in path and part == "denoiser" else ""
        assert of[id(weight)] == part + second + (" x0.5" if path.startswith("down") else "")
    assert sum(len(group["params"]) for group in groups) == len(of) == len(inject.state(trained))


def test_the_file_and_its_reading_keep_every_rank_and_alpha(attached, tmp_path):
    trained, _ = attached
    scramble(trained)
    state, alphas, naming = inject.state(trained), inject.alphas(trained), families()["sd15"].naming
    path = tmp_path / "lora.safetensors"
    file.save(path, state, alphas, naming=naming, metadata={}, dtype=torch.float32)
    assert file.verify(path, state, alphas, naming=naming).layers == len(alphas)
    found = file.match(reading.load(path), tiny_parts(), naming).adapters
    assert {name: (one.rank, one.alpha) for name, one in found.items()} == {
        name: (state[f"{name}.lora_A.weight"].shape[0], pytest.approx(alpha)) for name, alpha in alphas.items()}
    part = next(part for part in coverage(found)["parts"] if part["part"] == "denoiser")
    assert set(part["ranks"]) == {"2", "3", "8"} and sum(part["ranks"].values()) == part["layers"]


def test_pefts_config_gives_the_same_ranks_and_alphas_to_peft(attached):
    from peft import LoraConfig, inject_adapter_in_model

    trained, _ = attached
    state, alphas = inject.state(trained), inject.alphas(trained)
    adapters = {name.removeprefix("denoiser."): Adapter(
        state[f"{name}.lora_A.weight"], state[f"{name}.lora_B.weight"], alpha)
        for name, alpha in alphas.items() if name.startswith("denoiser.")}
    config = {key: value for key, value in peft_folders.config_of(adapters, exact=True).items() if key != "peft_type"}
    other = tiny_parts()["denoiser"]
    inject_adapter_in_model(LoraConfig(**config), other, "default")
    ours = inject.alphas({"denoiser": other})
    assert ours == pytest.approx({name: alpha for name, alpha in alphas.items() if name.startswith("denoiser.")})


def test_many_sizes_on_a_full_size_model_take_no_time():
    """PEFT looks every layer up in a list of patterns: one for each size, not one for each layer."""
    unet, _ = full_size("sd15")
    rows = [{"block": f"down_blocks.{number}", "rank": 2 + number} for number in range(4)]
    found = chosen(inject.shapes(unet), layers="all", blocks=rows)
    taken = inject.AdapterSpec("denoiser", found).patterns({path: path for path in found})
    assert len(found) == 278 and len(taken["rank_pattern"]) == len(set(found.values())) - 1 <= 4


def test_every_layer_of_the_model_has_a_name_in_files(shapes):
    naming = families()["sd15"].naming
    written = [naming.keys(f"denoiser.{path}")["down"] for path in chosen(shapes, layers="any")]
    assert len(set(written)) == len(written) and isinstance(naming, keys.Naming)
