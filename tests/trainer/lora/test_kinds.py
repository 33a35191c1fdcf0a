"""Each kind of adapter starts as nothing, learns everywhere, does what its file says, and is what its name promises."""

from pathlib import Path

import pytest
import safetensors.torch
import torch
from peft import LoHaConfig, LoKrConfig, LoraConfig, OFTConfig, inject_adapter_in_model
from torch import nn

from settings.errors import SettingsError
from tests.models import golden_lines
from trainer.config import LoraSettings, kinds
from trainer.lora import dialects, file, inject
from trainer.lora.adapter import Adapter
from trainer.lora.coverage import coverage
from trainer.lora.file import PRECISIONS
from trainer.lora.keys import FLUX, SDXL, STABLE_DIFFUSION, LoraError
from trainer.lora.kinds import LAYERS, UPDATES
from trainer.lora.kinds.oft import side_of
from trainer.lora.kinds.pissa import main_part
from trainer.lora.merge import merge
from trainer.lora.sizes import Size

KINDS = tuple(LAYERS)
LINEAR, CONVOLUTION, POINT = "attn.to_q", "resnets.0.conv1", "proj_in"
LAYER_TYPES = {LINEAR: (3, 5, 12), CONVOLUTION: (3, 12, 7, 7), POINT: (3, 12, 4, 4)}


def layer_of(path: str) -> nn.Module:
    if path == LINEAR:
        return nn.Linear(12, 8)
    return nn.Conv2d(12, 8, 3, stride=2, padding=1) if path == CONVOLUTION else nn.Conv2d(12, 8, 1, bias=False)


def model(*paths: str, seed: int = 0) -> nn.Module:
    """A module with a random layer at each path."""
    whole = nn.Module()
    with torch.random.fork_rng(devices=[]):
        for path in paths:
            torch.manual_seed(seed + len(path))
            parent, (*names, last) = whole, path.split(".")
            for name in names:
                if not hasattr(parent, name):
                    parent.add_module(name, nn.Module())
                parent = getattr(parent, name)
            parent.add_module(last, layer_of(path))
    return whole


def attached(kind: str, *paths: str, rank: int = 4, alpha: float = 6.0, seed: int = 1, factor: int | None = None,
             dropout: float = 0.0) -> nn.Module:
    whole = model(*paths)
    spec = inject.AdapterSpec("denoiser", dict.fromkeys(paths, Size(rank, alpha)), dropout, kind, factor)
    inject.inject(whole, spec, seed=seed)
    return whole


