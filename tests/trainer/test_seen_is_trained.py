"""What the preview shows of a picture is what a run trains: the same pixels to the VAE, the same captions to the text
encoder, at the same steps."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from dataset import seen
from dataset.scan import scan
from dataset.turns import lay_out
from settings.section import settings
from tests.trainer.conftest import draw
from trainer.batches import Batches
from trainer.cache import Latents
from trainer.config import TrainSettings
from trainer.plan import plan

VARIED = {"shuffle": True, "keep_tokens": 1, "dropout": 0.2, "wildcards": True}
RUNS = [
    {},
    {"run": {"epochs": 3, "batch_size": 2}, "captions": VARIED, "dataset": {"flip": True}},
    {"run": {"max_steps": 7, "gradient_accumulation": 3, "seed": 7}, "captions": VARIED,
     "dataset": {"upscale": True, "flip": True}},
    {"run": {"epochs": 3, "batch_size": 2}, "dataset": {"crop": "random", "flip": True, "bucket_step": 16}},
    {"run": {"epochs": 4}, "dataset": {"crop": "random", "colour_jitter": 0.7, "variants": 2, "bucket_step": 16}},
    {"run": {"epochs": 2, "batch_size": 2}, "captions": VARIED,
     "dataset": {"more_resolutions": [48, 64], "colour_jitter": 0.5, "crop": "focus", "bucket_step": 16}},
    {"run": {"epochs": 2, "gradient_accumulation": 2}, "accelerate": {"processes": 2}, "dataset": {"buckets": False}},
]  # fmt: skip


class Watched:
    """A family whose VAE keeps what it gets."""

    def __init__(self):
        self.got: list[torch.Tensor] = []

    def encode_pictures(self, pictures):
        self.got.append(pictures)
        return pictures[:, :1], pictures[:, :1]


@pytest.fixture
def run(configure, pictures, tmp_path):
    """run(sections) -> (config, data set): two folders, one of regularisation, one of them shown twice."""
    (pictures / "00.txt").write_text("sks, a {red|blue|green} dog, sitting, on grass, outdoors, day")
    other = draw(tmp_path / "2_cat", [(40, 72), (64, 64), (24, 24)], "a cat")

    def build(sections):
        wanted = [{"path": str(pictures)}, {"path": str(other), "regularisation": True}]
        config = configure(**sections | {"dataset": sections.get("dataset", {}) | {"folders": wanted}})
        return config, scan(config.dataset.folders)

    return build


@pytest.mark.parametrize("sections", RUNS)
def test_every_turn_of_every_picture_is_the_trainers(run, sections):
    config, data = run(sections)
    planned = plan(config, data)
    batches = Batches(config, planned, lay_out(config.dataset, data.items), data.items)
    trained = {item.path: [] for item in data.items}
    for step in range(planned.total_steps):
        window = [batches.of_step(step, process) for process in range(planned.processes)]
        samples = [sample for mine in window for batch in mine for sample in batch if sample.weight]
        for sample in sorted(samples, key=lambda sample: sample.place):
            trained[sample.item.path].append((step, sample.place, sample.look, sample.caption))
    showing = seen.showing(config.model_dump())
    for item in data.items:
        shown = seen.seen(item.path, showing, data, times=10_000)
        found = [(turn.step, turn.place, turn.look, turn.caption) for turn in shown.turns]
        assert found == trained[item.path]
        assert shown.steps == planned.total_steps
        assert abs(shown.times - len(found)) <= planned.steps_per_epoch  # exact but for a run that ends within an epoch
        assert shown.times == len(found) or config.run.max_steps


@pytest.mark.parametrize("sections", RUNS)
def test_the_pixels_are_those_that_the_vae_gets(run, sections):
    config, data = run(sections)
    noise = np.random.default_rng(0)
    for item in data.items:  # no two pixels alike, so that a shift by one would show
        Image.fromarray(noise.integers(0, 256, (item.height, item.width, 3), dtype=np.uint8)).save(item.path)
    planned = plan(config, data)
    batches = Batches(config, planned, lay_out(config.dataset, data.items), data.items)
    watched = Watched()
    latents = Latents(watched, torch.nn.Linear(1, 1), None)
    showing = seen.showing(config.model_dump())
    pictures = {item.path: seen.seen(item.path, showing, data, times=10_000) for item in data.items}
    for step in range(min(6, planned.total_steps)):
        for sample in [sample for batch in batches.of_step(step) for sample in batch]:
            latents.of([sample])
            shown = pictures[sample.item.path]
            turn = next(number for number, turn in enumerate(shown.turns)
                        if (turn.step, turn.place) == (step, sample.place))
            with Image.open(io.BytesIO(seen.crop_png(shown, shown.look(turn)))) as picture:
                pixels = np.asarray(picture)
            assert torch.equal(watched.got.pop(), torch.tensor(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1)


def test_the_settings_are_the_trainers():
    same_settings(seen.Showing, TrainSettings)


def same_settings(section, trainers):
    theirs = {setting.path: setting for setting in settings(trainers)}
    for setting in settings(section):
        other = theirs[setting.path]
        assert (setting.default, setting.minimum, setting.maximum, setting.optional) == (
            other.default, other.minimum, other.maximum, other.optional), setting.path  # fmt: skip
        if setting.item and setting.item is not other.item:
            same_settings(setting.item, other.item)
        else:
            assert setting.type == other.type, setting.path
