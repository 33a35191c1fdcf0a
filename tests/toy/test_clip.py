"""The toy CLIP knows what is in a picture of its world, and CLIP interrogate says it."""

import json
from pathlib import Path

import numpy as np
import pytest

from captioners.base import Picture, Place
from captioners.clip_interrogate import ClipInterrogate, ClipInterrogateSettings
from toy import clip
from toy.draw import COLOURS, GROUNDS, THINGS

MEGABYTES = 5
BOUND = 0.7


def pictures(count: int) -> list:
    """Pictures that were not taught, of one colour, with what they show."""
    drawn = (clip.picture(index, clip.CHECK_SEED) for index in range(500, 500 + 3 * count))
    return [(image, scene) for image, scene in drawn if not scene.second and scene.thing in THINGS][:count]


@pytest.fixture(scope="module")
def found() -> dict[str, float]:
    return clip.check(count=120)


def test_it_is_small_and_whole():
    names = {path.name for path in clip.MODEL_FOLDER.iterdir()}
    assert {"README.md", clip.SETTINGS, clip.WEIGHTS, "tokenizer.json"} <= names
    assert sum(path.stat().st_size for path in clip.MODEL_FOLDER.iterdir()) < MEGABYTES * 1e6


def test_it_finds_the_right_sentence(found):
    assert found["colour"] > 0.95 and found["ground"] > 0.95
    assert found["thing"] > BOUND and found["all"] > BOUND


def test_it_finds_single_words(found):
    assert found["single word"] > BOUND - 0.1


def test_classic_says_what_is_in_the_picture(tmp_path):
    for name, labels in {"1things": THINGS, "2colours": [f"a {one} thing" for one in COLOURS],
                         "3grounds": [f"{one} background" for one in GROUNDS]}.items():  # fmt: skip
        (tmp_path / f"{name}.txt").write_text("\n".join(labels))
    options = ClipInterrogateSettings(
        model=str(clip.MODEL_FOLDER), caption_model="", mode="classic", lists=[], folder=str(tmp_path)
    )
    captioner = ClipInterrogate(options, Place())
    captioner.load(captioner.weights(options), lambda *_: None)
    drawn = pictures(60)
    answers = captioner.say([captioner.prepare(Picture(Path("x.png"), image)) for image, _ in drawn])
    words = [answer.text.split(", ") for answer in answers]
    right = [[thing == scene.thing, ground == f"{scene.ground} background"]
             for (thing, _, ground), (_, scene) in zip(words, drawn)]  # fmt: skip
    thing, ground = np.mean(right, axis=0)
    assert thing > BOUND - 0.15 and ground > 0.8


def test_texts_fit_their_scene_and_are_many():
    rng = np.random.default_rng(0)
    scene = clip.picture_scene(3)
    texts = {clip.text_for(scene, rng) for _ in range(200)}
    assert scene.caption in texts and scene.thing in texts and len(texts) > 10
    known = {*scene.caption.split(), *",".join(scene.tags).replace(",", " ").split(), "a", "an", "on"}
    assert {word for text in texts for word in text.replace(",", " ").split()} <= known


def test_what_a_picture_shows_is_known_without_drawing_it():
    assert all(clip.picture_scene(index) == clip.picture(index)[1] for index in range(60))


def test_a_set_has_every_thing_once_in_one_colour_on_one_ground():
    scenes = [clip.picture_scene(index) for index in range(4000)]
    chosen = [scenes[number] for number in clip.Sets(scenes).of_one_kind(np.random.default_rng(1))]
    assert len({(scene.colour, scene.ground) for scene in chosen}) == 1
    assert len({scene.thing for scene in chosen}) == len(chosen) > 6


def test_training_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    """Two steps and two more are four steps, also across the change of batches."""
    import torch

    monkeypatch.setattr(clip, "PICTURES", 300)
    monkeypatch.setattr(clip, "BATCH", 6)
    monkeypatch.setattr(clip, "EASY", 2)
    monkeypatch.setattr(clip, "SETS", 1)
    for name in ("once", "twice"):
        (tmp_path / name).mkdir()
        clip.make_pictures(tmp_path / name)
    clip.train(tmp_path / "once", 4)
    from toy.make import Training

    class Interrupted(Training):
        def _one_step(self):
            if self.step == 2 and not self.path.exists():
                self.save()
                raise KeyboardInterrupt
            return super()._one_step()

    monkeypatch.setattr("toy.make.Training", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        clip.train(tmp_path / "twice", 4)
    clip.train(tmp_path / "twice", 4)
    once, twice = (torch.load(tmp_path / name / "clip.pt", weights_only=True) for name in ("once", "twice"))
    assert once["step"] == twice["step"] == 4
    assert all(torch.allclose(value, twice["model"][key], atol=1e-5) for key, value in once["model"].items())


def test_the_card_has_the_measured_figures():
    card = (clip.MODEL_FOLDER / "README.md").read_text(encoding="utf-8")
    figures = json.loads((clip.MODEL_FOLDER / "check.json").read_text())
    for name in ("thing", "colour", "ground", "all", "single word"):
        assert f"{100 * figures[name]:.1f}%" in card, name
