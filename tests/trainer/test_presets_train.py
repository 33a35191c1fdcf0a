"""Each preset takes one real step on its family's tiny model, with all its own settings but the sizes."""

import pytest

from settings.presets import SHIPPED, Preset, load, presets
from tests import models
from tests.trainer.conftest import draw
from tests.trainer.reading import losses
from trainer import command
from trainer.config import TrainSettings
from trainer.families import families
from trainer.loop import train

FOUND = [preset for preset in presets([SHIPPED]) if preset.family != "toy"]  # the toy world is trained by its demo


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A family's tiny model, made once."""
    made = {}

    def of(family: str) -> str:
        if family not in made:
            made[family] = getattr(models, f"tiny_{family}")(tmp_path_factory.mktemp("bases") / family)
        return str(made[family])

    return of


@pytest.fixture
def small(base, tmp_path, configure):
    """A preset's settings with the tiny model, tiny pictures and one step of at most two of them."""
    pictures = draw(tmp_path / "2_sks dog", [(64, 64)] * 2)
    ours = configure().model_dump()

    def build(preset: Preset) -> TrainSettings:
        values = load(TrainSettings, preset)
        values["model"]["base"] = base(values["model"]["family"])
        values["dataset"] |= {"folders": [{"path": str(pictures)}], "resolution": 32, "bucket_step": 16}
        values["run"] |= {"max_steps": 1, "batch_size": min(2, values["run"]["batch_size"]), "gradient_accumulation": 1}
        values["preview"] |= {"prompts": []}
        values["accelerate"] = ours["accelerate"]
        return TrainSettings.model_validate(values)

    return build


@pytest.mark.parametrize("preset", FOUND, ids=lambda preset: f"{preset.family}/{preset.name}")
def test_a_step(small, preset):
    config = small(preset)
    job = command.create(config)
    train(job.folder)
    (loss,) = losses(job)
    assert 0 < loss < 100 and job.state() == "finished"
    assert (job.folder / f"{config.name}.safetensors").is_file()
    assert preset.family in families()
