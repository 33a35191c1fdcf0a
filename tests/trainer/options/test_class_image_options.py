"""Class images: what each option changes about those that the base model draws before a run."""

from dataclasses import asdict

import pytest
import torch

from tests.trainer.conftest import draw
from trainer import command
from trainer.families.sd15 import Sd15
from trainer.loop import train

USUAL = {"kind": "images", "class_prompt": "a dog", "images": 2, "steps": 1}
# option: (its other value, what of a drawing differs from the usual)
OPTIONS = {
    "prior.images": (1, set()),
    "prior.negative_prompt": ("red", {"negative"}),
    "prior.steps": (2, {"steps"}),
    "prior.guidance": (3.0, {"guidance"}),
    "prior.sampler": ("euler", {"sampler"}),
    "prior.seed": (7, {"seed"}),
}


def spelled(family: Sd15, encoded: dict) -> str:
    """The words that an encoding is of."""
    found = {one: family.encode_captions([one])["words"] for one in ("a dog", "", "red")}
    return next(one for one, words in found.items() if torch.equal(words, encoded["words"]))


@pytest.mark.proves(*OPTIONS)
@pytest.mark.parametrize("option", OPTIONS)
def test_this_of_every_class_image_changes_and_nothing_else(configure, tmp_path, monkeypatch, option):
    said, differs = OPTIONS[option]
    name, folder = option.removeprefix("prior."), draw(tmp_path / "two", [(64, 64)] * 2)
    drawings, real = [], Sd15.draw

    def noted(self, text, negative, how):
        drawings.append({"prompt": spelled(self, text), "negative": spelled(self, negative), **asdict(how)})
        return real(self, text, negative, how)

    monkeypatch.setattr(Sd15, "draw", noted)
    train(command.create(configure(
        dataset={"folders": [{"path": str(folder)}]}, prior=USUAL | {name: said}, run={"max_steps": 1}
    )).folder)  # fmt: skip
    usual = {"prompt": "a dog", "negative": "", "width": 32, "height": 32, "steps": 1, "guidance": Sd15.guidance,
             "sampler": "ddim", "seed": 1}  # fmt: skip
    assert len(drawings) == (said if name == "images" else 2)
    for number, one in enumerate(drawings):
        one["seed"] -= number
        assert {key for key in usual if one[key] != usual[key]} == differs
        assert name not in one or one[name] == said
