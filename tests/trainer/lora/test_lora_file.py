"""Files are whole, hold what was trained, load in diffusers, and are refused in plain words when broken or foreign."""

import json
import os
import pickle

import pytest
import safetensors.torch
import torch

from tests.lora import attach, scramble, tiny_parts
from tests.models import header_of, tiny_sd15
from trainer.lora import file, inject
from trainer.lora.file import PRECISIONS
from trainer.lora.keys import STABLE_DIFFUSION, LoraError
from trainer.lora.merge import merge

TOKENS = torch.arange(77).reshape(1, 77).repeat(2, 1)


def trained(**options):
    parts = tiny_parts()
    attach(parts, **options)
    scramble(parts)
    return parts


def save(path, parts, dtype=torch.float32, metadata=None):
    file.save(path, inject.state(parts), inject.alphas(parts), naming=STABLE_DIFFUSION, metadata=metadata or {},
              dtype=dtype)
    return path


def verify(path, parts, **options):
    return file.verify(path, inject.state(parts), inject.alphas(parts), naming=STABLE_DIFFUSION, **options)


def predict(unet, text_encoder):
    """What a denoiser makes of noise and of what the text encoder says; float32, batch 2."""
    latents = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        text = text_encoder(TOKENS).last_hidden_state
        return unet(latents, torch.tensor([10, 700]), text).sample


@pytest.mark.parametrize("layers, alpha", [("attention", 4.0), ("attention+ff", 27.0), ("all", 0.5)])
def test_forward_equals_our_merge_equals_diffusers_merge(tmp_path, layers, alpha):
    from diffusers import StableDiffusionPipeline

    folder = tiny_sd15(tmp_path / "base")

    def fresh():
        pipeline = StableDiffusionPipeline.from_pretrained(folder)
        return pipeline, {"denoiser": pipeline.unet, "text_encoder": pipeline.text_encoder}

    _, parts = fresh()
    untouched = predict(*parts.values())
    attach(parts, layers=layers, alpha=alpha)
    scramble(parts)
    path = save(tmp_path / "a.safetensors", parts)
    by_forward = predict(*parts.values())
    assert (by_forward - untouched).abs().max() > 1e-3

    _, ours = fresh()
    match = file.match(file.load(path), ours, STABLE_DIFFUSION)
    assert not match.unmatched and match.adapters.keys() == inject.alphas(parts).keys()
    merge(ours, match.adapters)

    pipeline, theirs = fresh()
    pipeline.load_lora_weights(path)
    loaded = predict(*theirs.values())
    pipeline.fuse_lora()
    pipeline.unload_lora_weights()
    scale = by_forward.abs().max()
    for other in (predict(*ours.values()), loaded, predict(*theirs.values())):
        assert (other - by_forward).abs().max() <= 1e-5 * max(1.0, scale)
    for part, module in ours.items():
        weights = dict(theirs[part].named_parameters())
        assert all((weight - weights[key]).abs().max() <= 1e-5 for key, weight in module.named_parameters())


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_file_holds_what_was_trained(tmp_path, precision):
    parts = trained(layers="all", rank=4, alpha=27.0)
    path = save(tmp_path / "a.safetensors", parts, PRECISIONS[precision], {"ss_note": "ünï", "modelspec.title": "a"})
    found = verify(path, parts)
    assert found.layers == len(inject.alphas(parts)) and not found.zero and found.size == path.stat().st_size
    assert found.max_error <= {"float32": 0.0, "fp16": 2e-4, "bf16": 2e-3}[precision]
    loaded = file.load(path)
    assert loaded.dialect == "kohya" and loaded.metadata["ss_note"] == "ünï"
    alphas = {key: tensor for key, tensor in loaded.tensors.items() if key.endswith(".alpha")}
    assert {float(tensor) for tensor in alphas.values()} == {27.0}
    assert {loaded.tensors[key].dtype for key in loaded.tensors.keys() - alphas.keys()} == {PRECISIONS[precision]}


