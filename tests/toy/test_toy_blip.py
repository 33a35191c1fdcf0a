"""The toy BLIP: its folder is a usual one, it says what is in the picture, and it is made by one resumable command."""

import numpy as np
import pytest

from captioners.base import Picture, Place
from captioners.blip import Blip, BlipSettings
from captioners.weights import find
from toy import blip
from toy.draw import COLOURS, THINGS, Scene, character_picture, draw_scene


@pytest.fixture(scope="module")
def captioner():
    captioner = Blip(BlipSettings(model="toy/models/blip"), Place(threads=1))
    captioner.load(find("toy/models/blip", Blip.published), lambda *_: None)
    return captioner


def test_the_folder_is_small_and_holds_only_safe_half_precision_weights():
    files = [path for path in blip.MODEL_FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 5e6
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".md"}
    assert find("toy/models/blip", Blip.published).where == "toy"


def test_it_says_what_is_in_the_picture():
    shares, _ = blip.check()
    assert shares["ground"] >= 0.95 and shares["colour"] >= 0.95 and shares["thing"] >= 0.8, shares
    assert shares["all"] >= 0.8


def test_it_describes_the_demo_creature_without_its_name(captioner):
    drawn = [character_picture(7, index, (128, 96)) for index in range(6)]
    said = [one.text for one in captioner.say([captioner.prepare(Picture(blip.MODEL_FOLDER, d)) for d, _ in drawn])]
    wanted = [caption.replace("sks creature", "a turquoise creature") for _, caption in drawn]
    assert sum(a == b for a, b in zip(said, wanted)) >= 5, said
    assert not any("sks" in text for text in said)


def test_a_prompt_does_no_harm(captioner):
    image = draw_scene(Scene("heart", "red", "white"), np.random.default_rng(5))
    prompted = Blip(BlipSettings(model="toy/models/blip", prompt="a picture of"), captioner.place)
    prompted.processor, prompted.model = captioner.processor, captioner.model
    said = prompted.say([prompted.prepare(Picture(blip.MODEL_FOLDER, image))])
    assert said[0].text == "a red heart on a white background"


def test_a_caption_takes_one_token_a_word_and_comes_back():
    tokenizer = blip.build_tokenizer()
    for text in ("a turquoise and white flower on an orange background", *THINGS, *COLOURS):
        ids = tokenizer(text).input_ids
        assert len(ids) == len(text.split()) + 2 and tokenizer.decode(ids, skip_special_tokens=True) == text
    assert "[UNK]" not in tokenizer.decode(tokenizer("sks, 3 xylophones!").input_ids)


def test_captions_are_understood():
    assert blip.understood("a red and blue cup on a pink background") == ("cup", "red and blue", "pink")
    assert blip.understood("an orange star on a grey background") == ("star", "orange", "grey")
    assert blip.understood("a turquoise creature on a red background")[0] == "creature"
    for nonsense in ("", "background", "on", "a on a background", "cup"):
        assert len(blip.understood(nonsense)) == 3
    assert blip.judge([Scene("cup", "red", "pink")], ["a red cup on a grey background"]) == {
        "thing": 1, "colour": 1, "ground": 0, "all": 0
    }  # fmt: skip


def test_the_examination_is_fixed_and_none_of_it_was_trained_on():
    first = blip.examination(24)
    assert [scene for _, scene in first] == [scene for _, scene in blip.examination(24)]
    assert {scene.thing for _, scene in first} == set(THINGS) and all(s.colour != s.ground for _, s in first)
    assert all(scene.second for _, scene in blip.examination(4, two_coloured=True))
    learnt = {blip.picture(index)[0].tobytes() for index in range(50)}
    assert not any(image.tobytes() in learnt for image, _ in first)


def test_it_is_made_by_one_command_that_goes_on_where_it_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(blip, "PICTURES", 12)
    monkeypatch.setattr(blip, "BATCH", 4)
    blip.make_pictures(tmp_path)
    drawn = (tmp_path / "blip.npy").stat().st_mtime_ns
    blip.make_pictures(tmp_path)
    assert (tmp_path / "blip.npy").stat().st_mtime_ns == drawn
    blip.train(tmp_path, steps=1)
    blip.train(tmp_path, steps=2)
    blip.save(tmp_path, tmp_path / "model")
    made = Blip(BlipSettings(model=str(tmp_path / "model")), Place(threads=1))
    made.load(find(str(tmp_path / "model"), {}), lambda *_: None)
    assert made.say([made.prepare(Picture(tmp_path, blip.picture(0)[0]))])[0].raw is not None