def moved(whole: nn.Module, seed: int = 2) -> nn.Module:
    """As if it had been trained hard."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in inject.parameters(whole):
            weight.add_(torch.randn(weight.shape, generator=generator) * 0.2)
    return whole


def numbers(path: str) -> torch.Tensor:
    return torch.randn(LAYER_TYPES[path], generator=torch.Generator().manual_seed(3))


def updates(whole: nn.Module) -> dict:
    parts = {"denoiser": whole}
    return file.updates_of(inject.state(parts) | inject.kept(parts), inject.alphas(parts))


def save(path: Path, whole: nn.Module, naming=STABLE_DIFFUSION, precision: str = "float32") -> Path:
    parts = {"denoiser": whole}
    state, alphas = inject.state(parts) | inject.kept(parts), inject.alphas(parts)
    file.save(path, state, alphas, naming=naming, metadata={}, dtype=PRECISIONS[precision])
    file.verify(path, state, alphas, naming=naming)
    return path


def test_there_is_a_kind_for_each_choice():
    assert set(LoraSettings.model_fields["kind"].annotation.__args__) == set(KINDS)


@pytest.mark.proves("lora.kind")
@pytest.mark.parametrize("path", LAYER_TYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_it_starts_as_nothing_learns_with_every_weight_and_merges_to_its_forward(kind, path):
    x = numbers(path)
    with torch.no_grad():
        before = model(path).get_submodule(path)(x)
    whole = attached(kind, path)
    layer = whole.get_submodule(path)
    assert torch.equal(layer(x), before) and {weight.dtype for weight in inject.parameters(whole)} == {torch.float32}
    moved(whole)
    layer(x).square().sum().backward()
    assert all(weight.grad.any() for weight in inject.parameters(whole))
    assert all(weight.grad is None for name, weight in layer.named_parameters() if "base_layer" in name)

    merged = {"denoiser": model(path)}
    merge(merged, updates(whole))
    with torch.no_grad():
        by_weight, by_forward = merged["denoiser"].get_submodule(path)(x), layer(x)
    assert (by_forward - before).abs().max() > 0.05
    assert (by_weight - by_forward).abs().max() < 2e-5


@pytest.mark.parametrize("kind", KINDS)
def test_the_start_follows_from_seed_and_name(kind):
    torch.manual_seed(0)
    first = inject.state({"denoiser": attached(kind, *LAYER_TYPES)})
    torch.manual_seed(7)
    again = inject.state({"denoiser": attached(kind, *reversed(LAYER_TYPES))})
    assert all(torch.equal(weight, again[name]) for name, weight in first.items())
    other = inject.state({"denoiser": attached(kind, *LAYER_TYPES, seed=2)})
    differ = any(not torch.equal(weight, other[name]) for name, weight in first.items())
    assert differ == (kind not in ("oft", "pissa")), "those two have nothing random in them"


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_and_checkpointing_change_little(kind):
    whole = moved(attached(kind, *LAYER_TYPES))
    for path in LAYER_TYPES:
        layer, x = whole.get_submodule(path), numbers(path)
        exact = layer(x)
        with torch.autocast("cpu", torch.bfloat16):
            inject.trust_autocast(whole)
            rounded = torch.utils.checkpoint.checkpoint(layer, x, use_reentrant=False)
        rounded.float().square().sum().backward()
        assert (rounded.float() - exact).abs().max() < 0.03 * exact.abs().max()
    assert all(weight.grad.any() for weight in inject.parameters(whole))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if LAYERS[kind]])
def test_inputs_are_dropped_while_training_only(kind):
    whole = moved(attached(kind, LINEAR, dropout=0.5))
    layer, x = whole.get_submodule(LINEAR), numbers(LINEAR)
    layer.train()
    torch.manual_seed(1)
    first = layer(x)
    assert not torch.equal(first, layer(x))
    torch.manual_seed(1)
    assert torch.equal(first, layer(x))
    layer.eval()
    assert torch.equal(layer(x), layer(x))


# What others compute from the same numbers.


def by_peft(config, base: nn.Linear, weights: dict[str, torch.Tensor]) -> nn.Linear:
    """The layer of PEFT's with these weights merged into a copy of `base`."""
    whole = nn.Sequential(nn.Linear(base.in_features, base.out_features, bias=False))
    whole[0].weight.data.copy_(base.weight)
    inject_adapter_in_model(config, whole, "default")
    with torch.no_grad():
        for name, tensor in weights.items():
            found = [own for full, own in whole[0].named_parameters() if name in full]
            assert len(found) == 1 and found[0].shape == tensor.shape, name
            found[0].copy_(tensor)
    whole[0].merge()
    return whole[0].get_base_layer()


def weight_after(whole: nn.Module, path: str = LINEAR) -> torch.Tensor:
    base = model(path).get_submodule(path).weight
    (update,) = updates(whole).values()
    return base + update.delta(base).reshape(base.shape)


@pytest.mark.parametrize("kind, factor", [("loha", None), ("lokr", None), ("lokr", 2)])
def test_peft_reckons_lycoris_kinds_alike(kind, factor):
    whole, base = moved(attached(kind, LINEAR, rank=1, factor=factor)), model(LINEAR).attn.to_q
    own = {"decompose_factor": factor or -1} if kind == "lokr" else {}
    config = {"loha": LoHaConfig, "lokr": LoKrConfig}[kind](r=1, alpha=6.0, target_modules=["0"], **own)
    weights = dict(zip(inject.weights(whole.attn.to_q), inject.parameters(whole)))
    assert torch.allclose(by_peft(config, base, weights).weight, weight_after(whole), atol=1e-6)


