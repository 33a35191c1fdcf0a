"""SD 3 and FLUX against diffusers: the words, a drawing, a file that their pipelines load in full; and their sizes."""

import re

import pytest
import torch

from tests import models
from trainer.families.base import Drawing
from trainer.families.flux import Flux
from trainer.families.sd3 import Sd3
from trainer.lora import file, inject, merge
from trainer.models import ModelError, find

KINDS = {"sd3": Sd3, "flux": Flux}
CAPTIONS = ["a red dog", ""]


@pytest.fixture(scope="module", params=KINDS)
def made(request, tmp_path_factory):
    """(family class, folder) of a tiny model."""
    folder = tmp_path_factory.mktemp("models") / request.param
    return KINDS[request.param], getattr(models, f"tiny_{request.param}")(folder)


def pipeline(made):
    import diffusers

    family, folder = made
    pipe = getattr(diffusers, family.pipeline).from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def loaded(made, dtype=torch.float32):
    family = made[0]()
    return family, family.load(find(str(made[1])), dtype)


def test_words_are_those_of_the_pipeline(made):
    family, _ = loaded(made)
    with torch.no_grad():
        ours = family.encode_captions(CAPTIONS)
        for row, caption in enumerate(CAPTIONS):
            if made[0] is Sd3:
                words, _, pooled, _ = pipeline(made).encode_prompt(
                    caption, None, None, do_classifier_free_guidance=False)
            else:
                words, pooled, _ = pipeline(made).encode_prompt(caption, None)
            torch.testing.assert_close(ours["words"][row], words[0])
            torch.testing.assert_close(ours["pooled"][row], pooled[0])


def test_a_drawing_is_the_pipelines_own(made):
    """Through its sampler, so that sigma, timesteps, packing and guidance mean the same to both."""
    family, _ = loaded(made)
    pipe = pipeline(made)
    text, negative = family.encode_captions(["a red dog"]), family.encode_captions([""])
    with torch.no_grad():
        ours = family.decode(family.draw(text, negative, Drawing(64, 64, 3, 4.0, "ddim", 7)))
        noise = torch.randn(1, 16, 32, 32, generator=torch.Generator().manual_seed(7))
        theirs = pipe("a red dog", height=64, width=64, num_inference_steps=3, guidance_scale=4.0, output_type="np",
                      latents=family._packed(noise)).images
    assert (ours[0].float() - 255 * torch.tensor(theirs[0])).abs().max() <= 1


def test_one_euler_step_over_our_prediction_is_the_samplers(made):
    """The same at one sigma with gradients in reach: what the loop asks is what the sampler integrates."""
    family, _ = loaded(made)
    text = family.encode_captions(["a red dog"])
    noise = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(1))
    sigma = torch.tensor([0.7])
    with torch.no_grad():
        moved = noise - 0.7 * family.predict(noise, sigma, text)
        again = noise - 0.7 * family.predict(noise, sigma, text)
        other = noise - 0.7 * family.predict(noise, torch.tensor([0.1]), text)
    assert torch.equal(moved, again) and not torch.allclose(moved, other)


def test_its_file_loads_in_diffusers_with_every_key_and_draws_what_a_merge_draws(made, tmp_path, caplog):
    family, parts = loaded(made)
    trained = {name: parts[name] for name in ("denoiser", *family.text_encoders)}
    for name, part in trained.items():
        pattern = family.layers["all"] if name == "denoiser" else family.text_layers
        inject.inject(part, inject.AdapterSpec(name, pattern, 4, 2.0, 0.0, "lora"), seed=0)
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in inject.state(trained).values():
            weight.copy_(0.2 * torch.randn(weight.shape, generator=random))
    path = tmp_path / "lora.safetensors"
    file.save(path, inject.state(trained), inject.alphas(trained), naming=family.naming, metadata={},
              dtype=torch.float32)
    pipe = pipeline(made)
    how = {"num_inference_steps": 2, "height": 64, "width": 64, "output_type": "np", "guidance_scale": 4.0}

    def drawn():
        return torch.tensor(pipe("a red dog", generator=torch.Generator().manual_seed(3), **how).images)

    plain = drawn()
    pipe.load_lora_weights(path)
    adapted = drawn()
    assert not [record for record in caplog.records if "unexpected" in record.message or "No LoRA" in record.message]
    pipe.unload_lora_weights()
    bases = {"denoiser": pipe.transformer} | {name: getattr(pipe, name) for name in family.text_encoders}
    match = file.match(file.load(path), bases, family.naming)
    assert not match.unmatched and match.adapters.keys() == inject.alphas(trained).keys()
    merge.merge(bases, match.adapters)
    assert torch.allclose(adapted, drawn(), atol=1e-4) and not torch.allclose(plain, adapted, atol=1e-2)


