"""What is measured of a picture: bars but no even grounds, sharpness that blur lowers, light and dark."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from dataset.doctor.measure import SIDE, measure, reduced
from tests.dataset.doctor.test_hashes import drawn


def measured(image):
    return measure(reduced(image, SIDE), image)


def on(colour, image, size, place):
    canvas = Image.new("RGB", size, colour)
    canvas.paste(image, place)
    return canvas


@pytest.mark.parametrize("image, where", [
    (on("black", drawn(1), (640, 620), (0, 70)), "top and bottom"),
    (on("white", drawn(2), (760, 480), (60, 0)), "left and right"),
    (on("gray", drawn(3), (760, 600), (60, 60)), "all sides"),
    (on("black", drawn(1, (64, 48)), (64, 64), (0, 8)), "top and bottom"),
    (on("black", drawn(1), (640, 550), (0, 70)), ""),  # on one side only: a dark sky
    (drawn(4), ""),
    (Image.new("RGB", (300, 200), "black"), ""),
])
def test_bars(image, where):
    assert measured(image).bars == where


@pytest.mark.parametrize("ground", ["white", "navy"])
def test_a_figure_on_an_even_ground_has_no_bars(ground):
    image = Image.new("RGB", (512, 512), ground)
    ImageDraw.Draw(image).ellipse((100, 100, 400, 400), fill="orange")
    assert measured(image).bars == ""


def test_blur_lowers_the_sharpness_more_and_more():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8))
    values = [measured(image.filter(ImageFilter.GaussianBlur(radius))).sharpness for radius in (0, 1, 2, 4)]
    assert values == sorted(values, reverse=True) and values[0] > 10 * values[-1]


def test_the_same_picture_is_about_as_sharp_at_every_size():
    grain = np.random.default_rng(0).integers(0, 256, (120, 120, 3), dtype=np.uint8)
    large = Image.fromarray(grain).resize((1023, 1023), Image.Resampling.BICUBIC)
    usual = measured(large.resize((SIDE, SIDE), Image.Resampling.LANCZOS)).sharpness
    for side in (SIDE + 1, 450, 600, 2 * SIDE - 1, 1023):
        told = measured(large.resize((side, side), Image.Resampling.LANCZOS)).sharpness
        assert 0.7 * usual < told < 1.5 * usual


def test_light_and_dark():
    shades = measured(drawn(1).point(lambda value: value // 8))
    assert shades.darkness < 0.15 and shades.brightness < 0.1
    assert measured(Image.new("RGB", (80, 80), "white")).brightness == pytest.approx(1)


def test_entropy_tells_a_blank_from_a_picture():
    assert measured(Image.new("RGB", (80, 80), "teal")).entropy < 2 < 5 < measured(drawn(1)).entropy


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (2, 2), (3, 5)])
def test_slivers_are_measured_too(size):
    assert measured(Image.new("RGB", size, "red")).sharpness == 0