def test_dora_is_pefts_with_rows_and_columns_exchanged():
    whole, base = moved(attached("dora", LINEAR)), model(LINEAR).attn.to_q
    turned = nn.Linear(8, 12, bias=False)
    turned.weight.data.copy_(base.weight.T)
    down, up, magnitude = inject.parameters(whole)
    weights = {"lora_A": up.T, "lora_B": down.T, "lora_magnitude_vector": magnitude[0]}
    config = LoraConfig(r=4, lora_alpha=6.0, use_dora=True, target_modules=["0"])
    assert torch.allclose(by_peft(config, turned, weights).weight.T, weight_after(whole), atol=1e-6)


def test_dora_takes_the_length_of_columns_as_given_in_the_backward_pass():
    whole, x = moved(attached("dora", LINEAR)), numbers(LINEAR)
    layer = whole.attn.to_q
    layer(x).square().sum().backward()
    down, up = (weight.detach().clone().requires_grad_() for weight in (layer.down, layer.up))
    changed = layer.base_layer.weight + up @ down * 1.5
    factors = (layer.dora_scale / changed.norm(dim=0, keepdim=True)).detach()
    (x @ (changed * factors).T + layer.base_layer.bias).square().sum().backward()
    assert torch.allclose(layer.down.grad, down.grad, rtol=1e-4) and torch.allclose(layer.up.grad, up.grad, rtol=1e-4)


def test_oft_is_pefts_with_outputs_for_inputs():
    whole, base = moved(attached("oft", LINEAR)), model(LINEAR).attn.to_q
    turned = nn.Linear(8, 12, bias=False)
    turned.weight.data.copy_(base.weight.T)
    blocks = whole.attn.to_q.oft_blocks
    rows, columns = torch.triu_indices(4, 4, 1)
    skew = (blocks - blocks.transpose(1, 2))[:, rows, columns]
    config = OFTConfig(r=0, oft_block_size=4, use_cayley_neumann=False, target_modules=["0"])
    assert torch.allclose(by_peft(config, turned, {"oft_R": skew}).weight.T, weight_after(whole), atol=1e-5)
    after = weight_after(whole).unflatten(0, (2, 4))
    angles = [torch.einsum("kni,kmi->knm", one, one) for one in (base.weight.unflatten(0, (2, 4)), after)]
    assert not torch.allclose(*angles, atol=1e-3) and torch.allclose(base.weight.norm(), after.norm(), rtol=1e-5)
    lengths = [one.square().sum(1) for one in (base.weight.unflatten(0, (2, 4)), after)]
    assert torch.allclose(*lengths, rtol=1e-4), "a rotation keeps the length of each block's columns"


def test_pissa_learns_the_main_part_of_the_weight():
    """As the paper has it: the base without its largest directions, and these as A and B."""
    whole, x = attached("pissa", LINEAR, rank=3, alpha=6.0), numbers(LINEAR)
    base, layer = model(LINEAR).attn.to_q, whole.attn.to_q
    up, strength, down = torch.linalg.svd(base.weight.detach(), full_matrices=False)
    assert torch.allclose(layer.up @ layer.down * 2, (up[:, :3] * strength[:3]) @ down[:3], atol=1e-6)
    residual = base.weight.detach() - layer.up.detach() @ layer.down.detach() * 2
    moved(whole)
    expected = x @ (residual + layer.up @ layer.down * 2).T + base.bias
    assert torch.allclose(layer(x), expected, atol=1e-5)


