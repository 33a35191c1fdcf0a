"""Files in ComfyUI's layout that hold text encoders and VAE too: these are read from the file, and only what it lacks
is asked for."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from settings.errors import SettingsError
from tests import models, single_file
from tests.trainer.families.test_one_file import WRITERS, narrow  # noqa: F401  a fixture
from trainer.base_model.detect import detect
from trainer.base_model.models import ModelError, find, fitting
from trainer.families import configs, families, flow_configs
from trainer.plan import plan

ENCODERS = {
    "sd3": {"text_encoder": "clip_l", "text_encoder_2": "clip_g", "text_encoder_3": "t5xxl"},
    "flux": {"text_encoder": "clip_l", "text_encoder_2": "t5xxl"},
    "chroma": {"text_encoder": "t5xxl"},
}
VAES = {"sd3": "first_stage_model.", "flux": "vae.", "chroma": "vae."}
T5_TOKENIZER = {"sd3": "tokenizer_3", "flux": "tokenizer_2", "chroma": "tokenizer"}


@pytest.fixture(scope="module", params=ENCODERS)
def made(request, tmp_path_factory):
    """(family's name, folder, file with all in it) of a tiny model."""
    name, where = request.param, tmp_path_factory.mktemp("models")
    folder = getattr(models, f"tiny_{name}")(where / name)
    return name, *with_file(name, folder)


def with_file(name, folder, without=()):
    """The folder, whose CLIP-L says in sum what it says (as that of SD 3 does), and a file of all but `without`."""
    if name == "sd3":
        path = next((folder / "text_encoder").glob("*.safetensors"))
        save_file(load_file(path) | {"text_projection.weight": torch.eye(32)}, path, metadata={"format": "pt"})
    bare = WRITERS[name](folder, folder.with_suffix(".safetensors"))
    encoders = {part: said for part, said in ENCODERS[name].items() if part not in without}
    return folder, single_file.all_in_one(bare, folder, encoders, VAES[name])


def same(found, wanted):
    assert found.keys() == wanted.keys()
    for part, module in wanted.items():
        ours, theirs = found[part].state_dict(), module.state_dict()
        assert type(found[part]) is type(module) and ours.keys() == theirs.keys()
        assert all(torch.equal(tensor, ours[key]) for key, tensor in theirs.items()), part


def test_all_parts_are_those_of_the_folder_it_was_made_from(made, narrow, tmp_path):  # noqa: F811
    name, folder, path = made
    parts = shutil.copytree(folder, tmp_path / "components")
    for weights in parts.glob("*/*.safetensors"):
        weights.unlink()  # nothing but configs and tokenizers is left
    family, whole = families()[name](), families()[name]()
    found = family.load(fitting(str(path), name, components=str(parts)), torch.float32)
    same(found, whole.load(find(str(folder)), torch.float32))
    captions = ["a red dog", ""]
    for key, tensor in whole.encode_captions(captions).items():
        assert torch.equal(tensor, family.encode_captions(captions)[key])
    loaded = family.load(fitting(str(path), name, components=str(parts)), torch.bfloat16)
    assert {part: module.dtype for part, module in loaded.items()} == {
        part: torch.float32 if part == "vae" else torch.bfloat16 for part in loaded}


def published_as(folder, monkeypatch, name):
    """As if the tiny model were the published one, in a home of its own."""
    told = dict(find(str(folder)).configs) | {"scheduler": {"_class_name": "FlowMatchEulerDiscreteScheduler"} | find(
        str(folder)).configs["scheduler"]}
    known = {"sd3": "SD3", "flux": "FLUX_DEV"}[name]
    monkeypatch.setattr(flow_configs, known, dict(getattr(flow_configs, known)) | told)
    monkeypatch.setattr(configs, "tokenizer", models.clip_tokenizer)
    monkeypatch.setenv("LORATORY_HOME", str(folder.parent / f"home-{name}"))


@pytest.mark.parametrize("name", ["sd3", "flux"])
def test_a_folder_with_no_more_than_t5s_tokenizer_will_do(name, narrow, tmp_path, monkeypatch, configure):  # noqa: F811
    folder, path = with_file(name, getattr(models, f"tiny_{name}")(tmp_path / name))
    published_as(folder, monkeypatch, name)
    tokenizer = T5_TOKENIZER[name]
    shutil.copytree(folder / tokenizer, tmp_path / "only" / tokenizer)
    family, whole = families()[name](), families()[name]()
    assert plan(configure(model={"family": name, "base": str(path), "components": str(tmp_path / "only")}))
    found = family.load(fitting(str(path), name, components=str(tmp_path / "only")), torch.float32)
    same(found, whole.load(find(str(folder)), torch.float32))
    assert all(torch.equal(tensor, family.encode_captions(["a dog"])[key])
               for key, tensor in whole.encode_captions(["a dog"]).items())
    assert family.process().shift((16, 64, 64)) == whole.process().shift((16, 64, 64))
    with pytest.raises(SettingsError, match=f"has no {tokenizer}/"):
        (tmp_path / "empty").mkdir()
        plan(configure(model={"family": name, "base": str(path), "components": str(tmp_path / "empty")}))


def test_sd3_with_its_clips_and_without_t5_wants_nothing_more(narrow, tmp_path, monkeypatch, configure):  # noqa: F811
    folder, path = with_file("sd3", models.tiny_sd3(tmp_path / "sd3"), without=("text_encoder_3",))
    published_as(folder, monkeypatch, "sd3")
    assert plan(configure(model={"family": "sd3", "base": str(path)})).total_steps
    family = families()["sd3"]()
    assert "text_encoder_3" not in family.load(fitting(str(path), "sd3"), torch.float32)
    words = family.encode_captions(["a dog"])["words"]
    assert words.shape == (1, 77 + 256, 64) and not words[:, 77:].any()
    assert ("Holds", "transformer, CLIP-L, CLIP-G and VAE") in detect(str(path), "sd3").facts


def test_what_it_holds_and_what_it_lacks_is_said(made, configure, tmp_path):
    name, folder, path = made
    label, tokenizer = families()[name].label, T5_TOKENIZER[name]
    said = {"sd3": "transformer, CLIP-L, CLIP-G, T5 and VAE", "flux": "transformer, CLIP-L, T5 and VAE",
            "chroma": "transformer, T5 and VAE"}[name]
    with pytest.raises(SettingsError) as error:
        plan(configure(model={"family": name, "base": str(path)}))
    problem = error.value.problems["model.components"]
    wanted = f"{tokenizer}/" if name != "chroma" else "tokenizer/ and scheduler/"
    assert f"holds {said}: choose a diffusers folder or hub name of {label} for {wanted}" in problem
    assert ("no more than that will do" in problem) == (name != "chroma")
    facts = dict(detect(str(path), name).facts)
    assert facts["Holds"] == said and facts["Lacks"].startswith(wanted)
    lost = shutil.copytree(folder, tmp_path / "lost")
    shutil.rmtree(lost / tokenizer)
    with pytest.raises(SettingsError, match=f"has no {tokenizer}/, which the single file lacks"):
        plan(configure(model={"family": name, "base": str(path), "components": str(lost)}))


def test_text_encoders_that_are_not_whole_are_refused(made, narrow, tmp_path):  # noqa: F811
    name, folder, path = made
    tensors = load_file(path)
    prefix = "text_encoders.t5xxl.transformer.encoder.block.0.layer.0.SelfAttention.q.weight"
    for case, changed in {"lost": None, "narrow": torch.zeros(3, 3)}.items():
        broken = {key: tensor for key, tensor in tensors.items() if key != prefix}
        save_file(broken if changed is None else broken | {prefix: changed}, tmp_path / f"{case}.safetensors")
        with pytest.raises(ModelError, match="1 tensors don't fit" if changed is None else "has other sizes"):
            families()[name]().load(
                fitting(str(tmp_path / f"{case}.safetensors"), name, components=str(folder)), torch.float32)


@pytest.mark.parametrize("mark", ["scaled_fp8", "double_blocks.0.img_attn.qkv.scale_weight",
                                  "double_blocks.0.img_attn.qkv.weight.absmax"])
def test_numbers_with_scales_of_their_own_are_refused(mark, tmp_path):
    path = single_file.flux_file(models.tiny_flux(tmp_path / "flux"), tmp_path / "flux.safetensors")
    assert fitting(str(path), "flux").kind == "file"
    save_file(load_file(path) | {mark: torch.ones(1)}, tmp_path / "scaled.safetensors")
    with pytest.raises(ModelError, match="scaled.safetensors is quantised"):
        fitting(str(tmp_path / "scaled.safetensors"), "flux")
    assert "16 bit" in detect(str(tmp_path / "scaled.safetensors"), "flux").problem
