"""A run's LoRA in the other programs: PEFT and diffusers load what was written beside it, and predict the same."""

import base64
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from diffusers import DiffusionPipeline
from diffusers.loaders.lora_conversion_utils import (
    _convert_kohya_flux_lora_to_diffusers,
    _maybe_map_sgm_blocks_to_diffusers,
)
from peft import PeftModel
from PIL import Image

from settings.errors import SettingsError, check
from tests import models
from tests.lora import random_lora
from tests.trainer.reading import events
from trainer import command
from trainer.base_model.models import find
from trainer.config import MetadataSettings
from trainer.families import families
from trainer.families.base import View
from trainer.loop import train
from trainer.lora import dialects, thumbnail
from trainer.lora.adapter import Adapter
from trainer.lora.coverage import block, coverage
from trainer.lora.merge import merge
from trainer.lora.reading import load, updates

SMALL = 1e-5


@pytest.mark.proves("save.peft", "save.diffusers")
def test_a_run_writes_what_was_asked_for_and_says_what_it_learnt(configure, tmp_path):
    config = configure(
        run={"max_steps": 2}, preview={"prompts": ["sks"], "steps": 1}, metadata={"usage_hint": "at 0.8"},
        lora={"text_encoder": {"train": True}},
        save={"peft": True, "diffusers": True, "blocks": True, "folder": str(tmp_path / "out")})
    job = command.create(config)
    train(job.folder)
    naming, lora = families()["sd15"].naming, load(job.folder / "tiny.safetensors")
    layers = naming.layers()
    wanted, _ = updates(lora, naming, layers)
    for name in ("tiny-peft", "tiny-diffusers"):
        for place in (job.folder, tmp_path / "out"):
            found, unmatched = updates(load(place / name), naming, layers)
            assert not unmatched and found.keys() == wanted.keys()
            assert all(torch.equal(one.up, wanted[key].up) for key, one in found.items())
    assert not (job.folder / "tiny-blocks.safetensors").exists()  # SD 1.x has no such names
    assert lora.metadata["modelspec.usage_hint"] == "at 0.8"
    start, _, data = lora.metadata["modelspec.thumbnail"].partition(",")
    assert start == "data:image/jpeg;base64" and Image.open(io.BytesIO(base64.b64decode(data))).format == "JPEG"
    report = json.loads((job.folder / "coverage.json").read_text())
    assert report["layers"] == len(wanted) and {part["part"] for part in report["parts"]} == {
        "denoiser", "text_encoder"}
    (told,) = events(job, "coverage")
    assert [part["layers"] for part in told["parts"]] == [part["layers"] for part in report["parts"]]
    assert all(part["norm"] > 0 and not part["zero"] for part in told["parts"])


@pytest.mark.parametrize("said", [{"private": True}, {"thumbnail": False}])
@pytest.mark.proves("metadata.thumbnail")
def test_no_thumbnail_where_none_is_wanted(tmp_path, said):
    Image.new("RGB", (600, 300), "red").save(tmp_path / "00000004_00.png")
    assert thumbnail.entry(check(MetadataSettings, said), tmp_path) == {}
    shown = thumbnail.entry(MetadataSettings(), tmp_path)["modelspec.thumbnail"]
    assert Image.open(io.BytesIO(base64.b64decode(shown.partition(",")[2]))).size == (256, 128)
    (tmp_path / "00000005_00.png").write_bytes(b"half")
    assert thumbnail.entry(MetadataSettings(), tmp_path) == {}


# diffusers 0.42 takes the alphas of kohya's names for one a part, reads none of SD 3 and no block names of SD 1.x.
@pytest.mark.parametrize("name, alike, written", [
    ("sd15", False, ["diffusers", "diffusers-old", "peft"]),
    ("sd15", True, ["comfyui"]),
    ("sdxl", False, ["diffusers", "diffusers-old", "peft"]),
    ("sdxl", True, ["comfyui"]),
    ("sd3", False, ["diffusers", "peft"]),
    ("flux", False, ["diffusers", "peft"]),
    ("flux", True, ["comfyui"]),
])
def test_peft_and_diffusers_predict_what_our_merge_predicts(tmp_path, name, alike, written):
    base = getattr(models, f"tiny_{name}")(tmp_path / "base")
    family, parts = loaded(name, base)
    lora = scrambled(family, alike)
    before = predicted(family)
    merge({part: parts[part] for part in ("denoiser", *family.text_encoders)}, lora)
    wanted = predicted(family)
    assert (wanted - before).abs().max() > 1e-3
    for dialect in written:
        to = tmp_path / f"{dialect}.safetensors"
        dialects.write(to, lora, family.naming, dialect, {"ss_base_model_version": "x"})
        pipe = DiffusionPipeline.from_pretrained(base)
        if dialect == "peft":
            for part in ("denoiser", *family.text_encoders):
                folder = family.naming.part(part).diffusers
                own = PeftModel.from_pretrained(getattr(pipe, folder), to / folder)
                setattr(pipe, folder, own)
        else:
            pipe.load_lora_weights(to)
        theirs, _ = loaded(name, base)
        theirs._pipe = pipe
        found = predicted(theirs)
        assert (found - wanted).abs().max() <= SMALL * max(1.0, wanted.abs().max()), dialect


