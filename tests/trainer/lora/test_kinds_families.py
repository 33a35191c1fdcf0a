"""Kinds of adapter on whole tiny models of several families: nothing at first, and their files do what they did."""

import pytest
import torch
from torch import nn

from tests import models
from tests.lora import spec
from trainer.base_model.models import find
from trainer.families import families
from trainer.families.base import Family, View
from trainer.lora import file, inject
from trainer.lora.kinds import LAYERS
from trainer.lora.merge import merge
from trainer.tools.recognise import recognised

FAMILIES = ("sdxl", "flux")


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bases")
    return {name: find(str(getattr(models, f"tiny_{name}")(folder / name))) for name in FAMILIES}


def loaded(name: str, base) -> tuple[Family, dict[str, nn.Module]]:
    """A family's model, and the parts of it that can learn."""
    family = families()[name]()
    parts = family.load(base, torch.float32)
    return family, {part: parts[part] for part in ("denoiser", *family.text_encoders)}


def predicted(family: Family) -> torch.Tensor:
    """Of one picture of noise, through the text encoders too."""
    generator = torch.Generator().manual_seed(3)
    channels, side = family.encode_pictures(torch.zeros(1, 3, 32, 32))[0].shape[1:3]
    noisy = torch.randn(1, channels, side, side, generator=generator)
    words = family.encode_captions(["a red dog"]) | family.conditions([View((40, 32), 0, 0, (32, 32))])
    timesteps = torch.tensor([0.5 if "flow" in family.traits else 500])
    return family.predict(noisy, timesteps, words)


@pytest.mark.parametrize("kind", [kind for kind in LAYERS if LAYERS[kind]])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_file_does_to_a_fresh_model_what_was_trained(bases, tmp_path, name, kind):
    family, parts = loaded(name, bases[name])
    with torch.no_grad():
        before = predicted(family)
        for part, module in parts.items():
            pattern = family.layers["all"] if part == "denoiser" else family.text_layers
            chosen = spec(module, part, pattern, 2, 2.0)
            inject.inject(module, inject.AdapterSpec(part, chosen.sizes, 0.0, kind), seed=0)
        assert torch.equal(predicted(family), before)
        generator = torch.Generator().manual_seed(1)
        for weight in inject.state(parts).values():
            weight.add_(torch.randn(weight.shape, generator=generator) * 0.2)
        after = predicted(family)
    assert (after - before).abs().max() > 1e-2 * before.abs().max()

    state, alphas = inject.state(parts) | inject.kept(parts), inject.alphas(parts)
    path = tmp_path / "a.safetensors"
    file.save(path, state, alphas, naming=family.naming, metadata={}, dtype=torch.float32)
    file.verify(path, state, alphas, naming=family.naming)
    found = recognised(file.load(path), name)
    assert found.adapters.keys() == alphas.keys() and not found.unmatched

    fresh, others = loaded(name, bases[name])
    merge(others, file.match(file.load(path), others, family.naming).adapters)
    with torch.no_grad():
        assert (predicted(fresh) - after).abs().max() < 2e-4 * after.abs().max()