def test_loading_into_fresh_adapters_gives_the_same_weights(tmp_path):
    parts, other = trained(rank=4, alpha=2.0), tiny_parts()
    attach(other, rank=4, alpha=2.0, seed=8)
    applied = file.apply(other, file.load(save(tmp_path / "a.safetensors", parts)), STABLE_DIFFUSION)
    assert len(applied.loaded) == len(inject.alphas(parts)) and not applied.untouched and not applied.unused
    wanted = inject.state(parts)
    assert all(torch.equal(weight, wanted[key]) for key, weight in inject.state(other).items())


def test_starting_from_a_file_with_another_alpha_keeps_the_update(tmp_path):
    parts, other = trained(layers="all", rank=4, alpha=2.0), tiny_parts()
    path = save(tmp_path / "a.safetensors", parts)
    attach(other, layers="attention+ff", rank=4, alpha=8.0)
    applied = file.apply(other, file.load(path), STABLE_DIFFUSION)
    assert applied.unused and all("conv" in name or "time_emb" in name for name in applied.unused)
    again = file.load(save(tmp_path / "b.safetensors", other))
    before = file.match(file.load(path), tiny_parts(), STABLE_DIFFUSION).adapters
    after = file.match(again, tiny_parts(), STABLE_DIFFUSION).adapters
    assert all(torch.allclose(adapter.delta(), before[name].delta(), atol=1e-6) for name, adapter in after.items())
    narrow = tiny_parts()
    attach(narrow, rank=2)
    with pytest.raises(LoraError, match="rank 4, this run trains rank 2"):
        file.apply(narrow, again, STABLE_DIFFUSION)


def test_hashes_are_those_that_readers_compute(tmp_path):
    import hashlib

    parts = trained(rank=64)
    path = save(tmp_path / "a.safetensors", parts, metadata={"ss_a": "1", "modelspec.b": "2"})
    content, metadata = path.read_bytes(), header_of(path)["__metadata__"]
    start = 8 + int.from_bytes(content[:8], "little")
    assert metadata["sshs_model_hash"] == hashlib.sha256(content[start:]).hexdigest()
    draft = safetensors.torch.save(safetensors.torch.load(content), {"ss_a": "1"})
    assert metadata["sshs_legacy_hash"] == hashlib.sha256(draft[0x100000:0x110000]).hexdigest()[:8]
    moved = save(tmp_path / "b.safetensors", parts, metadata={"ss_a": "1", "modelspec.b": "a longer title"})
    hashes = ("sshs_model_hash", "sshs_legacy_hash")
    assert all(header_of(moved)["__metadata__"][key] == metadata[key] for key in hashes)


# Reading other programs' files


def in_dialect(parts, rename):
    """The adapters of `parts` under other names: rename(part, path, letter) -> key."""
    tensors = {}
    for key, weight in inject.state(parts).items():
        name, letter = key.removesuffix(".weight").rsplit(".lora_", 1)
        part, path = name.split(".", 1)
        tensors[rename(part, path, letter)] = weight.clone()
    return tensors


DIFFUSERS = {"denoiser": "unet", "text_encoder": "text_encoder"}


@pytest.mark.parametrize("rename", [
    lambda part, path, letter: f"{DIFFUSERS[part]}.{path}.lora_{letter}.weight",
    lambda part, path, letter: f"{DIFFUSERS[part]}.{path}.lora.{'down' if letter == 'A' else 'up'}.weight",
    lambda part, path, letter: f"base_model.model.{path}.lora_{letter}.weight",
    lambda part, path, letter: f"{part}.{path}.lora_{letter}.weight",
], ids=["diffusers", "old diffusers", "peft", "ours"])
def test_other_dialects_are_read(tmp_path, rename):
    parts = trained(rank=4, alpha=4.0)  # none of these carries an alpha, so it is the rank
    safetensors.torch.save_file(in_dialect(parts, rename), tmp_path / "a.safetensors")
    match = file.match(file.load(tmp_path / "a.safetensors"), tiny_parts(), STABLE_DIFFUSION)
    assert match.adapters.keys() == inject.alphas(parts).keys() and not match.unmatched
    state = inject.state(parts)
    assert all(torch.equal(adapter.up, state[f"{name}.lora_B.weight"]) and adapter.alpha == 4.0
               for name, adapter in match.adapters.items())


