"""The same pixels as the models' own demonstration program gives them, for every kind of picture."""

import numpy as np
import pytest
from PIL import Image

from captioners.tags.pixels import batch, square
from dataset import pictures


def test_a_wide_picture_lies_in_the_middle_of_a_white_square_blue_before_red():
    pixels = square(Image.new("RGB", (448, 224), (10, 20, 30)), 448)
    assert pixels.shape == (448, 448, 3) and pixels.dtype == np.uint8
    assert (pixels[:112] == 255).all() and (pixels[336:] == 255).all()
    assert (pixels[112:336] == [30, 20, 10]).all()


def saved(tmp_path, image, **how):
    path = tmp_path / "picture.png"
    image.save(path, **how)
    return pictures.read(path)


def test_half_transparent_red_becomes_pink_on_white(tmp_path):
    image = saved(tmp_path, Image.new("RGBA", (448, 448), (255, 0, 0, 128)))
    assert (square(image, 448) == [127, 127, 255]).all()


@pytest.mark.parametrize("image, how", [
    (Image.new("LA", (448, 448), (0, 0)), {}),
    (Image.new("RGB", (448, 448), (1, 2, 3)), {"transparency": (1, 2, 3)}),
])  # fmt: skip
def test_what_is_transparent_is_white(tmp_path, image, how):
    assert (square(saved(tmp_path, image, **how), 448) == 255).all()


def test_not_as_kohya_sixteen_bit_grey_is_scaled_and_not_cut_off(tmp_path):
    image = saved(tmp_path, Image.fromarray(np.full((448, 448), 32896, np.uint16)))
    assert (square(image, 448) == 128).all()


def test_a_grey_of_one_half_in_floating_point(tmp_path):
    path = tmp_path / "picture.tiff"
    Image.fromarray(np.full((448, 448), 0.5, np.float32)).save(path)
    assert (square(pictures.read(path), 448) == 128).all()


def test_not_as_kohya_a_picture_of_a_turned_camera_is_upright(tmp_path):
    image = Image.new("RGB", (448, 448), "red")
    image.paste("blue", (0, 0, 448, 224))
    turned, path = image.transpose(Image.Transpose.ROTATE_90), tmp_path / "picture.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(path, exif=exif, quality=100, subsampling=0)
    pixels = square(pictures.read(path), 448)
    assert pixels[10, 200, 0] > 240 and pixels[430, 200, 2] > 240


@pytest.mark.parametrize("size", [(5, 4000), (4000, 5), (1, 1), (449, 1)])
def test_not_as_comfyui_a_very_long_picture_has_a_side_left(size):
    assert square(Image.new("RGB", size, "black"), 448).shape == (448, 448, 3)


def test_not_as_kohya_pictures_are_made_smaller_by_the_bicubic_filter():
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 255, (90, 90, 3), np.uint8))
    whole = np.asarray(image.resize((32, 32), Image.Resampling.BICUBIC))[:, :, ::-1]
    assert (square(image, 32) == whole).all()


def test_not_as_dataset_tag_editor_the_border_is_white_and_no_stretched_edge():
    pixels = square(Image.new("RGB", (100, 200), "black"), 200)
    assert (pixels[:, :50] == 255).all() and (pixels[:, 150:] == 255).all()


def test_channels_first_from_minus_one_to_one():
    values = batch([square(Image.new("RGB", (64, 64), (0, 127, 255)), 64)], "NCHW", np.float32)
    assert values.shape == (1, 3, 64, 64) and values.dtype == np.float32
    np.testing.assert_allclose(values[0, :, 0, 0], [1, 127 / 127.5 - 1, -1], atol=1e-6)


def test_channels_last_are_whole_numbers_up_to_255_and_a_batch_may_be_filled_up():
    values = batch([square(Image.new("RGB", (8, 8), (0, 127, 255)), 8)], "NHWC", np.float32, 3)
    assert values.shape == (3, 8, 8, 3) and values.dtype == np.float32
    assert values[0, 0, 0].tolist() == [255, 127, 0] and not values[1:].any()
