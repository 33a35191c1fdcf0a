"""Adapters start as nothing, stay float32, depend on seed and name alone, and go in and out by name."""

import pytest
import torch

from settings.errors import SettingsError
from tests.lora import attach, scramble, tiny_parts
from trainer.config import DenoiserLora
from trainer.lora import inject, targets
from trainer.lora.keys import LoraError
from trainer.lora.sizes import sizes


def predict(unet, dtype=torch.float32):
    generator = torch.Generator().manual_seed(3)
    latents = torch.randn(2, 4, 16, 16, generator=generator).to(dtype)
    text = torch.randn(2, 77, 32, generator=generator).to(dtype)
    return unet(latents, torch.tensor([10, 700]), text).sample


@pytest.mark.parametrize("layers", ["attention", "attention+ff", "all"])
def test_identity_until_the_first_step(layers):
    parts = tiny_parts()
    tokens = torch.arange(77).reshape(1, 77)
    with torch.no_grad():
        before = predict(parts["denoiser"]), parts["text_encoder"](tokens).last_hidden_state
        attach(parts, layers=layers)
        after = predict(parts["denoiser"]), parts["text_encoder"](tokens).last_hidden_state
    assert torch.equal(before[0], after[0]) and torch.equal(before[1], after[1])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_adapters_are_float32_whatever_the_base(dtype):
    parts = {name: module.to(dtype) for name, module in tiny_parts().items()}
    attach(parts, layers="all")
    assert {weight.dtype for weight in inject.state(parts).values()} == {torch.float32}
    frozen = {weight.dtype for module in parts.values() for weight in module.parameters() if not weight.requires_grad}
    assert frozen == {dtype}
    inject.load_state(parts, {key: weight.to(dtype) for key, weight in inject.state(parts).items()})
    assert {weight.dtype for weight in inject.state(parts).values()} == {torch.float32}


def test_only_adapters_learn_and_all_of_them_do():
    parts = tiny_parts()
    trained = attach(parts, layers="all")
    scramble(parts)
    text = parts["text_encoder"](torch.arange(77).reshape(1, 77).repeat(2, 1)).last_hidden_state
    parts["denoiser"](torch.randn(2, 4, 16, 16), torch.tensor([10, 700]), text).sample.square().mean().backward()
    every = [weight for module in parts.values() for weight in module.parameters()]
    assert {id(weight) for weight in every if weight.grad is not None} == {id(weight) for weight in trained}
    assert all(weight.grad.abs().sum() > 0 for weight in trained)


def test_start_depends_on_seed_and_name_and_on_nothing_else():
    torch.manual_seed(0)
    first = tiny_parts()
    attach(first, seed=5)
    torch.manual_seed(1)
    torch.randn(7)
    second = tiny_parts()
    left = torch.get_rng_state()
    attach(second, seed=5, layers="all")
    assert torch.equal(left, torch.get_rng_state())
    whole = inject.state(second)
    assert all(torch.equal(weight, whole[key]) for key, weight in inject.state(first).items())
    other = tiny_parts()
    attach(other, seed=6)
    assert not any(torch.equal(weight, whole[key]) for key, weight in inject.state(other).items() if "lora_A" in key)
    downs = [weight for key, weight in inject.state(other).items() if key.endswith("to_q.lora_A.weight")]
    assert not torch.equal(downs[0], downs[1])


def test_start_is_uniform_with_the_bound_of_a_linear_layer():
    parts = tiny_parts()
    attach(parts, rank=64)
    down = inject.state(parts)["text_encoder.encoder.layers.0.mlp.fc1.lora_A.weight"]
    bound = 1 / 32**0.5
    assert 0.95 * bound < down.abs().max() <= bound
    assert down.std() == pytest.approx(bound / 3**0.5, rel=0.05)
    assert not any(weight.any() for key, weight in inject.state(parts).items() if "lora_B" in key)


def test_no_matching_layer_is_an_error_that_names_the_setting():
    unet = tiny_parts()["denoiser"]
    with pytest.raises(SettingsError) as caught:
        sizes(DenoiserLora(), r"nothing\.here", inject.shapes(unet), "lora.denoiser")
    assert "lora.denoiser.layers" in caught.value.problems


def test_dropout_drops_while_training_and_not_while_sampling():
    parts = tiny_parts()
    attach(parts, dropout=0.5)
    scramble(parts)
    unet = parts["denoiser"]
    unet.eval()
    with torch.no_grad():
        assert torch.equal(predict(unet), predict(unet))
        unet.train()
        torch.manual_seed(1)
        first = predict(unet)
        assert not torch.equal(first, predict(unet))
        torch.manual_seed(1)
        assert torch.equal(first, predict(unet))


def test_state_goes_in_and_out_and_nothing_may_be_missing_or_extra():
    parts, copy = tiny_parts(), tiny_parts()
    attach(parts)
    attach(copy, seed=9)
    scramble(parts)
    saved = {key: weight.clone() for key, weight in inject.state(parts).items()}
    inject.load_state(copy, saved)
    assert all(torch.equal(weight, saved[key]) for key, weight in inject.state(copy).items())
    some = next(iter(saved))
    with pytest.raises(LoraError, match="1 of .* missing"):
        inject.load_state(copy, {key: weight for key, weight in saved.items() if key != some})
    with pytest.raises(LoraError, match="not known .*denoiser.more"):
        inject.load_state(copy, saved | {"denoiser.more.lora_A.weight": saved[some]})
    with pytest.raises(LoraError, match="rank"):
        inject.load_state(copy, saved | {some: saved[some][:1]})
    assert all(torch.equal(weight, saved[key]) for key, weight in inject.state(copy).items())


def test_alphas_are_what_the_layers_apply():
    parts = tiny_parts()
    attach(parts, rank=4, alpha=6.0)
    assert set(inject.alphas(parts).values()) == {6.0}
    assert {name.rsplit(".lora_", 1)[0] for name in inject.state(parts)} == inject.alphas(parts).keys()


def test_trusting_autocast_changes_little_and_needs_it():
    parts = {name: module.to(torch.bfloat16) for name, module in tiny_parts().items()}
    attach(parts)
    scramble(parts)
    unet = parts["denoiser"]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        plain = predict(unet, torch.bfloat16).float()
        inject.trust_autocast(unet)
        lean = predict(unet, torch.bfloat16).float()
    assert (plain - lean).abs().max() <= 0.02 * plain.abs().max()
    with torch.no_grad(), pytest.raises(RuntimeError, match="type"):
        predict(unet, torch.bfloat16)


@pytest.mark.parametrize("path, layers", [
    ("down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q", {"attention", "attention+ff", "all"}),
    ("mid_block.attentions.0.transformer_blocks.9.ff.net.0.proj", {"attention+ff", "all"}),
    ("up_blocks.1.attentions.2.proj_out", {"attention+ff", "all"}),
    ("up_blocks.1.resnets.2.conv_shortcut", {"all"}),
    ("down_blocks.1.downsamplers.0.conv", {"all"}),
    ("conv_in", set()),
    ("time_embedding.linear_1", set()),
])
def test_targets_choose_layers(path, layers):
    import re

    assert {name for name, pattern in targets.UNET.items() if re.fullmatch(pattern, path)} == layers