def test_pissas_sketch_finds_the_largest_directions():
    generator = torch.Generator().manual_seed(0)
    up, down = (torch.linalg.qr(torch.randn(rows, 90, generator=generator)).Q for rows in (120, 160))
    strength = 3.0 * 0.8 ** torch.arange(90)
    weight = (up * strength) @ down.T
    found_up, found, found_down = main_part(weight, 4)
    assert torch.allclose(found, strength[:4], rtol=1e-4)
    best = (up[:, :4] * strength[:4]) @ down[:, :4].T
    assert torch.allclose((found_up * found) @ found_down, best, atol=1e-3)
    assert torch.equal(main_part(weight, 4)[0], found_up)


def test_pissa_with_more_ranks_than_the_layer_has():
    whole = attached("pissa", LINEAR, rank=16)
    assert whole.attn.to_q.down[8:].any() and not whole.attn.to_q.up[:, 8:].any()
    whole.attn.to_q(numbers(LINEAR)).sum().backward()
    assert whole.attn.to_q.up.grad[:, 8:].any()


def test_blocks_of_oft_divide_the_outputs():
    assert [side_of(outputs, 16) for outputs in (320, 1280, 24, 14, 7, 37, 4, 1)] == [16, 16, 12, 14, 7, 37, 4, 1]


def test_rslora_keeps_large_ranks_strong():
    whole = moved(attached("rslora", LINEAR, rank=4, alpha=6.0))
    (update,) = updates(whole).values()
    assert isinstance(update, Adapter) and update.alpha == pytest.approx(12.0)  # alpha / rank = 6 / sqrt(4)


@pytest.mark.proves("lora.factor")
def test_factor_makes_the_small_matrix_of_lokr():
    def shapes(**options):
        return [tuple(weight.shape) for weight in inject.parameters(attached("lokr", LINEAR, **options))]

    assert shapes(rank=1) == [(2, 3), (4, 1), (1, 4)]
    assert shapes(rank=1, factor=2) == [(2, 2), (4, 1), (1, 6)]
    assert shapes(rank=2) == [(2, 3), (4, 4)], "half of the larger matrix: it is learnt whole"
    assert (kinds.divided(1280, 8), kinds.divided(320, None), kinds.divided(7, 4)) == (8, 16, 1)


# As readers elsewhere apply files: ComfyUI's weight_adapter and A1111's network_*, in formulas.


def by_readers(tensors: dict[str, torch.Tensor], weight: torch.Tensor) -> torch.Tensor:
    own = {key.partition(".")[2]: tensor.double() for key, tensor in tensors.items()}
    weight, alpha = weight.double(), float(own["alpha"])
    if "oft_blocks" in own:
        skew = own["oft_blocks"] - own["oft_blocks"].transpose(1, 2)
        one = torch.eye(skew.shape[1], dtype=torch.double)
        rotation = (one + skew) @ torch.inverse(one - skew)
        rows = weight.reshape(*skew.shape[:2], *weight.shape[1:])
        return torch.einsum("knm,kn...->km...", rotation, rows).reshape(weight.shape)
    if "hada_w1_a" in own:
        scale = alpha / own["hada_w1_b"].shape[0]
        gained = (own["hada_w1_a"] @ own["hada_w1_b"]) * (own["hada_w2_a"] @ own["hada_w2_b"])
        return weight + scale * gained.reshape(weight.shape)
    if "lokr_w1" in own:
        whole = "lokr_w2" in own
        scale = 1.0 if whole else alpha / own["lokr_w2_b"].shape[0]
        large = own["lokr_w2"] if whole else own["lokr_w2_a"] @ own["lokr_w2_b"]
        small = own["lokr_w1"][:, :, None, None] if large.ndim == 4 else own["lokr_w1"]
        return weight + scale * torch.kron(small, large).reshape(weight.shape)
    gained = own["lora_up.weight"].flatten(1) @ own["lora_down.weight"].flatten(1)
    changed = weight + alpha / own["lora_down.weight"].shape[0] * gained.reshape(weight.shape)
    if "dora_scale" not in own:
        return changed
    scale = own["dora_scale"]
    assert scale.shape[0] == 1 and scale.ndim == weight.ndim, "else readers take it for lengths of rows"
    columns = changed.transpose(0, 1).reshape(changed.shape[1], -1).norm(dim=1)
    return changed * scale / columns.reshape(1, -1, *[1] * (weight.ndim - 2))


