"""Whole runs of every family's tiny model: golden losses, samples, the file, and going on to the bit."""

from pathlib import Path

import pytest

from jobs import requests
from tests import models
from tests.trainer.reading import equal, events, losses, newest
from trainer import command
from trainer.families import families
from trainer.loop import train

GOLDEN = Path(__file__).parents[1] / "golden" / "losses"
NAMES = [name for name in families() if name != "sd15"]  # that one has its own, in test_loop.py


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    return {name: getattr(models, f"tiny_{name}")(tmp_path_factory.mktemp("bases") / name) for name in NAMES}


@pytest.fixture
def of_family(configure, bases):
    """Settings for a family's tiny model, with every text encoder that can learn learning at a rank of its own."""

    def build(name: str, **sections):
        text = {one: {"train": True, "rank": 2 + place, "alpha": 1, "learning_rate": 1e-3}
                for place, one in enumerate(families()[name].text_encoders)}
        model = {"family": name, "base": str(bases[name])}
        return configure(model=model, lora=text, captions={"dropout": 0.2}, **sections)

    return build


def trained(config, at=None):
    job = command.create(config, at)
    train(job.folder)
    return job


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.proves("model.family")
def test_golden_losses_and_a_whole_run(of_family, name):
    """A refactoring changes none of these losses. They are changed only on purpose, with the reason in the commit."""
    job = trained(of_family(name, run={"epochs": 2, "batch_size": 2}, preview={"prompts": ["sks"], "steps": 2}))
    wanted = [float(line) for line in (GOLDEN / f"{name}_tiny.txt").read_text().split()]
    assert losses(job) == pytest.approx(wanted, rel=1e-3)
    assert (job.folder / events(job, "sample")[-1]["path"]).is_file()
    assert (job.folder / "tiny.safetensors").is_file() and job.state() == "finished"  # it was read back and compared
    parts = {key.split(".", 1)[0] for key in newest(job).adapters}
    assert parts == {"denoiser", *families()[name].text_encoders}


@pytest.mark.parametrize("name", NAMES)
def test_two_steps_and_two_more_are_four(of_family, name, monkeypatch):
    config = of_family(name, run={"max_steps": 4, "batch_size": 1})
    whole, parted = trained(config), command.create(config)
    done = []

    def stopping(*arguments):
        """As if a person had asked after the second step."""
        done.append(arguments)
        if len(done) == 2:
            requests.ask(parted.folder, "stop")

    from trainer.report import Report

    step = Report.step
    monkeypatch.setattr(Report, "step", lambda report, *said: (step(report, *said), stopping(said))[0])
    train(parted.folder)
    assert parted.state() == "stopped"
    train(parted.folder)
    one, two = newest(whole), newest(parted)
    assert equal(one.adapters, two.adapters) and equal(one.optimizer, two.optimizer)


def test_what_a_family_does_not_know_is_said(of_family):
    from trainer.plan import plan

    flow = plan(of_family("sd3", noise={"min_snr_gamma": 5.0})).warnings
    assert "Stable Diffusion 3" in flow["noise.min_snr_gamma"]
    ddpm = plan(of_family("sdxl", noise={"bias": 1.0})).warnings
    assert "noise.bias" in ddpm and "noise.min_snr_gamma" not in ddpm


def test_a_family_whose_text_encoders_never_learn_says_so(configure, bases, of_family):
    """Its captions are encoded once all the same, and nothing else to train is a problem, not an empty file."""
    from settings.errors import SettingsError
    from trainer.plan import plan

    model, text = {"family": "chroma", "base": str(bases["chroma"])}, {"train": True, "rank": 2}
    config = configure(model=model, lora={"text_encoder": text})
    assert config.captions_can_be_cached and "Chroma" in plan(config).warnings["lora.text_encoder.train"]
    assert not of_family("flux").captions_can_be_cached
    with pytest.raises(SettingsError, match="nothing would be trained"):
        plan(configure(model=model, lora={"text_encoder": text, "denoiser": {"train": False}}))


@pytest.mark.parametrize("name, step", [("sd15", 8), ("flux", 4), ("qwen_image", 4), ("flux2_klein", 4), ("sana", 2)])
def test_sides_that_leave_places_half_empty_are_refused(of_family, bases, configure, name, step):
    from trainer.base_model.models import BaseModel, find
    from trainer.problems import wrong_sides

    family = families()[name]
    if name != "sd15":  # the tiny VAEs halve once
        assert family.side_step(find(str(bases[name]))) == step
    published = BaseModel("author/model", "hub")
    assert family.side_step(published) == {"sd15": 8, "sana": 32}.get(name, 16)
    preview = {"prompts": ["sks"], "width": 40, "height": 48}
    wrong = wrong_sides(configure(dataset={"bucket_step": 24, "resolution": 48}, preview=preview), 16)
    assert wrong == {"dataset.bucket_step": "this model takes sides that are multiples of 16: use 32",
                     "preview.width": "this model takes sides that are multiples of 16: use 32"}
    assert not wrong_sides(configure(dataset={"buckets": False, "resolution": 48}), 16)
    assert "dataset.resolution" in wrong_sides(configure(dataset={"buckets": False, "resolution": 40}), 16)
