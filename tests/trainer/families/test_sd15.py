"""SD 1.x: what is read from folders and single files, and that both give the same model."""

import json

import pytest
import torch

from tests.models import full_size, tiny_sd15
from tests.single_file import single_file
from trainer.base_model.models import find
from trainer.families import configs
from trainer.families.base import Drawing
from trainer.families.sd15 import Sd15


def written():
    return configs.written("sd15", configs.SD15)


@pytest.fixture
def loaded(tiny):
    family = Sd15()
    return family, family.load(find(str(tiny)), torch.float32)


def test_a_single_file_is_the_same_model_as_its_folder(tiny, loaded, tmp_path, monkeypatch):
    path = single_file(tiny, tmp_path / "model.safetensors")
    assert Sd15.recognises(find(str(path))) and find(str(path)).prediction_type is None
    # The real configs are those of the full-size model; the tiny one brings its own.
    monkeypatch.setattr(Sd15, "single_file_configs", classmethod(lambda cls: tiny))
    other = Sd15()
    parts = other.load(find(str(path)), torch.float32)
    for name, part in loaded[1].items():
        assert {key: tensor.shape for key, tensor in part.state_dict().items()} == {
            key: tensor.shape for key, tensor in parts[name].state_dict().items()
        }
        assert all(torch.equal(tensor, parts[name].state_dict()[key]) for key, tensor in part.state_dict().items()), (
            name
        )
    noisy, timesteps = torch.randn(1, 4, 8, 8), torch.tensor([500])
    predictions = [one.predict(noisy, timesteps, one.encode_captions(["a red dog"])) for one in (loaded[0], other)]
    assert torch.equal(*predictions)


def test_v_prediction_is_read_from_folders_and_from_marked_files(tmp_path):
    folder = tiny_sd15(tmp_path / "v", prediction_type="v_prediction")
    assert find(str(folder)).prediction_type == "v_prediction"
    path = single_file(folder, tmp_path / "v.safetensors", v_pred=torch.zeros(()))
    assert find(str(path)).prediction_type == "v_prediction"
    family = Sd15()
    family.load(find(str(folder)), torch.float32)
    assert family.prediction_type == "v_prediction"


def test_the_written_configs_are_those_of_the_published_model():
    folder = written()
    assert folder == written() and json.loads((folder / "model_index.json").read_text())["unet"]
    from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(folder, subfolder="unet"))
        vae = AutoencoderKL.from_config(AutoencoderKL.load_config(folder, subfolder="vae"))
        text = CLIPTextModel(CLIPTextConfig.from_pretrained(folder, subfolder="text_encoder"))
    count = {
        name: sum(weight.numel() for weight in part.parameters())
        for name, part in (("unet", unet), ("vae", vae), ("text", text))
    }
    assert count == {"unet": 859_520_964, "vae": 83_653_863, "text": 123_060_480}
    published, encoder = full_size("sd15")
    assert unet.state_dict().keys() == published.state_dict().keys()
    assert text.state_dict().keys() == encoder.state_dict().keys()
    assert StableDiffusionPipeline.load_config(folder)["safety_checker"] == [None, None]


def test_the_tokenizer_is_clips():
    from open_clip.tokenizer import SimpleTokenizer
    from transformers import CLIPTokenizer

    ours = CLIPTokenizer.from_pretrained(written() / "tokenizer")
    theirs = SimpleTokenizer()
    for text in (
        "a photo of sks dog",
        "1girl, long hair, (masterpiece:1.2)",
        "Übergröße naïve café 猫 🐕",
        "don't 12345",
        "",
    ):
        wanted = [theirs.sot_token_id, *theirs.encode(text), theirs.eot_token_id]
        assert ours(text).input_ids == wanted
    assert ours("a dog", padding="max_length").input_ids[-1] == 49407 and ours.model_max_length == 77


def test_alphas_are_the_schedulers_in_float64(loaded):
    family, _ = loaded
    alphas = family.alphas_cumprod()
    assert alphas.dtype == torch.float64
    assert torch.allclose(alphas.float(), family._pipe.scheduler.alphas_cumprod, rtol=1e-4)
    assert alphas[0].item() == pytest.approx(1 - 0.00085, abs=1e-12)


@pytest.mark.parametrize("sampler", ["ddim", "euler", "euler_a", "dpm++_2m"])
def test_a_drawing_follows_from_its_seed(loaded, sampler):
    family, _ = loaded
    text, negative = family.encode_captions(["a red star"]), family.encode_captions([""])

    def drawn(seed):
        torch.rand(1)  # the global generator does not matter
        with torch.no_grad():
            return family.decode(family.draw(text, negative, Drawing(48, 32, 3, 5.0, sampler, seed)))

    assert drawn(1).shape == (1, 32, 48, 3) and drawn(1).dtype == torch.uint8
    assert torch.equal(drawn(1), drawn(1)) and not torch.equal(drawn(1), drawn(2))


def test_captions_longer_than_the_encoder_are_cut(loaded):
    words = loaded[0].encode_captions(["red " * 500, "red"])["words"]
    assert words.shape == (2, 77, 32)


@pytest.mark.proves("model.vae")
def test_another_vae_can_be_used(tmp_path, tiny):
    other = tiny_sd15(tmp_path / "other", seed=5)
    parts = Sd15().load(find(str(tiny)), torch.bfloat16, str(other / "vae"))
    assert parts["vae"].dtype == torch.float32 and parts["denoiser"].dtype == torch.bfloat16
    wanted = Sd15().load(find(str(other)), torch.float32)["vae"]
    assert all(torch.equal(weight, wanted.state_dict()[name]) for name, weight in parts["vae"].state_dict().items())