@pytest.mark.parametrize("path, rank", [(LINEAR, 4), (CONVOLUTION, 4), (CONVOLUTION, 1), (POINT, 1)])
@pytest.mark.parametrize("kind", KINDS)
def test_readers_elsewhere_do_what_was_trained(tmp_path, kind, path, rank):
    whole = moved(attached(kind, path, rank=max(rank, 2) if kind == "oft" else rank))
    tensors = file.load(save(tmp_path / "a.safetensors", whole)).tensors
    base = model(path).get_submodule(path)
    theirs = by_readers(tensors, base.weight.detach())
    x = numbers(path)
    with torch.no_grad():
        base.weight.copy_(theirs)
        assert (base(x) - whole.get_submodule(path)(x)).abs().max() < 2e-5


# Files.


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("lora", "rslora")])
def test_names_in_files_are_golden(tmp_path, kind):
    """LyCORIS's names behind kohya's, or behind diffusers' where the family is written so: other programs know them."""
    paths = {"mid_block.attentions.0.transformer_blocks.0.attn1.to_q": LINEAR, "mid_block.resnets.0.conv1": CONVOLUTION}
    lines = []
    for naming, names in ((STABLE_DIFFUSION, paths), (FLUX, {"transformer_blocks.0.attn.to_q": LINEAR})):
        whole = attached(kind, *names.values(), rank=2)
        state = {name: tensor for name, tensor in (inject.state({"denoiser": whole}) | inject.kept(
            {"denoiser": whole})).items()}
        called = {f"denoiser.{short}": f"denoiser.{full}" for full, short in names.items()}
        state = {called[short] + name.removeprefix(short): tensor for name, tensor in state.items()
                 for short in called if name.startswith(f"{short}.")}
        alphas = {called[name]: alpha for name, alpha in inject.alphas({"denoiser": whole}).items()}
        file.save(tmp_path / "a.safetensors", state, alphas, naming=naming, metadata={})
        tensors = file.load(tmp_path / "a.safetensors").tensors
        lines += [f"{key} {'x'.join(map(str, tensor.shape)) or 'scalar'}" for key, tensor in sorted(tensors.items())]
    assert lines == golden_lines(f"keys/kinds/{kind}.txt")


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_files_come_back_as_they_were(tmp_path, kind, precision):
    whole = moved(attached(kind, *LAYER_TYPES))
    found = file.load(save(tmp_path / "a.safetensors", whole, precision=precision))
    matched = file.match(found, {"denoiser": model(*LAYER_TYPES)}, STABLE_DIFFUSION)
    assert not matched.unmatched
    for name, update in updates(whole).items():
        same = matched.adapters[name]
        assert same.kind == update.kind and same.alpha == update.alpha
        for weight, tensor in update.weights.items():
            read = same.weights[weight]
            assert torch.equal(read, tensor.to(PRECISIONS[precision]).reshape(read.shape))


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_run_starts_from_a_file_of_its_kind(tmp_path, kind):
    whole = moved(attached(kind, *LAYER_TYPES, rank=2))
    path = save(tmp_path / "a.safetensors", whole)
    other = attached(kind, *LAYER_TYPES, rank=2, seed=9, alpha=6.0 if kind == "pissa" else 3.0)
    applied = file.apply({"denoiser": other}, file.load(path), STABLE_DIFFUSION)
    assert len(applied.loaded) == 3 and not applied.untouched and not applied.unused
    for path in LAYER_TYPES:
        with torch.no_grad():
            ours, theirs = (one.get_submodule(path)(numbers(path)) for one in (other, whole))
        assert (ours - theirs).abs().max() < 2e-5


