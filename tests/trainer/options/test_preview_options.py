"""Samples: what each option changes about when they are drawn, of what, and how."""

from contextlib import nullcontext
from dataclasses import asdict

import pytest
import torch
from PIL import Image

from trainer.families.sd15 import Sd15
from trainer.plan import plan
from trainer.preview import Preview

# option: (its other value, what of a drawing differs)
DRAWN = {
    "preview.prompts": (["a cat", "a bird"], {"prompt"}),
    "preview.negative_prompt": ("blurry", {"negative"}),
    "preview.width": (80, {"width"}),
    "preview.height": (48, {"height"}),
    "preview.steps": (9, {"steps"}),
    "preview.guidance": (3.5, {"guidance"}),
    "preview.sampler": ("euler", {"sampler"}),
    "preview.seed": (7, {"seed"}),
}
# option: (its other value, the steps before which samples are drawn; six are an epoch, and the run has twelve)
DUE = {
    "preview.every_steps": (5, {0, 5, 6, 10, 12}),
    "preview.every_epochs": (0, {0, 12}),
    "preview.at_start": (False, {6, 12}),
}


class Told(Sd15):
    """Notes what it is to draw."""

    def __init__(self):
        self.drawings: list[dict] = []

    def draw(self, text, negative, how):
        self.drawings.append({"prompt": text["words"], "negative": negative["words"], **asdict(how)})
        return torch.zeros(1, 4, 8, 8)

    def decode(self, latents):
        return torch.zeros(1, 16, 16, 3, dtype=torch.uint8)


class Spoken:
    """Captions that are their own encoding."""

    def of(self, captions):
        return {"words": captions[0]}


def drawings(config, folder) -> list[dict]:
    family, parts = Told(), {"denoiser": torch.nn.Linear(1, 1), "vae": torch.nn.Linear(1, 1)}
    drawn = list(Preview(config, family, parts, Spoken(), nullcontext).draw(4, folder))
    assert [Image.open(path).size for *_, path in drawn] == [(16, 16)] * len(drawn)
    return family.drawings


@pytest.mark.proves(*DRAWN)
@pytest.mark.parametrize("option", DRAWN)
def test_this_of_every_drawing_changes_and_nothing_else(configure, tmp_path, option):
    said, differs = DRAWN[option]
    preview = {"prompts": ["a dog", "a red dog"], "steps": 4}
    plain, other = (
        drawings(configure(preview=preview | changed), tmp_path / "samples")
        for changed in ({}, {option.removeprefix("preview."): said})
    )
    assert len(plain) == len(other) == 2
    for one, two in zip(plain, other):
        assert {name for name in one if one[name] != two[name]} == differs
    assert plain[0]["width"] == plain[0]["height"] == 32 and plain[0]["guidance"] == Sd15.guidance
    assert [one["seed"] for one in other] == [other[0]["seed"], other[0]["seed"] + 1]


@pytest.mark.proves(*DUE)
@pytest.mark.parametrize("option", DUE)
def test_samples_are_drawn_at_other_steps(configure, option):
    said, steps = DUE[option]
    usual = {"run": {"epochs": 2}, "preview": {"prompts": ["a dog"]}}
    assert plan(configure(**usual)).samples == (0, 6, 12)
    usual["preview"][option.removeprefix("preview.")] = said
    assert set(plan(configure(**usual)).samples) == steps
