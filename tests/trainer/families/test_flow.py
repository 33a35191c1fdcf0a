"""The families that draw along straight lines against the pipelines of diffusers, on the same tiny models: what the
transformer is asked and says, a drawing, and a LoRA file that the pipeline loads in full."""

import json
import math
import shutil

import pytest
import torch

from tests import models
from tests.lora import spec
from trainer.base_model.models import ModelError, find
from trainer.config import NoiseSettings
from trainer.families import families, flux2
from trainer.families.base import Drawing
from trainer.families.flux import Flux
from trainer.families.sd3 import Sd3
from trainer.lora import file, inject, merge
from trainer.loss.objective import objective

KINDS = {name: family for name, family in families().items() if "flow" in family.traits}
ONE_PASS = ("flux", "flux2_klein")  # their pipelines take no negative prompt


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


def asked(family, pipe, caption: str, guidance: float, seed: int = 7) -> dict:
    """Arguments with which the pipeline draws as `family.draw` does."""
    shape = family._shape(Drawing(64, 64, 3, guidance, "ddim", seed))
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    told = {"prompt": caption, "height": 64, "width": 64, "num_inference_steps": 3, "latents": family._packed(noise)}
    if family.name not in ONE_PASS:
        told["negative_prompt"] = ""
    if family.name == "chroma":
        # As it comes from encode_prompt the mask is a number, which attention adds instead of masking with it.
        words, _, mask, others, _, hidden = pipe.encode_prompt(caption, "")
        del told["prompt"], told["negative_prompt"]
        told |= {"prompt_embeds": words, "prompt_attention_mask": mask.bool(),
                 "negative_prompt_embeds": others, "negative_prompt_attention_mask": hidden.bool()}
    return told | family._guidance(guidance)


def test_a_prediction_is_what_the_pipeline_hands_to_its_sampler(made, monkeypatch):
    """The same words, masks, sizes, timestep and direction: at every step, all that the pipeline makes of its
    transformer's answer before its sampler goes on with it."""
    family, _ = loaded(made)
    pipe, seen = pipeline(made), []
    step = type(pipe.scheduler).step

    def spied(scheduler, found, timestep, latents, *rest, **more):
        seen.append((found, timestep, latents))
        return step(scheduler, found, timestep, latents, *rest, **more)

    monkeypatch.setattr(type(pipe.scheduler), "step", spied)
    pipe(**asked(family, pipe, "a red dog", 1.0), output_type="latent")
    text, shape = family.encode_captions(["a red dog"]), family._shape(Drawing(64, 64, 3, 1.0, "ddim", 7))
    assert len(seen) == 3
    for found, timestep, latents in seen:
        with torch.no_grad():
            ours = family.predict(as_latents(family, latents, shape), timestep[None] / 1000, text)
        torch.testing.assert_close(ours, as_latents(family, found, shape), atol=2e-5, rtol=1e-4)


