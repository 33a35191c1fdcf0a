"""PEFT takes the folders that are written for it and says the same; what it reckons otherwise is refused."""

import json

import pytest
import torch
from peft import LoHaConfig, LoKrConfig, PeftModel, get_peft_model
from peft.tuners.lokr.layer import factorization
from torch import nn

from settings.errors import SettingsError, check
from tests.lora import scramble, tiny_parts
from tests.trainer.conftest import over
from trainer.config import DenoiserLora, TrainSettings
from trainer.config.kinds import divided, peft_divides
from trainer.lora import dialects, file, inject, reading, targets
from trainer.lora.keys import STABLE_DIFFUSION, LoraError
from trainer.lora.sizes import Size, sizes

WORDS = torch.arange(2, 14)[None]


def adapted(kind: str, factor: int | None) -> dict[str, nn.Module]:
    """Tiny parts with this kind in all their layers, with ranks and alphas of their own in some of them. Strengths are
    exact in float32, in which PEFT keeps them."""
    parts = tiny_parts()
    rows = [{"block": "mid_block", "rank": 3, "alpha": 4.5}, {"block": "down_blocks.0", "rank": 1}]
    own = DenoiserLora(rank=2, alpha=3.0, layers="all", conv_rank=4, blocks=rows)
    chosen = {"denoiser": sizes(own, targets.UNET["all"], inject.shapes(parts["denoiser"]), "lora.denoiser")}
    chosen["text_encoder"] = {path: Size(2, 1.0) for path in inject.shapes(parts["text_encoder"])
                              if path.startswith("encoder.")}
    for name, part in parts.items():
        inject.inject(part, inject.AdapterSpec(name, chosen[name], 0.0, kind, factor), seed=0)
    scramble(parts)
    for part in parts.values():
        inject.trust_autocast(part)  # else float64 is taken for float32
        for weight in inject.parameters(part):
            weight.data *= 1 if kind == "lora" else 4
    return parts


def answers(unet: nn.Module, reader: nn.Module) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        words = reader(WORDS).last_hidden_state
        picture = torch.randn(1, 4, 8, 8, generator=random).to(words.dtype)
        return [words, unet(picture, torch.tensor([7]), words).sample]


@pytest.mark.parametrize("kind, factor", [("lora", None), ("loha", None), ("lokr", None), ("lokr", 2)])
def test_peft_says_what_was_trained(tmp_path, kind, factor):
    parts = adapted(kind, factor)
    updates = file.updates_of(inject.state(parts), inject.alphas(parts))
    assert kind != "lokr" or {"lokr_w2" in one.weights for one in updates.values()} == {True, False}
    dialects.write(tmp_path / "it", updates, STABLE_DIFFUSION, "peft", {})
    for dtype, near in ((torch.float32, 1e-6), (torch.float64, 1e-12)):
        before = answers(*(part.to(dtype).eval() for part in tiny_parts().values()))
        ours = answers(*(part.to(dtype).eval() for part in parts.values()))
        loaded = [PeftModel.from_pretrained(part, tmp_path / "it" / name, torch_device="cpu").to(dtype).eval()
                  for part, name in zip(tiny_parts().values(), ("unet", "text_encoder"))]
        for own, theirs, plain in zip(ours, answers(*loaded), before):
            size = own.abs().max()
            assert (own - theirs).abs().max() <= near * size and (own - plain).abs().max() > 0.05 * size