def test_sd3_works_without_t5(tmp_path):
    import json
    import shutil

    folder = models.tiny_sd3(tmp_path / "sd3")
    for name in ("text_encoder_3", "tokenizer_3"):
        shutil.rmtree(folder / name)
    index = json.loads((folder / "model_index.json").read_text())
    without = index | {"text_encoder_3": [None, None], "tokenizer_3": [None, None]}
    (folder / "model_index.json").write_text(json.dumps(without))
    family = Sd3()
    parts = family.load(find(str(folder)), torch.float32)
    assert "text_encoder_3" not in parts
    with torch.no_grad():
        words = family.encode_captions(["a dog"])["words"]
    assert words.shape == (1, 77 + 256, 64) and not words[:, 77:].any() and words[:, :77].any()


def test_t5_never_learns_while_the_clips_do(tmp_path):
    family = Sd3()
    parts = family.load(find(str(models.tiny_sd3(tmp_path / "sd3"))), torch.float32)
    for name in family.text_encoders:
        inject.inject(parts[name], inject.AdapterSpec(name, family.text_layers, 2, 2.0, 0.0, "lora"), seed=0)
    words = family.encode_captions(["a dog"])["words"]
    assert words[:, :77].requires_grad
    assert not any(weight.requires_grad for weight in parts["text_encoder_3"].parameters())


def test_a_single_file_is_refused_in_a_sentence(tmp_path):
    from trainer.models import BaseModel

    with pytest.raises(ModelError, match="diffusers folder"):
        Sd3().load(BaseModel("sd3.safetensors", "file"), torch.float32)


def test_the_shift_of_flux_is_that_of_its_pipeline(made):
    from diffusers.pipelines.flux.pipeline_flux import calculate_shift

    if made[0] is not Flux:
        assert loaded(made)[0].process().shift((16, 8, 8)) == 3.0
        return
    process = loaded(made)[0].process()
    for height, width in ((64, 64), (128, 128), (96, 160)):
        wanted = torch.tensor(calculate_shift(height * width // 4)).exp()
        assert process.shift((16, height, width)) == pytest.approx(wanted.item())


def test_full_sizes_and_how_many_layers_learn():
    from diffusers import FluxTransformer2DModel, SD3Transformer2DModel

    with torch.device("meta"):
        found = {
            "medium": (Sd3, SD3Transformer2DModel(
                sample_size=128, num_layers=24, num_attention_heads=24, dual_attention_layers=tuple(range(13)),
                qk_norm="rms_norm", pos_embed_max_size=384, caption_projection_dim=1536)),
            "large": (Sd3, SD3Transformer2DModel(
                sample_size=128, num_layers=38, num_attention_heads=38, qk_norm="rms_norm", pos_embed_max_size=192,
                caption_projection_dim=2432)),
            "flux": (Flux, FluxTransformer2DModel(guidance_embeds=True)),
        }
    count = {name: sum(weight.numel() for weight in part.parameters()) / 1e6 for name, (_, part) in found.items()}
    assert {name: round(number) for name, number in count.items()} == {"medium": 2243, "large": 8057, "flux": 11901}

    def learning(name: str, choice: str) -> int:
        family, part = found[name]
        paths = [name.removeprefix("denoiser.") for name in inject.learnable({"denoiser": part})]
        return sum(bool(re.fullmatch(family.layers[choice], path)) for path in paths)

    # The last block of SD 3 says nothing more about words, so it has no way out for them.
    assert learning("large", "attention") == 38 * 8 - 1
    assert learning("flux", "attention") == 19 * 8 + 38 * 3
    assert learning("flux", "attention+ff") == 19 * 12 + 38 * 5
