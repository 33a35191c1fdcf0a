"""Captions that were encoded beforehand train the same as those that are encoded in every step, for every option that
varies them; and where their number has no limit, they are not cached."""

import pytest
import torch

from tests.trainer.reading import equal, events, losses, newest
from trainer import command
from trainer.loop import train

OPTIONS = {
    "nothing": {},
    "dropout": {"dropout": 0.5},
    "shuffled variants": {"shuffle": True, "keep_tokens": 1, "variants": 3},
    "tag dropout": {"tag_dropout": 0.4, "variants": 5, "dropout": 0.2},
    "choices": {"wildcards": True, "variants": 2},
    "words around, marks": {"prefix": "sks,", "suffix": "photo", "keep_separator": "|||"},
    "groups": {"shuffle": True, "group_separator": ";;;", "variants": 2},
    "long captions": {"length": 150},
    "another layer": {"clip_skip": 2},
    "weights": {"weighted": True},
}


@pytest.mark.parametrize("option", OPTIONS)
def test_cached_is_the_same_as_uncached(configure, pictures, option):
    (pictures / "00.txt").write_text("{red|blue} star ||| on grass, (big:1.5);;;bold", encoding="utf-8")
    found = []
    for cached in (True, False):
        job = command.create(configure(captions=OPTIONS[option], memory={"cache_captions": cached}))
        train(job.folder)
        assert bool([one for one in events(job, "phase") if one["name"] == "cache captions"]) == cached
        found.append((losses(job), newest(job).adapters))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    assert all(torch.allclose(found[0][1][name], found[1][1][name], atol=1e-5) for name in found[0][1])
    if option == "nothing":
        assert equal(found[0], found[1]), "bit for bit where nothing is in another batch"
    else:
        plain = command.create(configure())
        train(plain.folder)
        assert losses(plain) != pytest.approx(found[0][0], rel=1e-5), "the option reached the training"


@pytest.mark.parametrize("varied", [{"shuffle": True}, {"wildcards": True}, {"tag_dropout": 0.1}])
def test_captions_that_vary_without_limit_are_not_encoded_beforehand(configure, varied):
    assert configure().captions_can_be_cached and not configure(captions=varied).captions_can_be_cached
    assert configure(captions=varied | {"variants": 2}).captions_can_be_cached


@pytest.mark.parametrize("cached", [True, False])
def test_text_encoders_are_woken_for_samples_only_where_they_are_needed(configure, monkeypatch, cached):
    from trainer import preview

    woken = []
    resting = preview.resting
    monkeypatch.setattr(preview, "resting", lambda parts: (woken.append(set(parts)), resting(parts))[1])
    settings = {"memory": {"cache_captions": cached}, "preview": {"prompts": ["sks"], "steps": 2, "at_start": False}}
    train(command.create(configure(**settings)).folder)
    assert woken == [{"denoiser", "vae"} | (set() if cached else {"text_encoder"})]
