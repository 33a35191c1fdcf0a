"""Changes of colour: nothing at 0, within their bounds otherwise, and each of the four exactly what it says."""

import random

import numpy as np
import pytest

from dataset.colour import HUE, REST, YIQ, Colour, applied, drawn

NOISE = np.random.default_rng(1).integers(90, 166, (20, 30, 3), dtype=np.uint8)  # too far from 0 and 255 to be cut
GREY = np.repeat(np.array([[[60], [120], [150]]], np.uint8), 3, axis=2)


def planes(pixels: np.ndarray) -> np.ndarray:
    return pixels.astype(float) @ YIQ.T


def test_drawn_from_all_of_the_bounds_and_never_beyond():
    chance = random.Random(3)
    for strength in (0.0, 0.25, 1.0):
        found = [drawn(strength, chance) for _ in range(2000)]
        hues = [colour.hue for colour in found]
        assert max(map(abs, hues)) <= HUE * strength and min(hues) <= -0.95 * HUE * strength
        assert max(hues) >= 0.95 * HUE * strength
        for name in ("saturation", "brightness", "contrast"):
            factors = [getattr(colour, name) for colour in found]
            assert 1 - REST * strength <= min(factors) <= 1 - 0.95 * REST * strength
            assert 1 + 0.95 * REST * strength <= max(factors) <= 1 + REST * strength


def test_no_change_is_the_picture_bit_for_bit():
    assert np.array_equal(applied(NOISE, Colour()), NOISE) and drawn(0.0, random.Random(1)) == Colour()


@pytest.mark.parametrize("hue", [0.1, -0.06])
def test_hue_turns_the_plane_of_colours_and_leaves_luma(hue):
    before, after = planes(NOISE), planes(applied(NOISE, Colour(hue=hue)))
    assert np.abs(after[..., 0] - before[..., 0]).max() < 0.6
    turned = (before[..., 1] + 1j * before[..., 2]) * np.exp(2j * np.pi * hue)
    assert np.abs(after[..., 1] + 1j * after[..., 2] - turned).max() < 1.2  # of rounding to whole levels


def test_saturation_stretches_the_plane_of_colours():
    before, after = planes(NOISE), planes(applied(NOISE, Colour(saturation=0.6)))
    assert np.abs(after - before * [1, 0.6, 0.6]).max() < 1.2


def test_brightness_and_contrast_of_greys():
    assert np.array_equal(applied(GREY, Colour(hue=0.1, saturation=1.4)), GREY)
    assert applied(GREY, Colour(brightness=1.2))[0, :, 0].tolist() == [72, 144, 180]
    assert applied(GREY, Colour(contrast=0.5))[0, :, 0].tolist() == [85, 115, 130], "towards their mean, 110"
    assert applied(GREY, Colour(brightness=1.4, contrast=1.4)).max() == 232  # 154 + 1.4 * (210 - 154)
    white = np.full((1, 1, 3), 255, np.uint8)
    assert np.array_equal(applied(white, Colour(brightness=1.4)), white), "cut, and not around the corner"