def test_a_file_written_by_diffusers_keeps_its_alpha(tmp_path):
    from diffusers import StableDiffusionPipeline
    from diffusers.training_utils import _collate_lora_metadata
    from peft.utils import get_peft_model_state_dict

    parts = trained(rank=4, alpha=2.0)
    StableDiffusionPipeline.save_lora_weights(
        tmp_path, unet_lora_layers=get_peft_model_state_dict(parts["denoiser"]),
        text_encoder_lora_layers=get_peft_model_state_dict(parts["text_encoder"]),
        **_collate_lora_metadata({"unet": parts["denoiser"], "text_encoder": parts["text_encoder"]}))
    match = file.match(file.load(tmp_path), tiny_parts(), STABLE_DIFFUSION)
    assert not match.unmatched
    assert {name: adapter.alpha for name, adapter in match.adapters.items()} == inject.alphas(parts)


@pytest.mark.parametrize("rank_stabilised", [False, True])
def test_a_peft_folder_is_read_with_its_alphas(tmp_path, rank_stabilised):
    from peft import LoraConfig, get_peft_model

    parts = tiny_parts()
    unet = get_peft_model(parts["denoiser"], LoraConfig(r=4, lora_alpha=6, target_modules=["to_q", "to_k"],
                                                        alpha_pattern={"attn2.to_k": 3}, use_rslora=rank_stabilised))
    text = get_peft_model(parts["text_encoder"], LoraConfig(r=2, lora_alpha=5, target_modules=["q_proj"]))
    scramble(parts)
    unet.save_pretrained(tmp_path / "lora" / "unet")
    text.save_pretrained(tmp_path / "lora" / "text_encoder")
    match = file.match(file.load(tmp_path / "lora"), tiny_parts(), STABLE_DIFFUSION)
    assert not match.unmatched
    assert {name: adapter.alpha for name, adapter in match.adapters.items()} == pytest.approx(inject.alphas(parts))
    assert len({adapter.alpha for adapter in match.adapters.values()}) == 3
    lone = file.match(file.load(tmp_path / "lora" / "text_encoder"), tiny_parts(), STABLE_DIFFUSION)
    assert all(name.startswith("text_encoder.") for name in lone.adapters)


def test_a_matrix_fits_a_1x1_convolution_and_back(tmp_path):
    parts = trained()
    name = next(name for name in inject.alphas(parts) if name.endswith("proj_in"))
    path = save(tmp_path / "a.safetensors", parts)
    tensors = safetensors.torch.load_file(path)
    stem = STABLE_DIFFUSION.stem(name)
    assert tensors[f"{stem}.lora_down.weight"].ndim == 4
    before = file.match(file.load(path), tiny_parts(), STABLE_DIFFUSION).adapters[name].delta()
    for role in ("down", "up"):
        tensors[f"{stem}.lora_{role}.weight"] = tensors[f"{stem}.lora_{role}.weight"].flatten(1)
    safetensors.torch.save_file(tensors, path)
    adapter = file.match(file.load(path), tiny_parts(), STABLE_DIFFUSION).adapters[name]
    assert torch.equal(adapter.delta(), before) and before.ndim == 4


# What is refused, and how


