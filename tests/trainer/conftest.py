"""A data set of drawn pictures, a tiny model, and a configuration that trains the one on the other."""

import colorsys
from pathlib import Path

import pytest
from PIL import Image

from settings.errors import check
from tests.models import tiny_sd15
from trainer.config import TrainSettings

SIZES = [(64, 64), (64, 64), (96, 64), (64, 96), (64, 64), (128, 64)]


def over(values, others):
    """`others` laid over `values`, section by section."""
    if not isinstance(values, dict) or not isinstance(others, dict):
        return others
    return values | {name: over(values.get(name), other) for name, other in others.items()}


def draw(folder: Path, sizes=SIZES, words: str = "a dog", caption: bool = True) -> Path:
    """One picture a size, each of one colour of its own, with a caption that says which it is."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, size in enumerate(sizes):
        colour = tuple(round(255 * part) for part in colorsys.hsv_to_rgb(number / len(sizes), 0.9, 0.9))
        Image.new("RGB", size, colour).save(folder / f"{number:02d}.png")
        if caption:
            (folder / f"{number:02d}.txt").write_text(f"sks, {words}, number {number}", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    return tiny_sd15(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def pictures(tmp_path) -> Path:
    return draw(tmp_path / "pictures")


@pytest.fixture
def configure(tiny, pictures):
    """configure(run={"epochs": 2}, ...) -> checked settings, small and on the CPU unless said otherwise."""

    def build(**sections) -> TrainSettings:
        values = {
            "name": "tiny",
            "model": {"base": str(tiny)},
            "dataset": {
                "folders": [{"path": str(pictures)}],
                "resolution": 32,
                "bucket_step": 8,
                "bucket_min": 16,
                "bucket_max": 64,
            },
            "lora": {"denoiser": {"rank": 4, "alpha": 4, "learning_rate": 1e-3}},
            "accelerate": {"cpu": True, "mixed_precision": "no"},
            "run": {"epochs": 1},
        }
        for name, section in sections.items():
            values[name] = over(values.get(name), section)
        return check(TrainSettings, values)

    return build