@pytest.mark.parametrize("saved, trained, said", [
    ("loha", "lora", "is loha, this run trains lora: set lora.kind = loha"),
    ("lora", "dora", "is lora, this run trains dora"),
    ("lokr", "oft", "is lokr, this run trains oft"),
    ("lora", "pissa", "no PiSSA of rank 2"),
])
def test_a_file_of_another_kind_is_refused(tmp_path, saved, trained, said):
    path = save(tmp_path / "a.safetensors", moved(attached(saved, *LAYER_TYPES, rank=2)))
    other = attached(trained, *LAYER_TYPES, rank=2)
    before = {name: weight.clone() for name, weight in inject.state({"denoiser": other}).items()}
    with pytest.raises(LoraError, match=said):
        file.apply({"denoiser": other}, file.load(path), STABLE_DIFFUSION)
    assert all(torch.equal(weight, before[name]) for name, weight in inject.state({"denoiser": other}).items())


def test_other_sizes_and_states_of_other_kinds_are_refused(tmp_path):
    path = save(tmp_path / "a.safetensors", moved(attached("loha", LINEAR, rank=2)))
    with pytest.raises(LoraError, match=r"hada_w1_a is \(8, 2\), this run has \(8, 3\)"):
        file.apply({"denoiser": attached("loha", LINEAR, rank=3)}, file.load(path), STABLE_DIFFUSION)
    with pytest.raises(LoraError, match="saved is loha, this run trains lokr: set lora.kind"):
        inject.load_state({"denoiser": attached("lokr", LINEAR)}, inject.state({"denoiser": attached("loha", LINEAR)}))
    with pytest.raises(LoraError, match="belongs to another model"):
        file.match(file.load(path), {"denoiser": nn.ModuleDict({"attn": nn.ModuleDict({"to_q": nn.Linear(12, 9)})})},
                   STABLE_DIFFUSION)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_another_model_is_refused_in_the_same_words(tmp_path, kind):
    path = save(tmp_path / "a.safetensors", moved(attached(kind, LINEAR, rank=2)))
    other = nn.ModuleDict({"attn": nn.ModuleDict({"to_q": nn.Linear(12, 9)})})
    with pytest.raises(LoraError, match=r"was made for a layer of shape .*; this model's is \(9, 12\): the LoRA"):
        file.match(file.load(path), {"denoiser": other}, STABLE_DIFFUSION)


def test_folders_of_pefts_other_kinds_are_refused(tmp_path):
    safetensors.torch.save_file({"base_model.model.a.oft_blocks": torch.ones(2, 2, 2)},
                                tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "OFT", "r": 2}', encoding="utf-8")
    with pytest.raises(LoraError, match="PEFT's OFT"):
        file.load(tmp_path)


def test_a_peft_dora_is_read_by_rows_and_does_not_start_a_run():
    base = model(LINEAR).attn.to_q.weight.detach()
    generator = torch.Generator().manual_seed(1)
    down, up, lengths = (torch.randn(shape, generator=generator) for shape in ((2, 12), (8, 2), (8,)))
    tensors = {f"unet.{LINEAR}.{name}": tensor for name, tensor in {
        "lora_A.weight": down, "lora_B.weight": up, "lora_magnitude_vector.weight": lengths}.items()}
    found = file.LoraFile(Path("a"), tensors, {}, "diffusers")
    whole = model(LINEAR)
    matched = file.match(found, {"denoiser": whole}, STABLE_DIFFUSION)
    merge({"denoiser": whole}, matched.adapters)
    changed = base + up @ down
    expected = changed * (lengths / changed.norm(dim=1))[:, None]
    assert torch.allclose(whole.attn.to_q.weight, expected, atol=1e-5)
    with pytest.raises(LoraError, match="for each row"):
        file.apply({"denoiser": attached("dora", LINEAR, rank=2)}, found, STABLE_DIFFUSION)


