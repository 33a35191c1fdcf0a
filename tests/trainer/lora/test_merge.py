"""Merging adds up @ down * alpha / rank, in float32. (That it equals the forward pass: test_lora_file.py.)"""

import pytest
import torch
from torch import nn

from trainer.lora.adapter import Adapter
from trainer.lora.keys import LoraError
from trainer.lora.merge import merge


def model(dtype=torch.float32):
    torch.manual_seed(0)
    return {"denoiser": nn.ModuleDict({"line": nn.Linear(6, 5), "conv": nn.Conv2d(3, 4, 3, padding=1)}).to(dtype)}


def adapters(scale=1.0):
    generator = torch.Generator().manual_seed(1)

    def draw(*shape):
        return scale * torch.randn(*shape, generator=generator)

    return {"denoiser.line": Adapter(draw(2, 6), draw(5, 2), 3.0),
            "denoiser.conv": Adapter(draw(2, 3, 3, 3), draw(4, 2, 1, 1), 0.5)}


@pytest.mark.parametrize("strength", [1.0, -0.5, 0.0])
def test_equals_the_formula_in_float64(strength):
    parts, before, updates = model(), model(), adapters()
    merge(parts, updates, strength)
    line, conv = updates["denoiser.line"], updates["denoiser.conv"]
    wanted = before["denoiser"]["line"].weight.double() + strength * 3 / 2 * line.up.double() @ line.down.double()
    assert (parts["denoiser"]["line"].weight - wanted).abs().max() < 1e-6
    delta = torch.einsum("or,rihw->oihw", conv.up.double()[:, :, 0, 0], conv.down.double())
    wanted = before["denoiser"]["conv"].weight.double() + strength * 0.5 / 2 * delta
    assert (parts["denoiser"]["conv"].weight - wanted).abs().max() < 1e-6
    assert torch.equal(parts["denoiser"]["line"].bias, before["denoiser"]["line"].bias)


def test_a_merged_convolution_is_two_convolutions_in_a_row():
    parts, before, update = model(), model(), adapters()["denoiser.conv"]
    merge(parts, {"denoiser.conv": update})
    x = torch.randn(1, 3, 8, 8)
    aside = nn.functional.conv2d(nn.functional.conv2d(x, update.down, padding=1), update.up) * (0.5 / 2)
    assert torch.allclose(parts["denoiser"]["conv"](x), before["denoiser"]["conv"](x) + aside, atol=1e-5)


def test_the_sum_is_made_in_float32_even_for_16_bit_adapters_and_weights():
    updates = {name: Adapter(full.down.half(), full.up.half(), full.alpha) for name, full in adapters().items()}
    assert all(adapter.delta().dtype == torch.float32 for adapter in updates.values())
    parts, exact = model(torch.bfloat16), model(torch.bfloat16)
    merge(parts, updates)
    exact["denoiser"].float()
    merge(exact, updates)
    weight = parts["denoiser"]["line"].weight
    assert weight.dtype == torch.bfloat16
    assert torch.equal(weight, exact["denoiser"]["line"].weight.to(torch.bfloat16))


def test_layers_that_the_model_lacks_are_an_error_before_anything_changes():
    parts, before = model(), model()
    with pytest.raises(LoraError, match="1 of the LoRA's 3 layers are not in this model .denoiser.more"):
        merge(parts, adapters() | {"denoiser.more": Adapter(torch.ones(1, 1), torch.ones(1, 1), 1.0)})
    assert torch.equal(parts["denoiser"]["line"].weight, before["denoiser"]["line"].weight)
