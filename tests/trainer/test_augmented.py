"""Several resolutions, random windows and changed colours in a run: cached is uncached, each reaches the training, the
model is told the right window, masks are cut with the pictures, and the plan counts right."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from dataset.scan import scan
from dataset.settings import DatasetSettings
from dataset.turns import lay_out
from settings.errors import SettingsError, check
from tests.trainer.conftest import draw
from tests.trainer.reading import equal, events, losses, newest
from trainer import command
from trainer.batches import Batches
from trainer.cache import seen
from trainer.families import families
from trainer.families.base import View
from trainer.loop import train
from trainer.lora.metadata import metadata
from trainer.needs import memory, remedies
from trainer.plan import plan
from trainer.problems import wrong_sides

WIDE = {"bucket_step": 16}  # of the pictures some hang over by up to 15 pixels
OPTIONS = {
    "windows, colours, sides": {"crop": "random", "colour_jitter": 0.5, "variants": 3, "flip": True} | WIDE,
    "focus at two resolutions": {"crop": "focus", "more_resolutions": [48]} | WIDE,
}


@pytest.fixture
def noisy(pictures):
    """The same pictures with no two pixels alike, and of other shapes, so that windows differ."""
    chance = np.random.default_rng(0)
    for path, (width, height) in zip(sorted(pictures.glob("*.png")), [(90, 50), (64, 64), (50, 90)] * 2):
        Image.fromarray(chance.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
    return pictures


def made(config) -> Batches:
    data = scan(config.dataset.folders)
    return Batches(config, plan(config, data), lay_out(config.dataset, data.items), data.items)


@pytest.mark.parametrize("option", OPTIONS)
def test_cached_is_the_same_as_uncached(configure, noisy, option):
    found = []
    for cached in (True, False):
        settings = {"memory": {"cache_latents": cached}, "run": {"max_steps": 6}}
        job = command.create(configure(dataset=OPTIONS[option], **settings))
        train(job.folder)
        assert bool([one for one in events(job, "phase") if one["name"] == "cache latents"]) == cached
        found.append((losses(job), newest(job).adapters))
    assert equal(found[0], found[1]), "batches of one, so bit for bit"


def test_what_varies_without_limit_is_encoded_in_every_step_and_written_down(configure, noisy):
    """One variant is always the same look, so the runs below differ in nothing else."""
    assert configure(dataset={"crop": "focus"}).latents_can_be_cached
    for varied in ({"crop": "random"}, {"colour_jitter": 0.2}):
        assert not configure(dataset=varied).latents_can_be_cached
        assert configure(dataset=varied | {"variants": 2}).latents_can_be_cached
    found = []
    for variants in (0, 1):
        options = {"crop": "random", "colour_jitter": 0.3, "variants": variants} | WIDE
        job = command.create(configure(dataset=options, run={"max_steps": 2}))
        train(job.folder)
        assert bool([one for one in events(job, "phase") if one["name"] == "cache latents"]) == bool(variants)
        found.append(losses(job))
        with safe_open(job.folder / "tiny.safetensors", "pt") as file:
            said = file.metadata()
        assert (said["ss_random_crop"], said["ss_color_aug"]) == ("True", "True")
        assert said["ss_cache_latents"] == str(bool(variants))
    assert found[0] != found[1]


def test_an_epoch_sees_other_windows_and_the_model_is_told_which(configure, noisy):
    config = configure(dataset={"crop": "random", "flip": True} | WIDE, run={"epochs": 20})
    batches = made(config)
    samples = [sample for step in range(120) for sample in batches.of_step(step)[0]]
    windows = {(sample.item.path, sample.crop) for sample in samples}
    assert len(windows) > 2 * len({path for path, _ in windows}) == 12
    for sample in samples:
        across, _ = sample.crop.over
        left = across - sample.crop.left if sample.flip else sample.crop.left
        assert sample.view == View((sample.item.width, sample.item.height), left, sample.crop.top, sample.crop.bucket)
        assert 0 <= left <= across


@pytest.mark.proves("dataset.colour_jitter")
def test_colours_move_no_window_no_side_and_no_word(configure, noisy):
    options = {"crop": "random", "flip": True} | WIDE
    plain, coloured = (made(configure(dataset=options | more, captions={"shuffle": True}, run={"epochs": 5}))
                       for more in ({}, {"colour_jitter": 0.3}))
    for step in range(30):
        one, two = plain.of_step(step)[0][0], coloured.of_step(step)[0][0]
        assert (one.item, one.crop, one.flip, one.caption, one.place) == (
            two.item, two.crop, two.flip, two.caption, two.place)
        assert one.colour is None and two.colour and not np.array_equal(seen(one), seen(two))


def test_masks_are_cut_with_the_window_and_not_coloured(configure, noisy):
    (noisy / "masks").mkdir()
    for path in noisy.glob("*.png"):
        with Image.open(path) as picture:
            picture.convert("L").save(noisy / "masks" / path.name)
            picture.convert("L").convert("RGB").save(path)
    config = configure(dataset={"crop": "random", "colour_jitter": 0.5, "flip": True, "masked_loss": "files"} | WIDE)
    batches = made(config)
    for step in range(6):
        sample = batches.of_step(step)[0][0]
        size = sample.crop.bucket[::-1]
        grey = seen(sample.looking(type(sample.look)(sample.crop, sample.flip)))[..., 0]
        mask = batches.masks.of([sample], size)[0, 0]
        assert torch.allclose(mask, torch.tensor(grey / 255.0).float(), atol=2 / 255)


def test_a_window_with_nothing_to_learn_in_it_teaches_nothing_and_ends_no_run(configure, pictures):
    (pictures / "masks").mkdir()
    for path in pictures.glob("*.png"):
        with Image.open(path) as picture:
            Image.new("L", picture.size, 0).save(pictures / "masks" / path.name)
    config = configure(dataset={"masked_loss": "files"})
    with pytest.raises(SettingsError, match="masked out whole"):
        train(command.create(config).folder)
    batches = made(configure(dataset={"masked_loss": "files", "crop": "random"} | WIDE))
    assert not batches.masks.of(batches.of_step(0)[0], (4, 4)).any()


@pytest.mark.proves("validation.share", "dataset.more_resolutions")
def test_validation_looks_at_every_resolution_without_chance(configure, noisy):
    from dataset.holdout import held_out

    config = configure(dataset={"crop": "random", "colour_jitter": 1.0, "flip": True, "more_resolutions": [48]} | WIDE,
                       validation={"share": 0.4})
    data, held = held_out(config.validation, scan(config.dataset.folders))
    batches = Batches(config, plan(config), lay_out(config.dataset, data.items), data.items, held)
    main = config.dataset.resolution
    assert list(batches.unseen) == [main, 48] and len(held) == 2
    for side, unseen in batches.unseen.items():
        plain = made(configure(dataset=WIDE | {"resolution": side}))
        whole = {sample.item.path: sample.look for sample in plain.distinct()}
        assert [sample.item for sample in unseen] == held and [sample.place for sample in unseen] == [0, 1]
        assert [sample.look for sample in unseen] == [whole[sample.item.path] for sample in unseen]


def test_each_resolution_is_counted_planned_and_written_down(configure, noisy):
    draw(noisy.parent / "small", sizes=[(24, 24)])
    folders = [{"path": str(noisy), "repeats": 3}, {"path": str(noisy.parent / "small")}]
    config = configure(dataset={"more_resolutions": [48, 64], "folders": folders}, run={"epochs": 2, "batch_size": 2})
    planned = plan(config)
    assert (planned.pictures, planned.sizes, planned.repeated) == (7, 19, 55)
    assert sum(count for _, _, count, _ in planned.buckets) == 19
    assert planned.steps_per_epoch == sum(-(-repeated // 2) for *_, repeated in planned.buckets)
    assert planned.sentence.startswith("7 pictures x 2.714 sizes x 2.895 repeats x 2 epochs / batch 2 = ")
    assert "19" not in plan(configure()).sentence and " sizes" not in plan(configure()).sentence
    batches = made(config)
    shown = [sample for step in range(planned.steps_per_epoch) for sample in batches.of_step(step)[0]]
    assert len(shown) == 55 and len({sample.crop.bucket for sample in shown}) == len(planned.buckets)
    family = families()["sd15"]
    said = metadata(config, family, planned, scan(config.dataset.folders), step=1, began=0.0)
    info = json.loads(said["ss_bucket_info"])["buckets"].values()
    assert {tuple(one["resolution"]): one["count"] for one in info} == {
        (width, height): repeated for width, height, _, repeated in planned.buckets}


def test_memory_is_that_of_the_largest_and_of_a_vae_that_stays(configure):
    base = {"model": {"base": "stable-diffusion-v1-5/stable-diffusion-v1-5"}, "accelerate": {"cpu": False}}
    plain, larger = (configure(**base, dataset={"resolution": 512} | more)
                     for more in ({}, {"more_resolutions": [768, 256]}))
    largest = configure(**base, dataset={"resolution": 768})
    of = {name: memory.moments(config)["step"].parts for name, config in
          {"plain": plain, "larger": larger, "largest": largest}.items()}
    assert of["larger"] == of["largest"] and of["larger"]["activations"] > of["plain"]["activations"]
    varied = configure(**base, dataset={"crop": "random"})
    assert memory.moments(varied)["step"].parts["VAE"] > memory.moments(plain)["step"].parts["VAE"] == 0
    says = {remedy.says: remedy.settings for remedy in remedies.candidates(varied)}
    assert says["eight cached variants of each picture"] == {"dataset.variants": 8}


def test_a_further_resolution_must_suit_the_model(configure):
    config = configure(dataset={"buckets": False, "resolution": 64, "more_resolutions": [72, 96]})
    assert list(wrong_sides(config, 16)) == ["dataset.more_resolutions"] and not wrong_sides(config, 8)
    assert check(DatasetSettings, {"buckets": False, "more_resolutions": [520]}).sides == [512, 520]