@pytest.mark.parametrize("kind", KINDS)
def test_coverage_says_how_much_each_layer_changes(kind):
    bases = {f"denoiser.{path}": model(path).get_submodule(path).weight.detach() for path in LAYER_TYPES}
    whole = attached(kind, *LAYER_TYPES)
    assert len(coverage(updates(whole), bases)["parts"][0]["zero"]) == 3
    found = updates(moved(whole))
    (report,) = coverage(found, bases)["parts"]
    gained = [float(one.delta(bases[name]).double().norm()) for name, one in found.items()]
    assert report["norm"] == pytest.approx(sum(size**2 for size in gained) ** 0.5, rel=1e-5) and not report["zero"]
    assert report["adapters"] == {next(iter(found.values())).kind: 3}
    assert (coverage(found)["parts"][0]["norm"] is None) == (kind in ("dora", "oft"))


def test_other_dialects_hold_what_they_can(tmp_path):
    names = {"mid_block.attentions.0.transformer_blocks.0.attn1.to_q": LINEAR, "mid_block.resnets.0.conv1": CONVOLUTION}
    for update in UPDATES:
        whole = moved(attached(update.kind, *names.values()))
        found = {f"denoiser.{full}": updates(whole)[f"denoiser.{short}"] for full, short in names.items()}
        for dialect in ("comfyui", "kohya", "blocks"):
            dialects.write(tmp_path / update.kind / f"{dialect}.safetensors", found, SDXL, dialect, {})
        with pytest.raises(LoraError, match=f"{update.kind} can't be written for diffusers"):
            dialects.write(tmp_path / update.kind / "diffusers", found, SDXL, "diffusers", {})
        fused = {"denoiser.transformer_blocks.0.attn.to_q": found[f"denoiser.{next(iter(names))}"]}
        with pytest.raises(LoraError, match="can't be joined"):
            dialects.write(tmp_path / update.kind / "fused.safetensors", fused, FLUX, "blocks", {})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", LAYER_TYPES)
@pytest.mark.parametrize("rank", [1, 2, 4])
def test_the_plan_counts_what_learns(kind, path, rank):
    found = sum(weight.numel() for weight in inject.parameters(attached(kind, path, rank=rank)))
    counted = kinds.numbers(LoraSettings(kind=kind), rank, tuple(layer_of(path).weight.shape))
    if (kind, rank) != ("oft", 1):  # refused
        assert counted == found


@pytest.mark.parametrize("kind, sections, path", [
    ("loha", {"lora": {"denoiser": {"plus_ratio": 4}}}, "lora.denoiser.plus_ratio"),
    ("oft", {"lora": {"denoiser": {"rank_dropout": 0.1}}}, "lora.denoiser.rank_dropout"),
    ("pissa", {"lora": {"max_norm": 1.0}}, "lora.max_norm"),
    ("oft", {"lora": {"max_norm": 1.0}}, "lora.max_norm"),
    ("oft", {"lora": {"denoiser": {"rank": 1}}}, "lora.denoiser.rank"),
    ("dora", {"memory": {"base_precision": "4bit"}}, "lora.kind"),
    ("pissa", {"memory": {"base_precision": "8bit"}}, "lora.kind"),
    ("oft", {"save": {"peft": True}}, "save.peft"),
    ("dora", {"save": {"peft": True}}, "save.peft"),
    ("loha", {"save": {"diffusers": True}}, "save.diffusers"),
    ("dora", {"save": {"diffusers": True}}, "save.diffusers"),
    ("lokr", {"model": {"family": "flux"}, "save": {"blocks": True}}, "save.blocks"),
])
def test_what_a_kind_has_not_is_said_before(kind, sections, path):
    from settings.errors import check
    from tests.trainer.conftest import over
    from trainer.config import TrainSettings

    values = over({"model": {"base": "a"}, "lora": {"kind": kind}}, sections)
    with pytest.raises(SettingsError) as caught:
        check(TrainSettings, values)
    assert path in caught.value.problems
    check(TrainSettings, over(values, {"lora": {"kind": "lora"}}))
