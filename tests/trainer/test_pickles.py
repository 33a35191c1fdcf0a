"""A pickle is opened only after a yes, and even then nothing in it is run."""

import os
import pickle
import shutil
import struct

import pytest
import torch

from tests.models import tiny_sd15
from trainer.base_model.models import ModelError, find, read_header
from trainer.families import families


class Program:
    """Makes a file when it is unpickled by whoever runs what a pickle says."""

    def __init__(self, sign):
        self._sign = sign

    def __reduce__(self):
        return os.mkdir, (str(self._sign),)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return tiny_sd15(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def sign(tmp_path):
    return tmp_path / "it was run"


@pytest.fixture
def folder(whole, tmp_path, sign):
    """A model whose UNet is a pickle that is a program."""
    copy = shutil.copytree(whole, tmp_path / "tiny")
    for weights in (copy / "unet").glob("*.safetensors"):
        weights.unlink()
    torch.save({"conv_in.weight": Program(sign)}, copy / "unet" / "diffusion_pytorch_model.bin")
    return copy


def load(model, vae=""):
    return families()["sd15"]().load(model, torch.float32, vae)


def test_a_folder_of_pickles(folder, sign):
    with pytest.raises(ModelError, match="trust_pickle"):
        find(str(folder))
    with pytest.raises((OSError, pickle.UnpicklingError, ValueError)):
        load(find(str(folder), trust_pickle=True))
    assert not sign.exists()


def test_a_pickle_that_hides_behind_safetensors_of_another_name(folder, whole, sign):
    """diffusers takes the file with the usual name, which here is the pickle."""
    shutil.copy(whole / "unet" / "diffusion_pytorch_model.safetensors", folder / "unet" / "other.safetensors")
    with pytest.raises(OSError, match="no file named diffusion_pytorch_model.safetensors"):
        load(find(str(folder)))
    assert not sign.exists()


def test_a_single_file(tmp_path, sign):
    path = tmp_path / "model.ckpt"
    torch.save({"state_dict": Program(sign)}, path)
    with pytest.raises(ModelError, match="trust_pickle"):
        find(str(path))
    with pytest.raises((OSError, pickle.UnpicklingError, ValueError)):
        load(find(str(path), trust_pickle=True))
    assert not sign.exists()


@pytest.mark.proves("model.trust_pickle")
def test_a_vae(whole, tmp_path, sign):
    vae = shutil.copytree(whole / "vae", tmp_path / "vae")
    good = load(find(str(whole)), str(vae))["vae"]
    assert type(good).__name__ == "AutoencoderKL"
    for weights in vae.glob("*.safetensors"):
        weights.unlink()
    torch.save(good.state_dict(), vae / "diffusion_pytorch_model.bin")
    with pytest.raises(ModelError, match="trust_pickle"):
        load(find(str(whole)), str(vae))
    assert load(find(str(whole), trust_pickle=True), str(vae))["vae"].config == good.config
    torch.save({"quant_conv.weight": Program(sign)}, vae / "diffusion_pytorch_model.bin")
    with pytest.raises((OSError, pickle.UnpicklingError, ValueError)):
        load(find(str(whole), trust_pickle=True), str(vae))
    assert not sign.exists()


@pytest.mark.parametrize("length", [0, 1, 2**31, 2**63 - 1, 2**64 - 1])
def test_a_headers_length_is_looked_at_before_it_is_read(tmp_path, length):
    path = tmp_path / "claims.safetensors"
    path.write_bytes(struct.pack("<Q", length) + b"{}")
    with pytest.raises(ModelError, match="no safetensors file"):
        read_header(path)


def test_a_header_that_is_nothing_but_brackets(tmp_path):
    path = tmp_path / "deep.safetensors"
    path.write_bytes(struct.pack("<Q", 200_000) + b"[" * 200_000)
    with pytest.raises(ModelError, match="no safetensors file"):
        read_header(path)