def test_a_spoilt_run_is_not_saved_and_the_old_file_stays(tmp_path):
    parts = trained()
    path = save(tmp_path / "a.safetensors", parts)
    before = path.read_bytes()
    weight = next(iter(inject.state(parts).values()))
    weight[0, 0] = 1e5
    with pytest.raises(LoraError, match="bf16 or float32"):
        save(path, parts, torch.float16)
    weight[0, 0] = float("nan")
    with pytest.raises(LoraError, match="diverged"):
        save(path, parts)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["a.safetensors"]


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    parts = trained()
    path = save(tmp_path / "a.safetensors", parts)
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        save(path, parts, torch.float16)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["a.safetensors"]


def test_what_killed_processes_left_is_swept_and_nothing_else(tmp_path):
    save(tmp_path / "a.safetensors", trained())
    (tmp_path / ".lora-partial-0123456789ab").write_bytes(b"half")
    (tmp_path / ".tmp-of-another-program").write_bytes(b"theirs")
    assert [path.name for path in file.sweep(tmp_path)] == [".lora-partial-0123456789ab"]
    assert sorted(os.listdir(tmp_path)) == [".tmp-of-another-program", "a.safetensors"]


def test_any_name_that_the_disk_takes_can_be_written(tmp_path):
    parts = trained(rank=1)
    for name in ("ё" * 121 + ".safetensors", "a [b] 'c' \"d\".safetensors"):
        verify(save(tmp_path / name, parts), parts)
        assert (tmp_path / name).is_file()


def test_verify_sees_every_difference(tmp_path):
    parts = trained()
    path = save(tmp_path / "a.safetensors", parts)
    good = safetensors.torch.load_file(path)
    up = next(key for key in good if key.endswith("lora_up.weight"))

    def broken(change, match):
        tensors = {key: tensor.clone() for key, tensor in good.items()}
        change(tensors)
        safetensors.torch.save_file(tensors, path)
        with pytest.raises(LoraError, match=match):
            verify(path, parts)

    broken(lambda tensors: tensors[up].view(-1)[0].add_(1e-6), "not what was trained")
    broken(lambda tensors: tensors.pop(up), "expected")
    broken(lambda tensors: tensors.update({up.replace("lora_up.weight", "alpha"): torch.tensor(9.0)}), "alpha is 9")
    broken(lambda tensors: tensors.update(more=torch.zeros(1)), "1 foreign")


def test_an_untrained_file_is_found_out(tmp_path):
    parts = tiny_parts()
    attach(parts)
    path = save(tmp_path / "a.safetensors", parts)
    assert len(verify(path, parts, trained=False).zero) == len(inject.alphas(parts))
    with pytest.raises(LoraError, match="nothing was learnt"):
        verify(path, parts)


def header(values, data=b""):
    text = json.dumps(values).encode() if not isinstance(values, bytes) else values
    return len(text).to_bytes(8, "little") + text + data


F32 = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize("content, match", [
    (b"", "not a complete"),
    (b"\x01", "not a complete"),
    (b"hello, this is no tensor file at all", "not a complete"),
    (b"\xff" * 64, "not a complete"),
    (pickle.dumps({"a": 1}), "pickle"),
    (b"PK\x03\x04" + b"\0" * 60, "pickle"),
    (header(b"{not json"), "header can't be read"),
    (header(b"[" * 5000), "header can't be read"),
    (header([1, 2]), "no table"),
    (header({"__metadata__": 3, "a.lora_up.weight": F32}, b"\0" * 4), "metadata is no table"),
    (header({"a.lora_up.weight": F32}), "damaged or cut short"),
    (header({"a.lora_up.weight": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 4]}}, b"\0" * 4), "damaged"),
    (header({"a.lora_up.weight": 3}), "damaged"),
    (header({"model.weight": F32}, b"\0" * 4), "no LoRA"),
    (header({}), "no LoRA"),
])
def test_garbage_is_refused_in_plain_words(tmp_path, content, match):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(LoraError, match=match):
        file.load(path)


