"""What every family must do, whatever kind of model it is: the promises of trainer/families/base.py, one by one.

A family takes part by being there. `tiny_NAME` in tests/models.py makes its tiny model, and the names of that model's
LoRA are listed in tests/golden/keys/NAME_tiny.txt.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest

from settings.section import settings
from tests import models
from tests.models import golden_lines
from trainer.base_model.models import BaseModel, find
from trainer.config import DenoiserLora, PreviewSettings, TrainSettings
from trainer.families import families
from trainer.families.base import Drawing, Family, Flow, View

LAYERS = get_args(DenoiserLora.model_fields["layers"].annotation)
SAMPLERS = get_args(PreviewSettings.model_fields["sampler"].annotation)
PIXELS = 64  # a side


@dataclass
class Loaded:
    family: Family
    parts: dict
    model: BaseModel


@pytest.fixture(scope="module")
def tiny_models(tmp_path_factory) -> dict[str, Path]:
    return {name: getattr(models, f"tiny_{name}")(tmp_path_factory.mktemp("tiny") / name) for name in families()}


@pytest.fixture(scope="module", params=families())
def loaded(request, tiny_models) -> Loaded:
    import torch

    family, model = families()[request.param](), find(str(tiny_models[request.param]))
    return Loaded(family, family.load(model, torch.float32), model)


@pytest.fixture
def pictures():
    import torch

    return torch.rand(2, 3, PIXELS, PIXELS, generator=torch.Generator().manual_seed(0)) * 2 - 1


def told(family: Family, captions: list[str]) -> dict:
    """All that the denoiser is told of pictures that came from larger files."""
    views = [View((640 + 8 * number, 480), 3 + number, 2, (PIXELS, PIXELS)) for number in range(len(captions))]
    return family.encode_captions(captions) | family.conditions(views)


def how(sampler: str = "ddim", seed: int = 1) -> Drawing:
    return Drawing(width=PIXELS, height=PIXELS, steps=3, guidance=3.0, sampler=sampler, seed=seed)


@pytest.mark.parametrize("name", families())
def test_it_describes_itself(name):
    family = families()[name]
    assert family.name == name and family.label and family.architecture and family.base_version
    assert family.resolution % family.bucket_step == 0 and family.bucket_step % 8 == 0
    assert set(family.layers) == set(LAYERS) - {"any"}
    assert family.steps > 0 and family.guidance >= 1
    assert 0 < family.footprint.checkpointed <= family.footprint.activations and family.footprint.weights > 0


def test_what_settings_need_some_family_has():
    needed = {setting.ui.needs for setting in settings(TrainSettings)} - {""}
    assert needed <= {trait for family in families().values() for trait in family.traits}


def test_it_recognises_its_own_models_and_no_others(tiny_models):
    for owner, path in tiny_models.items():
        model = find(str(path))
        assert [name for name, family in families().items() if family.recognises(model)] == [owner]


def test_its_parts_come_frozen_on_the_cpu_in_the_format_asked_for(loaded):
    import torch

    parts = type(loaded.family)().load(loaded.model, torch.bfloat16)
    assert {"denoiser", "vae"} <= set(parts) == set(loaded.parts)
    for name, part in parts.items():
        weights = list(part.parameters())
        assert not part.training and not any(weight.requires_grad for weight in weights)
        assert {weight.device.type for weight in weights} == {"cpu"}
        assert {weight.dtype for weight in weights} == {torch.float32 if name == "vae" else torch.bfloat16}


def test_its_process_is_what_its_traits_say(loaded):
    import torch

    process = loaded.family.process()
    if isinstance(process, Flow):
        assert "flow" in loaded.family.traits and loaded.family.prediction_type == "flow"
        assert 1 <= process.shift((16, 32, 32)) <= process.shift((16, 64, 64)) < 10
        return
    assert "ddpm" in loaded.family.traits and process.prediction_type in ("epsilon", "v_prediction")
    alphas = process.alphas_cumprod
    assert alphas.dtype == torch.float64 and alphas.ndim == 1
    assert 1 > alphas[0] > 0.99 and alphas[-1] >= 0 and (alphas.diff() < 0).all()


def some_timesteps(family: Family):
    """Of the beginning and of the end, as the family's process counts."""
    import torch

    process = family.process()
    if isinstance(process, Flow):
        return torch.tensor([0.01, 0.99])
    return torch.tensor([0, len(process.alphas_cumprod) - 1])


def test_pictures_become_latents_each_by_itself(loaded, pictures):
    import torch

    mean, deviation = loaded.family.encode_pictures(pictures)
    assert mean.shape == deviation.shape and mean.ndim == 4 and len(mean) == 2
    assert mean.dtype == deviation.dtype == torch.float32 and (deviation >= 0).all()
    alone, _ = loaded.family.encode_pictures(pictures[1:])
    torch.testing.assert_close(mean[1:], alone)
    assert not torch.allclose(mean[0], mean[1])


