"""Random LoRAs of every family go through every dialect and come back the same, to the bit."""

import pytest
import safetensors.torch
import torch
from diffusers import FluxTransformer2DModel, SD3Transformer2DModel, UNet2DConditionModel

from tests.lora import random_lora
from tests.models import full_size, golden_lines, header_of
from trainer.families import configs, families
from trainer.lora import dialects, inject, native, reading
from trainer.lora.adapter import Adapter
from trainer.lora.keys import LoraError
from trainer.lora.reading import load, updates
from trainer.tools.recognise import recognised

WITH_BLOCKS = [name for name, family in families().items() if family.naming.part("denoiser").original("x_embedder")
               or family.naming.part("denoiser").original("conv_in")]
CHOICES = [(family, dialect) for family in families() for dialect in dialects.DIALECTS
           if dialect != "blocks" or family in WITH_BLOCKS]


GOLDEN = [("sd15", "peft"), ("sdxl", "blocks"), ("sdxl", "peft"), ("sdxl", "diffusers-old"), ("sd3", "blocks"),
          ("flux", "blocks"), ("flux", "peft"), ("flux", "kohya"), ("chroma", "blocks"), ("qwen_image", "kohya")]


@pytest.mark.parametrize("family, dialect", CHOICES)
def test_there_and_back_is_the_same_to_the_bit(tmp_path, family, dialect):
    naming = families()[family].naming
    for seed in range(2):
        lora = random_lora(family, seed)
        to = tmp_path / f"{seed}"
        dialects.write(to, lora, naming, dialect, {"modelspec.title": "ü"})
        file = load(to)
        found, unmatched = updates(file, naming, lora)
        assert not unmatched and found.keys() == lora.keys()
        assert file.metadata["modelspec.title"] == "ü"
        fused = {name for name in lora if (piece := naming.piece(name)) and not piece.alone and dialect == "blocks"}
        for name, one in found.items():
            if name in fused:  # the alphas of pieces that learnt apart went into their weights
                assert torch.equal(one.down, lora[name].down)
                wanted = lora[name].delta()
                assert (one.delta() - wanted).norm() <= 1e-6 * wanted.norm()
            else:
                assert one.alpha == lora[name].alpha
                assert torch.equal(one.down, lora[name].down) and torch.equal(one.up, lora[name].up)


def test_pieces_that_share_their_down_stay_shared(tmp_path):
    naming, generator = families()["flux"].naming, torch.Generator().manual_seed(0)
    whole = Adapter(torch.randn(4, 6, generator=generator), torch.randn(21, 4, generator=generator), 2.0)
    names = [f"denoiser.single_transformer_blocks.3.{name}" for name in ("attn.to_q", "attn.to_k", "attn.to_v",
                                                                         "proj_mlp")]
    parts = reading.cut(whole, naming, names, "it")
    assert [one.up.shape for one in parts.values()] == [(3, 4)] * 3 + [(12, 4)]
    assert torch.allclose(torch.cat([one.delta() for one in parts.values()]), whole.delta(), atol=1e-6)
    (name, again), = dialects.joined(parts, naming).items()
    assert name == "single_blocks.3.linear1" and again.alpha == 2.0
    assert torch.equal(again.down, whole.down) and torch.equal(again.up, whole.up)
    with pytest.raises(LoraError, match="20 rows"):
        reading.cut(Adapter(whole.down, whole.up[:20], 2.0), naming, names, "it")


def test_what_cannot_be_written_is_refused_and_nothing_is_overwritten(tmp_path):
    lora = {name: one for name, one in random_lora("sd15").items() if name.startswith("text_encoder.")}
    naming = families()["sd15"].naming
    (tmp_path / "a").write_text("mine")
    with pytest.raises(LoraError, match="nothing is overwritten"):
        dialects.write(tmp_path / "a", lora, naming, "kohya", {})
    assert (tmp_path / "a").read_text() == "mine"
    with pytest.raises(LoraError, match="no name of its own for denoiser.norm_out.linear"):
        one = next(iter(lora.values()))
        dialects.write(tmp_path / "b", {"denoiser.norm_out.linear": one}, families()["flux"].naming, "blocks", {})
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_hashes_and_alphas_of_a_diffusers_file_are_in_its_header(tmp_path):
    dialects.write(tmp_path / "d", random_lora("sdxl"), families()["sdxl"].naming, "diffusers",
                   {"ss_a": "1", "lora_adapter_metadata": "stale"})
    path = tmp_path / "d" / reading.DIFFUSERS_WEIGHTS
    header = header_of(path)["__metadata__"]
    assert "unet.alpha_pattern" in header["lora_adapter_metadata"] and len(header["sshs_model_hash"]) == 64
    assert not any("alpha" in key for key in safetensors.torch.load_file(path))


