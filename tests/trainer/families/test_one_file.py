"""Transformers in single files of their makers' layout: told by their header, sized by their shapes, the same model as
the folder that they were made from, and a sentence where something is missing."""

import json
import shutil
import types

import pytest
import torch
from diffusers.loaders import single_file_model
from safetensors.torch import load_file, save_file

from settings.errors import SettingsError
from tests import models, single_file
from trainer.base_model.models import ModelError, find, fitting
from trainer.families import families
from trainer.plan import plan

WRITERS = {"sd3": single_file.sd3_file, "flux": single_file.flux_file, "chroma": single_file.flux_file}
CLASSES = {"flux": "FluxTransformer2DModel", "chroma": "ChromaTransformer2DModel"}


@pytest.fixture(scope="module", params=WRITERS)
def made(request, tmp_path_factory):
    """(family's name, folder, file) of a tiny model."""
    where = tmp_path_factory.mktemp("models")
    folder = getattr(models, f"tiny_{request.param}")(where / request.param)
    return request.param, folder, WRITERS[request.param](folder, where / f"{request.param}.safetensors")


@pytest.fixture
def narrow(monkeypatch):
    """diffusers takes FLUX's layers apart by the one width that it was published in; here by that of the tiny one."""
    for kind in CLASSES.values():
        known = single_file_model.SINGLE_FILE_LOADABLE_CLASSES[kind]
        real = known["checkpoint_mapping_fn"]
        assert 3072 in real.__code__.co_consts
        code = real.__code__.replace(co_consts=tuple(32 if c == 3072 else c for c in real.__code__.co_consts))
        tiny = types.FunctionType(code, real.__globals__, real.__name__, real.__defaults__, real.__closure__)
        monkeypatch.setitem(known, "checkpoint_mapping_fn", tiny)


def test_it_is_told_by_its_header(made):
    name, _, path = made
    assert [one for one, family in families().items() if family.recognises(find(str(path)))] == [name]
    with pytest.raises(ModelError, match=f"is {families()[name].label}; expected Stable Diffusion 1.x"):
        fitting(str(path), "sd15")


@pytest.mark.parametrize("bare", [True, False])
def test_it_is_the_same_model_as_its_folder(made, narrow, tmp_path, bare):
    name, folder, path = made
    parts = shutil.copytree(folder, tmp_path / "components")
    for weights in (parts / "transformer").glob("*.safetensors"):
        weights.unlink()  # only the config is looked at
    config = parts / "transformer" / "config.json"
    if name != "chroma":  # what the shapes say is believed, whatever the components are for
        config.write_text(json.dumps(json.loads(config.read_text()) | {"num_layers": 7, "num_attention_heads": 5}))
    if bare:
        path = save_under(path, tmp_path / "other.safetensors", "model.diffusion_model.")
    family, whole = families()[name](), families()[name]()
    found = family.load(fitting(str(path), name, components=str(parts)), torch.float32)
    wanted = whole.load(find(str(folder)), torch.float32)
    assert found.keys() == wanted.keys()
    for part, module in wanted.items():
        ours = found[part].state_dict()
        assert ours.keys() == module.state_dict().keys()
        assert all(torch.equal(tensor, ours[key]) for key, tensor in module.state_dict().items())
    noisy, text = torch.randn(1, 16, 8, 8), whole.encode_captions(["a dog"])
    with torch.no_grad():
        assert torch.equal(*(one.predict(noisy, torch.tensor([0.5]), text) for one in (family, whole)))


def save_under(path, other, prefix):
    """The same file with its names under another prefix."""
    tensors = {name.removeprefix(prefix): tensor for name, tensor in load_file(path).items()}
    save_file({prefix * (not path.name.startswith("sd3")) + name: tensor for name, tensor in tensors.items()}, other)
    return other


@pytest.mark.proves("model.components")
def test_what_it_leaves_out_is_asked_for_before_anything_is_loaded(made, configure, tmp_path):
    name, folder, path = made

    def problem(components: str) -> str:
        with pytest.raises(SettingsError) as error:
            plan(configure(model={"family": name, "base": str(path), "components": components}))
        assert list(error.value.problems) == ["model.components"]
        return error.value.problems["model.components"]

    assert "transformer alone" in problem("") and "text_encoder/" in problem("") and "vae/" in problem("")
    assert "nothing at" in problem(str(tmp_path / "none"))
    assert "choose one for" in problem(str(models.tiny_sana(tmp_path / "sana")))
    bare = shutil.copytree(folder, tmp_path / "bare")
    shutil.rmtree(bare / "transformer")
    assert "transformer/config.json" in problem(str(bare))
    assert plan(configure(model={"family": name, "base": str(path), "components": str(folder)})).total_steps


def test_a_pickle_is_refused_in_a_sentence(made, tmp_path):
    name, folder, _ = made
    torch.save({}, tmp_path / "model.ckpt")
    model = fitting(str(tmp_path / "model.ckpt"), name, trust_pickle=True, components=str(folder))
    with pytest.raises(ModelError, match="not read from pickles"):
        families()[name]().load(model, torch.float32)


def test_one_that_sees_more_than_the_noisy_picture_is_another_model(tmp_path):
    shapes = {"double_blocks.0.img_attn.qkv.weight": (2, 2), "vector_in.in_layer.weight": (2, 2),
              "txt_in.weight": (2, 2), "img_in.weight": (2, 384),
              "double_blocks.0.img_attn.norm.query_norm.scale": (1,)}
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, tmp_path / "fill.safetensors")
    with pytest.raises(ModelError, match="looks like FLUX"):
        fitting(str(tmp_path / "fill.safetensors"), "flux")
