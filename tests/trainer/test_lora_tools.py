"""LoRA files of other programs are told, refused and written anew, from the shell and in code."""

import json

import pytest
import safetensors.torch
import torch

from tests.lora import random_lora
from trainer.families import families
from trainer.lora import dialects
from trainer.lora.adapter import Adapter
from trainer.lora.keys import DIALECTS, LoraError
from trainer.lora.reading import load
from trainer.tools import command
from trainer.tools.convert import convert
from trainer.tools.inspect import inspect
from trainer.tools.recognise import recognised


def written(folder, family, dialect="comfyui", **metadata):
    to = folder / f"{family}.safetensors"
    dialects.write(to, random_lora(family), families()[family].naming, dialect, metadata)
    return to


@pytest.mark.parametrize("family", families())
def test_a_file_says_its_family_by_metadata_and_most_by_names(tmp_path, family):
    kind = families()[family]
    version = kind.base_version if isinstance(kind.base_version, str) else "sd_v2"
    path = written(tmp_path, family, ss_base_model_version=version)
    if family != "sd2":  # its names are those of SD 1.x, and a tiny model has no widths to tell it by
        assert recognised(load(path)).family.name == family
    assert recognised(load(path), family).family.name == family


@pytest.mark.parametrize("family, name, width", [
    ("sd15", "denoiser.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k", 768),
    ("sd2", "denoiser.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k", 1024),
    ("sdxl", "denoiser.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k", 2048),
    ("sd3", "denoiser.transformer_blocks.0.attn.to_q", 2432),
    ("flux", "denoiser.transformer_blocks.0.attn.to_q", 3072),
])
def test_layers_of_one_name_are_told_apart_by_their_width(tmp_path, family, name, width):
    lora = {name: Adapter(torch.ones(1, width), torch.ones(8, 1), 1.0)}
    dialects.write(tmp_path / "a", lora, families()[family].naming, "comfyui", {})
    assert recognised(load(tmp_path / "a")).family.name == family
    other = {"sd15": "sdxl", "sd2": "sd15", "sdxl": "sd15", "sd3": "flux", "flux": "sd3"}[family]
    with pytest.raises(LoraError, match=f"for {families()[family].label}, not for {families()[other].label}"):
        recognised(load(tmp_path / "a"), other)


def test_a_chain_through_all_dialects_ends_where_it_began(tmp_path):
    path = written(tmp_path, "sdxl", ss_base_model_version="sdxl_base_v1-0", ss_tag_frequency="{}")
    first = load(path)
    for dialect in (*DIALECTS, "comfyui"):
        path = convert(path, dialect).path
    last = load(path)
    assert first.tensors.keys() == last.tensors.keys() and first.metadata == last.metadata
    assert all(torch.equal(one, last.tensors[key]) for key, one in first.tensors.items())


def test_names_are_chosen_so_that_nothing_is_overwritten(tmp_path):
    path = written(tmp_path, "sd15")
    first, second = convert(path, "diffusers"), convert(path, "diffusers")
    assert [one.path.name for one in (first, second)] == ["sd15-diffusers", "sd15-diffusers-2"]
    with pytest.raises(LoraError, match="nothing is overwritten"):
        convert(path, "kohya", to=first.path)


def test_keys_that_fit_nothing_are_counted_and_a_stranger_is_refused(tmp_path):
    path = written(tmp_path, "sd15")
    tensors = safetensors.torch.load_file(path)
    tensors["lora_unet_who_knows.lora_down.weight"] = torch.ones(1, 1)
    safetensors.torch.save_file(tensors, path)
    report = inspect(path)
    assert report["unmatched"] == {"count": 1, "examples": ["lora_unet_who_knows.lora_down.weight"]}
    assert len(convert(path, "peft").unmatched) == 1
    safetensors.torch.save_file({"blocks.0.q.lora_up.weight": torch.ones(1, 1)}, path)
    with pytest.raises(LoraError, match="none of its 1 keys .* fits a family"):
        inspect(path)


def test_the_shell_tells_and_converts(tmp_path, capsys):
    path = written(tmp_path, "flux", ss_output_name="x" * 300)
    assert command.main(["inspect", str(path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["family"]["name"] == "flux" and report["coverage"]["layers"] == len(random_lora("flux"))
    assert [part["part"] for part in report["coverage"]["parts"]] == ["denoiser", "text_encoder"]
    assert command.main(["inspect", str(path)]) == 0
    said = capsys.readouterr().out
    assert "FLUX.1" in said and "single_transformer_blocks.0" in said and "(300 characters)" in said
    assert command.main(["convert", str(path), "--to", "blocks", "--out", str(tmp_path / "b.safetensors")]) == 0
    assert "layers of FLUX.1" in capsys.readouterr().out
    assert "lora_unet_single_blocks_0_linear1.alpha" in safetensors.torch.load_file(tmp_path / "b.safetensors")
    assert command.main(["convert", str(path), "--to", "kohya", "--family", "sd15"]) == 2
    assert "is a LoRA for FLUX.1, not for Stable Diffusion 1.x" in capsys.readouterr().err