@pytest.mark.parametrize("family, dialect", GOLDEN)
def test_keys_of_other_dialects_are_the_golden_lists(tmp_path, family, dialect):
    dialects.write(tmp_path / "a", random_lora(family, alike=True), families()[family].naming, dialect, {})
    assert keys_in(tmp_path / "a") == golden_lines(f"keys/dialects/{family}_{dialect}.txt")


def keys_in(path) -> list[str]:
    """Sorted; those of a folder with the file that each is in."""
    if path.is_file():
        return sorted(safetensors.torch.load_file(path))
    return sorted(f"{one.relative_to(path).as_posix()} {key}" for one in path.rglob("*.safetensors")
                  for key in safetensors.torch.load_file(one))


# Names of other programs, written out by hand

A, B = torch.ones(2, 6), torch.ones(6, 2)


@pytest.mark.parametrize("family, stem, name", [
    ("sdxl", "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q",
     "denoiser.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"),
    ("sdxl", "unet.output_blocks.2.2.conv", "denoiser.up_blocks.0.upsamplers.0.conv"),
    ("sdxl", "lora_unet.mid_block.resnets.1.conv1", "denoiser.mid_block.resnets.1.conv1"),
    ("sdxl", "clip_g.text_model.encoder.layers.31.mlp.fc2", "text_encoder_2.encoder.layers.31.mlp.fc2"),
    ("sd15", "unet.output_blocks.2.1.conv", "denoiser.up_blocks.0.upsamplers.0.conv"),
    ("sd15", "clip_l.text_model.encoder.layers.3.self_attn.q_proj", "text_encoder.encoder.layers.3.self_attn.q_proj"),
    ("sd3", "lora_transformer_transformer_blocks_7_attn_add_k_proj",
     "denoiser.transformer_blocks.7.attn.add_k_proj"),
    ("sd3", "transformer.joint_blocks.3.x_block.attn2.qkv.1", "denoiser.transformer_blocks.3.attn2.to_k"),
    ("flux", "transformer.single_blocks.9.linear1.3", "denoiser.single_transformer_blocks.9.proj_mlp"),
    ("flux", "lora_unet_double_blocks_0_img_mod_lin", "denoiser.transformer_blocks.0.norm1.linear"),
    ("qwen_image", "lora_transformer_transformer_blocks_5_attn_to_out_0",
     "denoiser.transformer_blocks.5.attn.to_out.0"),
])
def test_names_of_other_programs_are_read(tmp_path, family, stem, name):
    path = tmp_path / "a.safetensors"
    tensors = {f"{stem}.lora_down.weight": A, f"{stem}.lora_up.weight": B, f"{stem}.alpha": torch.tensor(1.0)}
    safetensors.torch.save_file(tensors, path)
    found = recognised(load(path), family)
    assert list(found.adapters) == [name] and found.adapters[name].alpha == 1.0 and not found.unmatched


@pytest.mark.parametrize("family", families())
def test_no_two_layers_of_a_blueprint_have_one_name(family):
    naming = families()[family].naming
    layers = naming.layers()
    pieces = [piece for name in layers if name.startswith("denoiser.") and (piece := naming.piece(name))]
    assert len({(piece.name, piece.number) for piece in pieces}) == len(pieces)
    index = naming.index(layers)
    assert [index[naming.stem(name)] for name in layers] == layers


def test_blueprints_hold_every_layer_of_the_real_models():
    unet, text = full_size("sd15")
    held = set(families()["sd15"].naming.layers())
    learnable = inject.learnable({"denoiser": unet, "text_encoder": text})
    assert learnable.keys() <= held
    with torch.device("meta"):
        sdxl = UNet2DConditionModel(**{key: value for key, value in configs.UNET_SDXL.items() if key[0] != "_"})
        flux = FluxTransformer2DModel(guidance_embeds=True)
        sd3 = SD3Transformer2DModel(num_layers=38, dual_attention_layers=tuple(range(13)))
    for name, denoiser in (("sdxl", sdxl), ("flux", flux), ("sd3", sd3)):
        assert inject.learnable({"denoiser": denoiser}).keys() <= set(families()[name].naming.layers())


def test_every_piece_of_an_original_layer_is_ours():
    for family in ("flux", "sd3"):
        naming = families()[family].naming
        for original, names in naming.fused(naming.layers()).items():
            pieces = [naming.piece(name) for name in names]
            assert [piece.number for piece in pieces] == list(range(len(pieces[0].shares))), original
    piece = native.Piece("single_blocks.4.linear1", 3, (1, 1, 1, 4))
    assert native.flux("single_transformer_blocks.4.proj_mlp") == piece
