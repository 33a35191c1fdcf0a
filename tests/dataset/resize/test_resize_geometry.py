"""What is promised of sizes, over many random ones: never stretched, never enlarged unasked, exact where it is said."""

import math
import random

import pytest

from dataset import buckets
from dataset.resize.geometry import ANCHORS, WHOLE, aspect_of, cut
from dataset.resize.settings import Settings

MODES = ("cover", "contain", "longest", "shortest", "pixels", "bucket")
DICE = random.Random(4)
SIZES = [(DICE.randint(1, 4000), DICE.randint(1, 4000)) for _ in range(150)]
SIZES += [(1, 1), (1, 1500), (1500, 1), (512, 512), (513, 512), (511, 512), (1024, 512), (8000, 4000), (64, 64)]
TARGETS = [(512, 512), (768, 1024), (1024, 768), (96, 640), (333, 217)]


def crops():
    yield WHOLE
    for _ in range(3):
        left, top = DICE.uniform(0, 0.6), DICE.uniform(0, 0.6)
        yield left, top, left + DICE.uniform(0.05, 1 - left), top + DICE.uniform(0.05, 1 - top)


def cases(mode):
    for size in SIZES:
        for crop in crops():
            width, height = DICE.choice(TARGETS)
            if mode == "bucket":
                width, height = DICE.choice([512, 768, 1024]), None
            for upscale in (False, True):
                keep = DICE.choice(list(ANCHORS))
                settings = Settings(mode=mode, width=width, height=height, upscale=upscale, keep=keep, bucket_max=2048)
                yield size, crop, settings, cut(size, settings, crop)


def sides(box):
    return box[2] - box[0], box[3] - box[1]


@pytest.mark.parametrize("mode", MODES)
def test_what_is_taken_lies_inside_the_picture_and_the_crop(mode):
    for size, crop, _, found in cases(mode):
        left, top, right, bottom = found.box
        assert -1e-6 <= left < right <= size[0] + 1e-6
        assert -1e-6 <= top < bottom <= size[1] + 1e-6
        assert left >= math.floor(crop[0] * size[0]) - 1
        assert right <= math.ceil(crop[2] * size[0]) + 1


@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_stretched_by_more_than_a_pixel(mode):
    for _, _, settings, found in cases(mode):
        width, height = sides(found.box)
        across, down = found.inner[0] / width, found.inner[1] / height
        # at one scale for both sides, each is where it should be to a pixel (two roundings: half a pixel each)
        off = min(abs(found.inner[0] - width * down), abs(found.inner[1] - height * across))
        assert off <= 1.0 + 1e-6, (settings, found)


@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_enlarged_unless_it_is_asked_for(mode):
    for _, _, settings, found in cases(mode):
        if settings.upscale or (mode == "bucket" and min(sides(found.box)) < 64):
            continue  # a strip thinner than a bucket's step is enlarged in training, too
        assert found.inner[0] <= sides(found.box)[0] + 1e-6
        assert found.inner[1] <= sides(found.box)[1] + 1e-6


def test_promised_sizes_are_exact():
    for mode in ("cover", "contain"):
        for _, _, settings, found in cases(mode):
            width, height = settings.size
            if mode == "contain":
                assert found.size == (width, height)
                assert found.inner[0] + found.at[0] <= width and found.inner[1] + found.at[1] <= height
                assert min(found.at) >= 0
            if mode == "cover" and settings.upscale:
                assert found.size == (width, height)


def test_what_is_large_enough_gets_the_exact_size_without_enlarging():
    settings = Settings(mode="cover", width=512, height=768)
    for size in SIZES:
        if size[0] >= 512 and size[1] >= 768:
            assert cut(size, settings).size == (512, 768)
        else:
            found = cut(size, settings)
            assert found.plain  # smaller ones are only cut: not one pixel is mixed
            assert abs(found.size[0] - found.size[1] * 512 / 768) <= 1 or 1 in found.size


def test_sides_and_areas_are_as_asked():
    for size in SIZES:
        for side in (512, 768):
            enlarging = {"width": side, "upscale": True}
            assert max(cut(size, Settings(mode="longest", **enlarging)).size) == side
            assert min(cut(size, Settings(mode="shortest", **enlarging)).size) == side
            assert math.prod(cut(size, Settings(mode="pixels", **enlarging)).size) <= side * side
            kept = cut(size, Settings(mode="longest", width=side))
            assert max(kept.size) == min(side, max(size))
            assert min(cut(size, Settings(mode="shortest", width=side)).size) == min(side, min(size))


def test_as_many_pixels_as_allowed_are_used():
    for width, height in SIZES:
        if width * height > 512 * 512 and max(width, height) < 50 * min(width, height):
            found = math.prod(cut((width, height), Settings(mode="pixels", width=512)).size)
            assert found > 512 * 512 * 0.98


@pytest.mark.parametrize("upscale", [False, True])
def test_copies_for_buckets_are_trained_as_they_are(upscale):
    for size in SIZES:
        settings = Settings(mode="bucket", width=512, upscale=upscale, bucket_max=1024)
        found = cut(size, settings)
        training = buckets.fit(*found.size, settings.buckets)
        assert found.size == buckets.fit(*size, settings.buckets).bucket
        assert training.bucket == training.resized == found.size
        assert (training.left, training.top) == (0, 0)


def test_centred_bucket_cuts_are_the_trainers():
    for size in SIZES:
        settings = Settings(mode="bucket", width=768, keep="centre")
        found, training = cut(size, settings), buckets.fit(*size, settings.buckets)
        x = size[0] / training.resized[0]
        assert abs(found.box[0] - training.left * x) <= x / 2 + 0.5


def test_anchors_are_where_they_say():
    square = {name: cut((1000, 500), Settings(mode="cover", width=100, keep=name)).box for name in ANCHORS}
    assert square["left"] == square["top left"] == (0, 0, 500, 500)
    assert square["right"] == (500, 0, 1000, 500)
    assert square["centre"] == square["top"] == (250, 0, 750, 500)
    padded = cut((100, 50), Settings(mode="contain", width=100, keep="bottom"))
    assert padded.at == (0, 50)


def test_a_crop_of_the_right_shape_is_taken_whole():
    for size in SIZES:
        settings = Settings(mode="cover", width=512, height=768, upscale=True)
        aspect = aspect_of(size, settings) * size[1] / size[0]  # in shares
        width = min(0.5, 0.5 * aspect)
        crop = (0.25, 0.25, 0.25 + width, 0.25 + width / aspect)
        found = cut(size, settings, crop)
        if min(size) > 20:
            assert found.box[0] >= 0.25 * size[0] - 1
            assert abs((found.box[2] - found.box[0]) - width * size[0]) <= 2.5


def test_a_crop_is_at_least_a_pixel():
    assert cut((3, 3), Settings(mode="longest", width=8), (0.999, 0.999, 1, 1)).size == (1, 1)
