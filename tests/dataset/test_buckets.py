import random
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from dataset.buckets import Crop, fit, pixels, resolutions
from dataset.pictures import PictureError
from dataset.settings import DatasetSettings
from settings.errors import SettingsError, check, warnings

SIZES_512 = {
    (256, 832), (256, 896), (256, 960), (256, 1024), (320, 768), (384, 640), (448, 576), (512, 512), (576, 448),
    (640, 384), (704, 320), (768, 320), (832, 256), (896, 256), (960, 256), (1024, 256), (320, 704),
}


@pytest.mark.parametrize("resolution, minimum, maximum, count",
                         [(512, 256, 1024, 17), (768, 256, 1024, 19), (1024, 256, 2048, 41), (1024, 512, 2048, 33)])
def test_as_many_sizes_as_sd_scripts(resolution, minimum, maximum, count):
    sizes = resolutions(resolution, minimum, maximum, 64)
    assert len(sizes) == count
    assert list(sizes) == sorted({(h, w) for w, h in sizes})  # both orientations, sorted


def test_the_sizes_of_512():
    assert set(resolutions(512, 256, 1024, 64)) == SIZES_512


@pytest.mark.parametrize("resolution, minimum, maximum, step", [(64, 16, 128, 8), (64, 20, 100, 16), (96, 8, 96, 8)])
def test_small_models(resolution, minimum, maximum, step):
    sizes = resolutions(resolution, minimum, maximum, step)
    assert (resolution, resolution) in sizes
    for size in sizes:
        assert all(side % step == 0 and minimum // step * step <= side <= maximum + step - 1 for side in size)
        assert size[0] * size[1] <= resolution**2


def published_upscaling(width, height, sizes):
    """sd-scripts' choice in numpy: the exact size, else argmin of the linear ratio error; covered and centred."""
    ratios = np.array([w / h for w, h in sizes], dtype=np.float64)
    chosen = sizes.index((width, height)) if (width, height) in sizes else np.abs(ratios - width / height).argmin()
    bw, bh = sizes[chosen]
    scale = bh / height if width / height > bw / bh else bw / width
    return (bw, bh), (int(width * scale + 0.5), int(height * scale + 0.5))


def published_shrinking(width, height, resolution, step):
    """sd-scripts' bucket_no_upscale, with the crashes left in."""
    ratio, resized = np.float64(width) / height, (width, height)
    if width * height > resolution**2:
        ideal_w = np.sqrt(resolution**2 * ratio)
        ideal_h = resolution**2 / ideal_w
        w, h = ((int(side + 0.5) // step) * step for side in (ideal_w, ideal_h))
        h_of_w, w_of_h = (int(w / ratio + 0.5) // step) * step, (int(h * ratio + 0.5) // step) * step
        by_width = abs(w / h_of_w - ratio) < abs(w_of_h / h - ratio)
        resized = (w, int(w / ratio + 0.5)) if by_width else (int(h * ratio + 0.5), h)
    bucket = (resized[0] - resized[0] % step, resized[1] - resized[1] % step)
    if 0 in bucket:
        raise ZeroDivisionError
    return bucket, resized


@pytest.mark.parametrize("resolution, minimum, maximum, step", [(512, 256, 1024, 64), (1024, 256, 2048, 64),
                                                               (768, 320, 1536, 32), (64, 16, 128, 8)])
@pytest.mark.proves("dataset.resolution", "dataset.upscale", "dataset.bucket_min", "dataset.bucket_max")
def test_enlarging_as_published(resolution, minimum, maximum, step):
    settings = DatasetSettings(resolution=resolution, bucket_min=minimum, bucket_max=maximum, bucket_step=step,
                               upscale=True)
    sizes, rng = list(resolutions(resolution, minimum, maximum, step)), random.Random(1)
    pictures = [(rng.randint(1, 3000), rng.randint(1, 3000)) for _ in range(400)] + sizes
    for width, height in pictures:
        bucket, resized = published_upscaling(width, height, sizes)
        crop = fit(width, height, settings)
        assert (crop.bucket, crop.resized) == (bucket, resized), (width, height)
        assert (crop.left, crop.top) == ((resized[0] - bucket[0]) // 2, (resized[1] - bucket[1]) // 2)


@pytest.mark.parametrize("resolution, step", [(512, 64), (1024, 64), (768, 8), (64, 8), (64, 16)])
@pytest.mark.proves("dataset.bucket_step")
def test_never_enlarging_as_published(resolution, step):
    settings = DatasetSettings(resolution=resolution, bucket_step=step, upscale=False)
    rng, compared = random.Random(2), 0
    for _ in range(600):
        width, height = rng.randint(step, 4 * resolution), rng.randint(step, 4 * resolution)
        crop = fit(width, height, settings)
        assert all(side % step == 0 and side >= step for side in crop.bucket)
        assert crop.bucket[0] * crop.bucket[1] <= resolution**2 * 1.05  # the rule rounds half pixels up
        assert crop.resized[0] <= width and crop.resized[1] <= height
        with np.errstate(divide="ignore", invalid="ignore"):
            try:
                expected = published_shrinking(width, height, resolution, step)
            except (ZeroDivisionError, ValueError, OverflowError):
                continue
        assert (crop.bucket, crop.resized) == expected, (width, height)
        compared += 1
    assert compared > 500


@pytest.mark.parametrize("size", [(1, 1), (63, 5000), (5000, 63), (20000, 100), (100, 20000), (1, 40_000), (40_000, 1)])
@pytest.mark.parametrize("buckets, upscale", [(True, True), (True, False), (False, False)])
def test_any_size_gets_a_crop(size, buckets, upscale):
    settings = DatasetSettings(buckets=buckets, upscale=upscale)
    crop = fit(*size, settings)
    assert all(side % 64 == 0 and side > 0 for side in crop.bucket)
    assert all(0 <= start and start + kept <= whole
               for start, kept, whole in zip((crop.left, crop.top), crop.bucket, crop.resized))
    assert crop.bucket[0] * crop.bucket[1] <= 512 * 512
    assert 0 <= crop.loss < 1


@pytest.mark.proves("dataset.buckets")
def test_without_buckets_all_is_square():
    settings = DatasetSettings(buckets=False, resolution=256)
    rng = random.Random(3)
    for _ in range(200):
        width, height = rng.randint(1, 2000), rng.randint(1, 2000)
        crop = fit(width, height, settings)
        assert crop.bucket == (256, 256) and min(crop.resized) == 256
        exact = Fraction(max(width, height) * 256, min(width, height))
        assert abs(max(crop.resized) - exact) <= 1


@pytest.fixture
def halves(tmp_path):
    """Left half red, right half blue; the top tenth white."""
    image = Image.new("RGB", (200, 100), "red")
    image.paste("blue", (100, 0, 200, 100))
    image.paste("white", (0, 0, 200, 10))
    image.save(tmp_path / "halves.png")
    return tmp_path / "halves.png"


def test_pixels_are_the_cropped_picture(halves):
    settings = DatasetSettings(resolution=64, bucket_step=8)
    crop = fit(200, 100, settings)
    seen = pixels(halves, crop)
    assert seen.shape == (crop.bucket[1], crop.bucket[0], 3) and seen.dtype == np.uint8
    assert tuple(seen[-1, 0]) == (255, 0, 0) and tuple(seen[-1, -1]) == (0, 0, 255)
    assert np.array_equal(pixels(halves, crop, flip=True), seen[:, ::-1])


def test_pixels_equal_resizing_everything_then_cropping(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (301, 449, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    for settings in (DatasetSettings(resolution=128, bucket_step=32, bucket_min=64, bucket_max=256, upscale=upscale)
                     for upscale in (True, False)):
        crop = fit(449, 301, settings)
        whole = Image.fromarray(noise).resize(crop.resized, Image.Resampling.HAMMING)
        box = (crop.left, crop.top, crop.left + crop.bucket[0], crop.top + crop.bucket[1])
        expected = np.asarray(whole.crop(box)).astype(int)
        assert np.abs(pixels(tmp_path / "noise.png", crop) - expected).max() <= 1


def test_a_crop_without_scaling_keeps_every_pixel(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (70, 90, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    crop = fit(90, 70, DatasetSettings(resolution=512, bucket_step=64))
    assert crop == Crop((90, 70), 13, 3, (64, 64))
    assert np.array_equal(pixels(tmp_path / "noise.png", crop), noise[3:67, 13:77])


@pytest.mark.parametrize("ratio", [1.15, 1.7, 2.5, 6.0])
def test_shrinking_is_close_to_averaging_areas(tmp_path, ratio):
    """Against the exact area average: no filter of Pillow's is it; ours has to be near."""
    y, x = np.mgrid[0:384, 0:384]
    waves = 127.5 + 60 * np.sin(x / 5) + 60 * np.sin(y / 7 + x / 11)
    Image.fromarray(np.repeat(np.rint(waves)[..., None], 3, 2).astype(np.uint8)).save(tmp_path / "waves.png")
    side = round(384 / ratio)
    crop = Crop((side, side), 0, 0, (side, side))
    expected = area_average(area_average(np.rint(waves), side).T, side).T
    error = np.sqrt(((pixels(tmp_path / "waves.png", crop)[..., 0] - expected) ** 2).mean())
    assert error < 2.5


def area_average(rows, count):
    """Rows averaged into `count` rows, each by the share of it that lies inside."""
    edges = np.linspace(0, len(rows), count + 1)
    sums = np.vstack([np.zeros(rows.shape[1]), np.cumsum(rows, axis=0)])
    whole = np.minimum(edges.astype(int), len(rows) - 1)
    return np.diff(sums[whole] + (edges - whole)[:, None] * rows[whole], axis=0) * count / len(rows)


def test_a_picture_that_changed_is_noticed(halves):
    crop = fit(100, 200, DatasetSettings(resolution=64, bucket_step=8))
    with pytest.raises(PictureError, match="changed"):
        pixels(halves, crop)


@pytest.mark.parametrize("values, path", [
    ({"resolution": 600}, "resolution"),
    ({"resolution": 60, "buckets": False}, "resolution"),
    ({"bucket_step": 12}, "bucket_step"),
    ({"resolution": 1280, "upscale": True}, "bucket_max"),
    ({"resolution": 128, "upscale": True}, "bucket_min"),
    ({"resolution": 0}, "resolution"),
    ({"caption_extension": " . "}, "caption_extension"),
    ({"folders": [{"path": "a", "repeats": 0}]}, "folders.0.repeats"),
])
def test_wrong_settings_name_themselves(values, path):
    with pytest.raises(SettingsError) as caught:
        check(DatasetSettings, values)
    assert set(caught.value.problems) == {path}


def test_the_settings_of_a_small_model_are_right():
    settings = check(DatasetSettings, {"resolution": 64, "bucket_step": 8})
    assert fit(100, 60, settings).bucket == (80, 48)
    assert warnings(settings) == {}