def as_latents(family, row: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """What a sampler moves, as latents [B, C, h, w]."""
    if row.ndim == 4:
        return row
    if family.name == "flux2_klein":
        return row.transpose(1, 2).reshape(shape)
    return family._unpacked(row, shape)


def test_a_loss_is_the_closed_form_on_what_the_pipeline_would_see(made):
    """In float64, with sigma as the share of noise: x_t = (1 - s) x + s e, and the target is e - x."""
    family, _ = loaded(made)
    random = torch.Generator().manual_seed(3)
    mean, _ = family.encode_pictures(torch.rand(2, 3, 64, 64, generator=random) * 2 - 1)
    noise, sigma = torch.randn(mean.shape, generator=random), torch.tensor([0.25, 0.8])
    asked_for, text = objective(family.process(), NoiseSettings()), family.encode_captions(["a red dog", "a cat"])
    with torch.no_grad():
        found = family.predict(asked_for.noised(mean, noise, sigma), sigma, text)
        s = sigma.double().view(-1, 1, 1, 1)
        exact = family.predict(((1 - s) * mean.double() + s * noise.double()).float(), sigma, text)
    wanted = (exact.double() - (noise.double() - mean.double())).square().flatten(1).mean(1)
    ours = (found - asked_for.target(mean, noise, sigma)).square().flatten(1).mean(1)
    torch.testing.assert_close(ours.double(), wanted, rtol=1e-5, atol=0)


def test_a_drawing_is_the_pipelines_own(made):
    """Through its sampler, so that sigma, timesteps, packing and guidance mean the same to both."""
    family, _ = loaded(made)
    pipe = pipeline(made)
    text, negative = family.encode_captions(["a red dog"]), family.encode_captions([""])
    with torch.no_grad():
        ours = family.decode(family.draw(text, negative, Drawing(64, 64, 3, 4.0, "ddim", 7)))
        theirs = pipe(**asked(family, pipe, "a red dog", 4.0), output_type="np").images
        if family.name == "sana":  # binning is off in both: the size is the one that was asked for
            assert theirs.shape == (1, 64, 64, 3)
    assert (ours[0].float() - 255 * torch.tensor(theirs[0])).abs().max() <= 1


def test_guidance_draws_something_else(made):
    family, _ = loaded(made)
    text, negative = family.encode_captions(["a red dog"]), family.encode_captions([""])
    with torch.no_grad():
        first, second = (family.draw(text, negative, Drawing(64, 64, 3, scale, "ddim", 7)) for scale in (1.0, 9.0))
    assert not torch.allclose(first, second, atol=1e-4)


def test_latents_are_what_the_vae_makes_shifted_and_scaled(made):
    """Decoding is the pipeline's (above); so is encoding, if both together are the bare VAE."""
    family, parts = loaded(made)
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    vae, given = parts["vae"], pixels.unsqueeze(2) if made[0].name == "qwen_image" else pixels
    with torch.no_grad():
        encoded = vae.encode(given)
        bare = vae.decode(encoded.latent if made[0].name == "sana" else encoded.latent_dist.mode()).sample
        ours = family.decode(family.encode_pictures(pixels)[0])
    wanted = ((bare.reshape(1, 3, 64, 64) / 2 + 0.5).clamp(0, 1) * 255).permute(0, 2, 3, 1)
    assert (ours.float() - wanted).abs().max() <= 1


def test_its_file_loads_in_diffusers_with_every_key_and_draws_what_a_merge_draws(made, tmp_path, caplog):
    family, parts = loaded(made)
    trained = {name: parts[name] for name in ("denoiser", *family.text_encoders)}
    for name, part in trained.items():
        pattern = family.layers["all"] if name == "denoiser" else family.text_layers
        inject.inject(part, spec(part, name, pattern, 4, 2.0), seed=0)
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in inject.state(trained).values():
            weight.copy_(0.2 * torch.randn(weight.shape, generator=random))
    path = tmp_path / "lora.safetensors"
    file.save(path, inject.state(trained), inject.alphas(trained), naming=family.naming, metadata={},
              dtype=torch.float32)
    pipe = pipeline(made)

    def drawn():
        return torch.tensor(pipe(**asked(family, pipe, "a red dog", 4.0), output_type="np").images)

    plain = drawn()
    pipe.load_lora_weights(path)
    adapted = drawn()
    told = [record.message for record in caplog.records if "T5EncoderModel" not in record.message]  # which never learns
    assert not [message for message in told if "unexpected" in message or "No LoRA" in message]
    loaded_layers = [name for name, _ in pipe.transformer.named_modules() if name.endswith(".lora_A")]
    assert len(loaded_layers) == len(inject.alphas({"denoiser": parts["denoiser"]}))
    pipe.unload_lora_weights()
    bases = {"denoiser": pipe.transformer} | {name: getattr(pipe, name) for name in family.text_encoders}
    match = file.match(file.load(path), bases, family.naming)
    assert not match.unmatched and match.adapters.keys() == inject.alphas(trained).keys()
    merge.merge(bases, match.adapters)
    assert torch.allclose(adapted, drawn(), atol=1e-4) and not torch.allclose(plain, adapted, atol=1e-2)


def test_a_folder_without_its_text_encoder_is_refused_in_a_sentence(made, tmp_path):
    family, folder = made
    parts = shutil.copytree(folder, tmp_path / "parts")
    shutil.rmtree(parts / family.readers[0])
    with pytest.raises(ModelError, match="lacks text_encoder"):
        family().load(find(str(parts)), torch.float32)


def test_sd3_works_without_t5(tmp_path):
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
        inject.inject(parts[name], spec(parts[name], name, family.text_layers, 2, 2.0), seed=0)
    words = family.encode_captions(["a dog"])["words"]
    assert words[:, :77].requires_grad
    assert not any(weight.requires_grad for weight in parts["text_encoder_3"].parameters())


def test_lumina_is_known_by_its_first_name_too(tmp_path):
    folder = models.tiny_lumina2(tmp_path / "lumina2")
    index = json.loads((folder / "model_index.json").read_text()) | {"_class_name": "Lumina2Text2ImgPipeline"}
    (folder / "model_index.json").write_text(json.dumps(index))
    model = find(str(folder))
    assert [name for name, family in families().items() if family.recognises(model)] == ["lumina2"]
    assert families()["lumina2"]().load(model, torch.float32)["denoiser"]


def test_the_shift_of_flux_is_that_of_its_pipeline(tmp_path):
    from diffusers.pipelines.flux.pipeline_flux import calculate_shift

    family = Flux()
    family.load(find(str(models.tiny_flux(tmp_path / "flux"))), torch.float32)
    for height, width in ((64, 64), (128, 128), (96, 160)):
        wanted = torch.tensor(calculate_shift(height * width // 4)).exp()
        assert family.process().shift((16, height, width)) == pytest.approx(wanted.item())


def test_the_shift_of_flux_2_is_that_of_its_pipeline():
    from diffusers.pipelines.flux2.pipeline_flux2_klein import compute_empirical_mu

    for places in (256, 1024, 4096, 4300, 4301, 9000):
        wanted = math.exp(compute_empirical_mu(places, flux2.STEPS))
        assert flux2.Flux2Klein.shift_of({"use_dynamic_shifting": True}, places) == pytest.approx(wanted)
    assert flux2.Flux2Klein.shift_of({"shift": 3}, 4096) == 3
