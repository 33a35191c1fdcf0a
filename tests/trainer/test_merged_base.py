"""LoRAs merged into the base before training: the model then is the base with that LoRA on top, at that strength."""

from dataclasses import replace

import pytest
import torch

from dataset.scan import scan
from settings.errors import SettingsError, check
from tests.lora import random_lora
from tests.trainer.reading import equal, events, newest
from trainer import command, continuing
from trainer.base_model.models import find
from trainer.config import TrainSettings
from trainer.families import families
from trainer.loop import train
from trainer.lora import dialects, file, inject
from trainer.lora.merging import merge_all, opened
from trainer.lora.metadata import metadata
from trainer.plan import plan

FAMILY = families()["sd15"]


def written(folder, adapters, dialect="kohya"):
    path = folder / dialect
    path = path if dialect == "peft" else path.with_suffix(".safetensors")
    if dialect == "kohya":
        state, alphas = {}, {}
        for name, one in adapters.items():
            state |= {f"{name}.lora_A.weight": one.down, f"{name}.lora_B.weight": one.up}
            alphas[name] = one.alpha
        file.save(path, state, alphas, naming=FAMILY.naming, metadata={}, dtype=torch.float32)
    else:
        dialects.write(path, adapters, FAMILY.naming, dialect, {})
    return path


@pytest.fixture(scope="module")
def adapters():
    found = random_lora("sd15", dtype=torch.float32)
    return {name: replace(one, down=0.2 * one.down, up=0.2 * one.up) for name, one in found.items()}


def config_of(*rows):
    return check(TrainSettings, {"model": {"base": "x/y", "merge": [
        {"file": str(path), "strength": strength} for path, strength in rows]}})


def loaded(tiny):
    family = FAMILY()
    return family, family.load(find(str(tiny)), torch.float32)


def seen(family) -> tuple[torch.Tensor, torch.Tensor]:
    """What the model says of a picture and a caption, through both parts."""
    with torch.no_grad():
        text = family.encode_captions(["a red dog"])
        noisy = torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(0))
        return text["words"], family.predict(noisy, torch.tensor([500]), text)


@pytest.mark.parametrize("dialect", ["kohya", "peft"])
@pytest.mark.proves("model.merge.strength")
def test_the_merged_base_does_what_base_and_lora_do_at_that_strength(tiny, tmp_path, adapters, dialect):
    family, parts = loaded(tiny)
    said = []
    merge_all(opened(config_of((written(tmp_path, adapters, dialect), 0.5)), family), family, parts, said.append)
    other, beside = loaded(tiny)
    trained = {name: beside[name] for name in ("denoiser", "text_encoder")}
    for name, part in trained.items():
        mine = {path.removeprefix(f"{name}."): one for path, one in adapters.items() if path.startswith(f"{name}.")}
        sizes = {path: inject.Size(one.rank, one.alpha * 0.5) for path, one in mine.items()}
        inject.inject(part, inject.AdapterSpec(name, sizes), seed=0)
    weights = {}
    for name, one in adapters.items():
        weights |= {f"{name}.lora_A.weight": one.down, f"{name}.lora_B.weight": one.up}
    inject.load_state(trained, weights)
    plain = seen(loaded(tiny)[0])
    for merged, beside, base in zip(seen(family), seen(other), plain):
        assert torch.allclose(merged, beside, atol=2e-4) and not torch.allclose(merged, base, atol=1e-2)
    assert not said and not any(weight.requires_grad for weight in inject.parameters(parts["denoiser"]))


@pytest.mark.proves("model.merge.file")
def test_several_add_up_and_one_can_be_taken_away_again(tiny, tmp_path, adapters):
    path = written(tmp_path, adapters)
    family, parts = loaded(tiny)
    before = seen(family)
    merge_all(opened(config_of((path, 0.7), (path, -0.7)), family), family, parts, pytest.fail)
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(before, seen(family)))


def test_another_familys_lora_is_refused_in_a_sentence(tmp_path):
    path = tmp_path / "flux"
    dialects.write(path, random_lora("flux", alike=True), families()["flux"].naming, "diffusers", {})
    with pytest.raises(SettingsError) as caught:
        opened(config_of((path, 1.0)), FAMILY())
    said = caught.value.problems["model.merge.0.file"]
    assert said.endswith(f" is a LoRA for {families()['flux'].label}, not for {FAMILY.label}")


def test_what_is_no_lora_or_not_there_is_said_before_anything_is_loaded(configure, tmp_path):
    (tmp_path / "no.safetensors").write_bytes(b"nothing")
    with pytest.raises(SettingsError, match="not a complete safetensors file"):
        opened(config_of((tmp_path / "no.safetensors", 1.0)), FAMILY())
    with pytest.raises(SettingsError) as caught:
        plan(configure(model={"merge": [{"file": str(tmp_path / "gone.safetensors")}]}))
    assert "model.merge.0.file" in caught.value.problems
    with pytest.raises(SettingsError) as caught:
        config_of(("", 0))
    assert set(caught.value.problems) == {"model.merge.0.file", "model.merge.0.strength"}


def test_a_run_learns_on_the_merged_base_and_its_captions_are_encoded_anew(configure, tmp_path, adapters):
    """Cached captions of the plain base are there already: they must not be taken for those of the merged one."""
    path = written(tmp_path, adapters)
    once = {"max_steps": 1}
    plain, cached, uncached = (
        command.create(configure(run=once, model={"merge": rows}, memory={"cache_captions": cache}))
        for rows, cache in (([], True), ([{"file": str(path)}], True), ([{"file": str(path)}], False)))
    for job in (plain, cached, uncached):
        train(job.folder)
    one, two, three = (newest(job).adapters for job in (plain, cached, uncached))
    assert equal(two, three) and not equal(one, two)
    assert [event["loss"] for event in events(cached, "step")] == [event["loss"] for event in events(uncached, "step")]


def test_a_changed_list_is_another_run(configure, tmp_path, adapters):
    path = written(tmp_path, adapters)
    was, now = (configure(model={"merge": [{"file": str(path), "strength": strength}]}) for strength in (1.0, 0.5))
    assert "model.merge" in continuing.another_run(was, now) and not continuing.another_run(was, was)
    with pytest.raises(SettingsError):
        continuing.refuse(continuing.another_run(was, configure()), "here")


def test_the_file_says_what_it_was_trained_on(configure, tiny, tmp_path, adapters):
    config = configure(model={"merge": [{"file": str(written(tmp_path, adapters)), "strength": 0.5}]})
    dataset = scan(config.dataset.folders, config.dataset.caption_extension)
    family = loaded(tiny)[0]
    said = metadata(config, family, plan(config, dataset), dataset, step=1, began=0.0)
    assert said["ss_base_weights"] == '["kohya.safetensors"]' and said["ss_base_weights_multiplier"] == "[0.5]"
    hidden = config.model_copy(update={"metadata": config.metadata.model_copy(update={"private": True})})
    assert "ss_base_weights" not in metadata(hidden, family, plan(config, dataset), dataset, step=1, began=0.0)