def test_missing_files_and_empty_folders_are_refused_in_plain_words(tmp_path):
    with pytest.raises(LoraError, match="can't be read"):
        file.load(tmp_path / "nothing.safetensors")
    with pytest.raises(LoraError, match="holds no adapter_model.safetensors"):
        file.load(tmp_path)
    folder = tmp_path / "peft"
    folder.mkdir()
    tensors = {"base_model.model.a.lora_A.weight": torch.ones(2, 3)}
    safetensors.torch.save_file(tensors, folder / "adapter_model.safetensors")
    with pytest.raises(LoraError, match="strength"):
        file.load(folder)
    for text, match in [("{", "JSON"), ("[]", "object"), ("{}", "lora_alpha"),
                        ('{"lora_alpha": 1, "alpha_pattern": {"(": 2}}', "no pattern")]:
        (folder / "adapter_config.json").write_text(text)
        with pytest.raises(LoraError, match=match):
            file.load(folder)


STEM = "lora_te_text_model_encoder_layers_0_mlp_fc2"
GOOD = {f"{STEM}.lora_down.weight": torch.ones(2, 37), f"{STEM}.lora_up.weight": torch.ones(32, 2)}


@pytest.mark.parametrize("change, match", [
    ({f"{STEM}.lora_down.weight": torch.ones(2, 38)}, "belongs to another model"),
    ({f"{STEM}.lora_down.weight": torch.ones(3, 37)}, "do not multiply"),
    ({f"{STEM}.lora_down.weight": torch.ones(37)}, "do not multiply"),
    ({f"{STEM}.lora_down.weight": torch.ones(0, 37), f"{STEM}.lora_up.weight": torch.ones(32, 0)}, "do not multiply"),
    ({f"{STEM}.lora_up.weight": torch.full((32, 2), float("inf"))}, "spoilt"),
    ({f"{STEM}.alpha": torch.ones(2)}, "alpha that is no number"),
    ({f"{STEM}.alpha": torch.tensor(float("nan"))}, "alpha that is no number"),
    ({f"{STEM}.lora_mid.weight": torch.ones(2, 2, 3, 3)}, "can't be read here"),
    ({f"{STEM}.dora_scale": torch.ones(33, 1)}, "33 magnitudes"),
    ({f"{STEM}.hada_w1_a": torch.ones(32, 2)}, "hada_w1_b is missing"),
    ({f"{STEM}.lora_up.weight": None}, "not whole"),
])
def test_a_layer_that_does_not_fit_is_named(tmp_path, change, match):
    tensors = {key: tensor for key, tensor in (GOOD | change).items() if tensor is not None}
    safetensors.torch.save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(LoraError, match=match) as caught:
        file.match(file.load(tmp_path / "a.safetensors"), tiny_parts(), STABLE_DIFFUSION)
    assert "text_encoder.encoder.layers.0.mlp.fc2" in str(caught.value)


@pytest.mark.parametrize("alpha, expected", [(None, 2.0), (0.0, 2.0), (5.0, 5.0)])
def test_alpha_that_is_missing_or_zero_is_the_rank(tmp_path, alpha, expected):
    tensors = GOOD if alpha is None else GOOD | {f"{STEM}.alpha": torch.tensor(alpha)}
    safetensors.torch.save_file(tensors, tmp_path / "a.safetensors")
    match = file.match(file.load(tmp_path / "a.safetensors"), tiny_parts(), STABLE_DIFFUSION)
    assert [adapter.alpha for adapter in match.adapters.values()] == [expected]


def test_keys_without_a_layer_are_counted_and_none_at_all_is_an_error(tmp_path):
    foreign = {"lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight": torch.ones(2, 8)}
    path = tmp_path / "a.safetensors"
    safetensors.torch.save_file(GOOD | foreign, path)
    assert file.match(file.load(path), tiny_parts(), STABLE_DIFFUSION).unmatched == list(foreign)
    safetensors.torch.save_file(foreign, path)
    with pytest.raises(LoraError, match="none of its 1 keys .*double_blocks.* another kind of model"):
        file.match(file.load(path), tiny_parts(), STABLE_DIFFUSION)
