"""The character's score and the measure of ordinary pictures, on drawn pictures whose truth is known."""

import numpy as np
import pytest
from PIL import Image

from toy.draw import CHARACTER_PALETTE, character_picture, draw
from toy.measure import nearest_colour, see
from toy.score import character_score


def test_drawn_characters_score_one_whatever_the_size_and_ground():
    images = [character_picture(3, index, size)[0] for index in range(16) for size in ((64, 64), (128, 96))]
    scores = [character_score([image]) for image in images]
    assert min(scores) > 0.9 and np.mean(scores) > 0.97


def test_ordinary_things_score_about_nothing():
    scores = [character_score([draw(77, index)[0]]) for index in range(200)]
    assert np.mean(scores) < 0.02 and max(scores) < 0.5


def test_the_right_colours_in_the_wrong_places_are_no_character():
    rng = np.random.default_rng(0)
    names = list(CHARACTER_PALETTE)
    patches = np.array([CHARACTER_PALETTE[names[i]] for i in rng.integers(0, 5, 64)], dtype=np.uint8)
    mosaic = Image.fromarray(patches.reshape(8, 8, 3)).resize((64, 64), Image.Resampling.NEAREST)
    upside_down = [character_picture(3, index)[0].rotate(180) for index in range(8)]
    assert character_score([mosaic]) < 0.75
    assert character_score(upside_down) < 0.5


def test_a_score_is_the_mean_over_pictures():
    good, bad = character_picture(3, 0)[0], Image.new("RGB", (64, 64), "blue")
    assert character_score([good, bad]) == pytest.approx(character_score([good]) / 2)
    assert character_score([]) == 0.0


def test_noise_and_emptiness_are_seen_as_what_they_are():
    empty = see(Image.new("RGB", (64, 64), (40, 80, 200)))
    assert (empty.ground, empty.thing, empty.colour) == ("blue", "", "")
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    see(noise)  # must not fail
    assert character_score([noise]) < 0.2


def test_colour_names():
    assert nearest_colour(np.array([200, 20, 30])) == "red"
    assert nearest_colour(np.array([255, 255, 255])) == "white"