def test_no_two_families_share_encoded_captions(tiny_models):
    """Two may have the same text encoder and take other layers of it."""
    import torch

    said = []
    for name, family in families().items():
        one = family()
        one.load(find(str(tiny_models[name])), torch.float32)
        said.append(one.tokenizer_id())
    assert len(set(said)) == len(said)


def test_latents_become_pictures(loaded, pictures):
    import torch

    pixels = loaded.family.decode(loaded.family.encode_pictures(pictures)[0])
    assert pixels.shape == (2, PIXELS, PIXELS, 3) and pixels.dtype == torch.uint8 and pixels.device.type == "cpu"


def test_captions_are_encoded_each_by_itself(loaded):
    import torch

    captions = ["a red dog", "", "a photo of sks dog, " * 40]
    together = loaded.family.encode_captions(captions)
    assert together and all(len(tensor) == 3 for tensor in together.values())
    for index, caption in enumerate(captions):
        for name, tensor in loaded.family.encode_captions([caption]).items():
            torch.testing.assert_close(tensor[0], together[name][index])
    assert any(not torch.allclose(tensor[0], tensor[1]) for tensor in together.values())


def test_a_prediction_has_the_shape_of_its_latents_and_a_gradient(loaded, pictures):
    import torch

    noisy = loaded.family.encode_pictures(pictures)[0].requires_grad_()
    text = told(loaded.family, ["a red dog", "a cat"])
    timesteps = some_timesteps(loaded.family)
    prediction = loaded.family.predict(noisy, timesteps, text)
    assert prediction.shape == noisy.shape and prediction.isfinite().all()
    alone = loaded.family.predict(noisy[1:], timesteps[1:], {name: tensor[1:] for name, tensor in text.items()})
    torch.testing.assert_close(prediction[1:], alone)
    (gradient,) = torch.autograd.grad(prediction.square().sum(), noisy)
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_sample_follows_from_its_seed(loaded, sampler):
    import torch

    family, denoiser = loaded.family, loaded.parts["denoiser"]
    if "flow" in family.traits and sampler != SAMPLERS[0]:
        pytest.skip("a flow is drawn by its own sampler")
    text, negative = family.encode_captions(["a red dog"]), family.encode_captions([""])
    with torch.no_grad():
        first, again = (family.draw(text, negative, how(sampler)) for _ in range(2))
        other = family.draw(text, negative, how(sampler, seed=2))
        assert family.decode(first).shape == (1, PIXELS, PIXELS, 3)
    assert torch.equal(first, again) and not torch.allclose(first, other)
    assert first.device == next(denoiser.parameters()).device and first.isfinite().all()


def test_its_lora_has_the_names_in_the_golden_list(loaded):
    import torch

    from tests.lora import spec
    from trainer.lora import inject

    family, parts = type(loaded.family)(), {}
    for name, part in family.load(loaded.model, torch.float32).items():
        if name in ("denoiser", *family.text_encoders):
            pattern = family.layers["all"] if name == "denoiser" else family.text_layers
            inject.inject(part, spec(part, name, pattern, 4, 4.0), seed=0)
            parts[name] = part
    written = [key for layer in inject.alphas(parts) for key in family.naming.keys(layer).values()]
    assert len(set(written)) == len(written)
    assert sorted(written) == sorted(line.split()[0] for line in golden_lines(f"keys/{family.name}_tiny.txt"))


def test_checkpointing_changes_no_gradient(loaded, pictures):
    import torch

    from tests.lora import spec
    from trainer.lora import inject

    def gradients(checkpointed: bool) -> dict:
        family = type(loaded.family)()
        parts = family.load(loaded.model, torch.float32)
        everywhere = spec(parts["denoiser"], "denoiser", family.layers["all"], 4, 4.0)
        weights = inject.inject(parts["denoiser"].train(), everywhere, seed=0)
        if checkpointed:
            family.checkpoint_gradients()
        noisy, _ = family.encode_pictures(pictures)
        prediction = family.predict(noisy, some_timesteps(family), told(family, ["a dog", ""]))
        found = torch.autograd.grad(prediction.square().sum(), weights, allow_unused=True)
        # The last block of Qwen-Image still works on the words, and nothing reads them any more.
        return {place: gradient for place, gradient in enumerate(found) if gradient is not None}

    plain, checkpointed = gradients(False), gradients(True)
    assert len(plain) > 20 and any(gradient.abs().sum() > 0 for gradient in plain.values())
    torch.testing.assert_close(plain, checkpointed)
