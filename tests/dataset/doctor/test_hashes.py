"""Hashes find copies that were resized, recompressed, cropped or mirrored, and no others."""

import io
import itertools
import math

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from dataset.doctor import hashes
from dataset.doctor.hashes import Prints, groups
from dataset.doctor.look import COARSE
from dataset.doctor.measure import reduced


def drawn(seed: int, size=(640, 480)) -> Image.Image:
    """A picture of soft shapes in several colours; another one for every seed."""
    dice = np.random.default_rng(seed)
    coarse = dice.integers(0, 256, (dice.integers(4, 9), dice.integers(4, 9), 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def prints_of(image: Image.Image, mirrored=False) -> hashes.Print:
    return hashes.of(reduced(image, COARSE))[mirrored]


def recompressed(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=30)
    return Image.open(buffer).convert("RGB")


def cropped(image: Image.Image) -> Image.Image:
    """3 % off the area."""
    x, y = round(image.width * 0.0075), round(image.height * 0.0075)
    return image.crop((x, y, image.width - x, image.height - y))


COPIES = {
    "resized": lambda image: image.resize((image.width * 3 // 5, image.height * 3 // 5)),
    "enlarged": lambda image: image.resize((image.width * 2, image.height * 2)),
    "recompressed": recompressed,
    "cropped": cropped,
    "brightened a little": lambda image: ImageEnhance.Brightness(image).enhance(1.08),
    "sharpened": lambda image: ImageEnhance.Sharpness(image).enhance(2),
}


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES)
def test_copies_are_found(change):
    originals = [drawn(seed) for seed in range(10)]
    found = groups(Prints.of([prints_of(image) for image in originals + [change(image) for image in originals]]))
    assert found == [[index, index + 10] for index in range(10)]


def test_mirrored_copies_are_found_and_only_as_such():
    images = [drawn(seed) for seed in range(10)]
    images += [ImageOps.mirror(image) for image in images]
    prints = Prints.of([prints_of(image) for image in images])
    assert groups(prints) == []
    assert groups(prints, Prints.of([prints_of(image, True) for image in images])) == [[i, i + 10] for i in range(10)]


def test_copies_are_found_whatever_was_done_to_them_one_after_the_other():
    """Chains of changes; every other one is mirrored as well, and found as that."""
    dice = np.random.default_rng(7)
    ways = list(COPIES.values())
    originals, copies = [drawn(seed) for seed in range(24)], []
    for number, image in enumerate(originals):
        for way in dice.choice(len(ways), 2, replace=False):
            image = ways[way](image)
        copies.append(ImageOps.mirror(image) if number % 2 else image)
    images = originals + copies
    prints = Prints.of([prints_of(image) for image in images])
    assert groups(prints) == [[index, index + 24] for index in range(0, 24, 2)]
    mirrored = groups(prints, Prints.of([prints_of(image, True) for image in images]))
    assert mirrored == [[index, index + 24] for index in range(1, 24, 2)]


def test_mirrored_prints_are_those_of_the_mirrored_picture():
    image = drawn(1)
    mirrored, told = prints_of(ImageOps.mirror(image)), prints_of(image, True)
    assert (mirrored.phash ^ told.phash).bit_count() <= 2  # rounding of the resize
    assert (mirrored.dhash ^ told.dhash).bit_count() <= 2


def test_500_unrelated_pictures_are_not_alike():
    images = [drawn(seed, (96, 96)) for seed in range(500)]
    prints = Prints.of([prints_of(image) for image in images])
    assert groups(prints) == []
    assert groups(prints, Prints.of([prints_of(image, True) for image in images])) == []


def test_500_pictures_of_noise_are_not_alike():
    dice = np.random.default_rng(3)
    images = [Image.fromarray(dice.integers(0, 256, (64, 64, 3), dtype=np.uint8)) for _ in range(500)]
    assert groups(Prints.of([prints_of(image) for image in images])) == []


def test_another_colour_is_another_picture():
    shape = np.asarray(drawn(3).convert("L"))
    red, blue = (Image.fromarray(np.stack([shape if c == channel else shape // 4 for c in range(3)], axis=2))
                 for channel in (0, 2))
    assert groups(Prints.of([prints_of(red), prints_of(blue)])) == []


def test_another_shape_is_another_picture():
    image = drawn(4)
    assert groups(Prints.of([prints_of(image), prints_of(image.resize((640, 400)))])) == []


def test_plain_pictures_are_alike_in_the_same_colour_only():
    images = [Image.new("RGB", (64, 64), colour) for colour in ("red", "red", "blue", "white")]
    assert groups(Prints.of([prints_of(image) for image in images])) == [[0, 1]]


def test_phash_is_the_dct_by_its_definition():
    image = reduced(drawn(5), COARSE)
    p = np.asarray(image.convert("L").resize((32, 32), Image.Resampling.LANCZOS), dtype=float)
    low = [[sum(p[y, x] * math.cos(math.pi * v * (2 * y + 1) / 64) * math.cos(math.pi * u * (2 * x + 1) / 64)
                for y, x in itertools.product(range(32), range(32))) for u in range(8)] for v in range(8)]
    bits = (np.array(low) > np.median(low)).ravel()
    assert hashes.of(image)[0].phash == int("".join("1" if bit else "0" for bit in bits), 2)


def test_hashes_are_those_of_imagehash():
    for seed in range(50):
        image = drawn(seed, (200 + seed, 150))
        own, _ = hashes.of(image)
        assert f"{own.phash:016x}" == str(imagehash.phash(image))
        assert f"{own.dhash:016x}" == str(imagehash.dhash(image))


@pytest.mark.parametrize("seed", range(5))
def test_groups_are_those_of_trying_every_pair(seed):
    dice = np.random.default_rng(seed)
    centres = dice.integers(0, 2**63, 12, dtype=np.uint64)
    flips = np.uint64(1) << dice.integers(0, 64, (150, 9), dtype=np.uint64)
    phash = centres[dice.integers(0, 12, 150)] ^ np.bitwise_xor.reduce(flips, axis=1)
    prints = Prints(phash, np.zeros(150, np.uint64), np.zeros((150, 48), np.uint8), np.ones(150))
    near = {(i, j) for i, j in itertools.combinations(range(150), 2)
            if int(phash[i] ^ phash[j]).bit_count() <= hashes.BITS}
    label = list(range(150))
    for _ in range(150):
        for i, j in near:
            label[i] = label[j] = min(label[i], label[j])
    expected = [[i for i in range(150) if label[i] == one] for one in sorted(set(label))]
    assert groups(prints) == [group for group in expected if len(group) > 1]


def test_many_equal_pictures_cost_neither_time_nor_memory():
    number = 3000
    prints = Prints(np.zeros(number, np.uint64), np.zeros(number, np.uint64), np.zeros((number, 48), np.uint8),
                    np.ones(number))
    assert groups(prints) == [list(range(number))]


@pytest.mark.parametrize("number", [0, 1])
def test_few_pictures_are_no_group(number):
    assert groups(Prints.of([prints_of(drawn(seed)) for seed in range(number)])) == []