def test_block_names_of_sdxl_are_those_that_diffusers_finds_again():
    """Its reader knows no tiny models, so only the names go through it: all attention layers of the real one."""
    naming = families()["sdxl"].naming
    real = re.compile(r"denoiser\.(down_blocks\.[12]\.attentions\.[01]|up_blocks\.[01]\.attentions\.[012]|mid_block"
                      r"\.attentions\.0)\..*")
    layers = [name for name in naming.layers() if real.fullmatch(name)]
    assert len(layers) == 11 * (10 * 10 + 2)
    numbers = dict(enumerate(layers))
    lora = {name: Adapter(torch.full((1, 2), number), torch.ones(2, 1), 1.0) for number, name in numbers.items()}
    tensors = {key: one for key, one in dialects._blocks(lora, naming).items() if not key.endswith(".alpha")}
    found = _maybe_map_sgm_blocks_to_diffusers(tensors, SimpleNamespace(layers_per_block=2))
    spelled = {f"{naming.stem(name)}.lora_down.weight": number for number, name in numbers.items()}
    theirs = {"input_blocks": "down_blocks", "middle_block": "mid_block", "output_blocks": "up_blocks"}
    assert {re.sub("|".join(theirs), lambda part: theirs[part.group()], key): int(one[0, 0])
            for key, one in found.items() if "lora_down" in key} == spelled


def test_fused_layers_of_flux_are_cut_by_diffusers_as_by_us():
    """Its reader knows one size, the real one."""
    naming, generator = families()["flux"].naming, torch.Generator().manual_seed(0)
    lora = {}
    for stem in ("denoiser.transformer_blocks.3.attn.", "denoiser.single_transformer_blocks.5."):
        for name in naming.layers():
            if name.startswith(stem) and naming.piece(name):
                out = 12288 if name.endswith("proj_mlp") else 3072
                ins = 15360 if name.endswith("proj_out") else 3072
                lora[name] = Adapter(torch.randn(2, ins, generator=generator) / 50,
                                     torch.randn(out, 2, generator=generator) / 50, 1.0)
    found = _convert_kohya_flux_lora_to_diffusers(dict(dialects._blocks(lora, naming)))
    assert len(lora) == 8 + 6
    for name, one in lora.items():
        stem = naming.stem(name)
        delta = found[f"{stem}.lora_B.weight"].float() @ found[f"{stem}.lora_A.weight"].float()
        assert (delta - one.delta()).norm() <= 1e-5 * one.delta().norm(), name


def loaded(name: str, base: Path):
    family = families()[name]()
    return family, family.load(find(str(base)), torch.float32)


def scrambled(family, alike: bool) -> dict:
    """Random updates for all layers that can learn, with ranks and alphas that differ or are all `alike`."""
    found = random_lora(family.name, dtype=torch.float32, alike=alike)
    return {name: replace(one, up=one.up * 0.05, down=one.down * 0.3) for name, one in found.items()}


def predicted(family) -> torch.Tensor:
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        noisy, _ = family.encode_pictures(pixels)
        text = family.encode_captions(["a red dog"]) | family.conditions([View((64, 64), 0, 0, (64, 64))])
        step = torch.tensor([0.5]) if "flow" in family.traits else torch.tensor([500])
        return family.predict(noisy, step, text)


def test_coverage_tells_ranks_norms_and_what_never_moved():
    generator = torch.Generator().manual_seed(0)
    moved = Adapter(torch.randn(4, 6, generator=generator), torch.randn(5, 4, generator=generator), 2.0)
    convolution = Adapter(torch.randn(2, 3, 3, 3, generator=generator), torch.randn(5, 2, 1, 1, generator=generator), 8)
    still = Adapter(torch.randn(4, 6, generator=generator), torch.zeros(5, 4), 2.0)
    names = ["transformer_blocks.0.attn.to_q", "transformer_blocks.0.ff.net.2", "transformer_blocks.11.attn.to_q"]
    report = coverage({f"denoiser.{name}": one for name, one in zip(names, (moved, convolution, still))})
    (part,) = report["parts"]
    assert report["layers"] == 3 and part["zero"] == [names[2]]
    assert part["ranks"] == {"4": 2, "2": 1} and part["alphas"] == {"2": 2, "8": 1}
    sizes = [float(one.delta().norm()) for one in (moved, convolution)]
    assert part["norm"] == pytest.approx((sizes[0] ** 2 + sizes[1] ** 2) ** 0.5, rel=1e-5)
    assert [(one["name"], one["layers"], one["zero"]) for one in part["blocks"]] == [
        ("transformer_blocks.0", 2, 0), ("transformer_blocks.11", 1, 1)]
    assert part["blocks"][0]["kinds"] == ["attention", "feed-forward"]


@pytest.mark.parametrize("path, name", [
    ("down_blocks.0.attentions.1.transformer_blocks.0.attn1.to_q", "down_blocks.0.attentions.1"),
    ("mid_block.resnets.1.conv1", "mid_block.resnets.1"), ("up_blocks.1.upsamplers.0.conv", "up_blocks.1"),
    ("encoder.layers.10.mlp.fc1", "encoder.layers.10"), ("noise_refiner.1.feed_forward.w1", "noise_refiner.1"),
    ("conv_in", "outside the blocks"),
])
def test_blocks(path, name):
    assert block(path) == name


def test_a_lora_of_another_family_is_refused_by_name(configure, tmp_path):
    path = tmp_path / "a.safetensors"
    dialects.write(path, random_lora("flux"), families()["flux"].naming, "comfyui", {"ss_base_model_version": "flux1"})
    job = command.create(configure(lora={"weights": str(path)}))
    with pytest.raises(SettingsError, match="is a LoRA for FLUX.1, not for Stable Diffusion 1.x"):
        train(job.folder)