@pytest.mark.parametrize("kind, options", [
    (LoHaConfig, {}), (LoHaConfig, {"use_effective_conv2d": True}), (LoKrConfig, {}), (LoKrConfig, {"r": 40}),
    (LoKrConfig, {"decompose_factor": 4}), (LoKrConfig, {"decompose_both": True, "use_effective_conv2d": True, "r": 1}),
])
def test_folders_that_peft_wrote_are_read_at_their_strength(tmp_path, kind, options):
    """Also LoKr whose larger matrix is whole, which PEFT alone scales."""
    torch.manual_seed(0)
    config = kind(**{"r": 2, "alpha": 5.0, "init_weights": False, "alpha_pattern": {"mid_block.resnets.0.conv1": 2.0},
                     "target_modules": ["to_q", "conv1", "proj_in"]} | options)
    theirs = get_peft_model(tiny_parts()["denoiser"], config).eval()
    theirs.save_pretrained(tmp_path / "unet")
    plain = tiny_parts()
    matched = file.match(reading.load(tmp_path), plain, STABLE_DIFFUSION)
    assert not matched.unmatched
    for name, update in matched.adapters.items():
        layer = theirs.base_model.model.get_submodule(name.removeprefix("denoiser."))
        wanted = layer.get_delta_weight("default")
        assert torch.allclose(update.delta().reshape(wanted.shape), wanted, rtol=1e-5, atol=1e-6), name


def test_sides_are_divided_as_peft_divides_them():
    for side in range(1, 200):
        for factor in (-1, *range(1, 40)):
            assert peft_divides(side, factor) == factorization(side, factor)[0], (side, factor)
        assert peft_divides(side, -1) == divided(side, None)


@pytest.mark.parametrize("kind, said", [("dora", "for each row"), ("oft", "turns the inputs")])
def test_what_peft_reckons_otherwise_is_refused(tmp_path, kind, said):
    parts = adapted(kind, None)
    updates = file.updates_of(inject.state(parts), inject.alphas(parts))
    with pytest.raises(LoraError, match=said):
        dialects.write(tmp_path / "it", updates, STABLE_DIFFUSION, "peft", {})
    assert not list(tmp_path.iterdir())


def test_a_factor_that_peft_takes_otherwise_is_said_before(tmp_path):
    """4 divides 8, but is more than its square root: here that is 2 x 4, there 4 x 2."""
    module = nn.ModuleDict({"to_q": nn.Linear(8, 64, bias=False)})
    inject.inject(module, inject.AdapterSpec("denoiser", {"to_q": Size(1, 1.0)}, 0.0, "lokr", 4), seed=0)
    updates = file.updates_of(inject.state({"denoiser": module}), inject.alphas({"denoiser": module}))
    with pytest.raises(LoraError, match="no factor divides"):
        dialects.write(tmp_path / "it", updates, STABLE_DIFFUSION, "peft", {})
    values = {"model": {"base": "a"}, "save": {"peft": True}, "lora": {"kind": "lokr", "factor": 160}}
    with pytest.raises(SettingsError) as caught:
        check(TrainSettings, values)
    assert "set lora.factor to 17 or less" in caught.value.problems["save.peft"]
    check(TrainSettings, over(values, {"lora": {"factor": 17}}))
    check(TrainSettings, over(values, {"lora": {"factor": 16}}))


def test_one_folder_holds_one_kind(tmp_path):
    mixed = {}
    for kind, name in (("loha", "to_q"), ("lokr", "to_k")):
        module = nn.ModuleDict({name: nn.Linear(12, 12)})
        inject.inject(module, inject.AdapterSpec("denoiser", {name: Size(1, 1.0)}, 0.0, kind), seed=0)
        mixed |= file.updates_of(inject.state({"denoiser": module}), inject.alphas({"denoiser": module}))
    with pytest.raises(LoraError, match="one kind alone"):
        dialects.write(tmp_path / "it", mixed, STABLE_DIFFUSION, "peft", {})


def test_the_config_says_what_differs(tmp_path):
    parts = adapted("loha", None)
    updates = file.updates_of(inject.state(parts), inject.alphas(parts))
    dialects.write(tmp_path / "it", updates, STABLE_DIFFUSION, "peft", {})
    config = json.loads((tmp_path / "it" / "unet" / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["peft_type"] == "LOHA" and config["rank_pattern"]["^mid_block.attentions.0.proj_in"] == 3
    assert config["alpha_pattern"]["^mid_block.attentions.0.proj_in"] == 4.5
