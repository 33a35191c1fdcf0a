"""What is in the copies: upright, in sRGB, without metadata, and resampled as it should be."""

import io
import math

import numpy as np
import pytest
from PIL import Image, ImageCms

from dataset import masks
from dataset.resize.geometry import WHOLE, Cut, cut
from dataset.resize.render import encoded, mask, mask_from_alpha, render, scaled
from dataset.resize.settings import Settings

DICE = np.random.default_rng(1)


def photo(size=(640, 480), seed=0):
    """Detail of every size, as in photographs."""
    dice = np.random.default_rng(seed)
    image = Image.new("RGB", size, "gray")
    for side in (4, 12, 60, 200):
        grain = Image.fromarray(dice.integers(0, 256, (side, side, 3), np.uint8))
        image = Image.blend(image, grain.resize(size, Image.Resampling.BICUBIC), 0.35)
    return image


def off(first, second):
    """Root of the mean squared difference, in levels of 255."""
    return float(np.sqrt(np.mean((np.asarray(first, float) - np.asarray(second, float)) ** 2)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_copies_are_upright(tmp_path, orientation):
    from dataset.pictures import UPRIGHT

    upright = photo((300, 200))
    undo = {5: 5, 6: 8, 7: 7, 8: 6}.get(orientation, orientation)
    stored = upright.transpose(UPRIGHT[undo]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    found = render(tmp_path / "a.png", Settings(mode="longest", width=300)).image
    assert found.size == (300, 200)
    assert off(found, upright) == 0


def test_crops_are_of_the_upright_picture(tmp_path):
    upright = Image.new("RGB", (400, 200), "blue")
    upright.paste("red", (0, 0, 100, 100))
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "a.png", exif=exif)
    found = render(tmp_path / "a.png", Settings(mode="longest", width=64), crop=(0, 0, 0.25, 0.5))
    assert off(found.image, Image.new("RGB", (64, 64), "red")) < 3 and found.by == "hand"


def test_wide_gamuts_become_srgb(tmp_path):
    """Against Pillow's own conversion, with a profile whose red and green are exchanged."""
    image = photo()
    swapped = swapped_profile()
    image.save(tmp_path / "a.png", icc_profile=swapped)
    oracle = ImageCms.profileToProfile(image, io.BytesIO(swapped), ImageCms.createProfile("sRGB"), outputMode="RGB")
    found = render(tmp_path / "a.png", Settings(mode="longest", width=640)).image
    assert off(found, oracle) < 0.5 < off(found, image)
    assert "icc_profile" not in found.info


def swapped_profile():
    """sRGB's profile with the primaries of red and green exchanged: valid, and plainly another space."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = int.from_bytes(data[128:132], "big")
    entries = {bytes(data[132 + 12 * i : 136 + 12 * i]): 132 + 12 * i for i in range(tags)}
    red, green = entries[b"rXYZ"], entries[b"gXYZ"]
    data[red + 4 : red + 12], data[green + 4 : green + 12] = data[green + 4 : green + 12], data[red + 4 : red + 12]
    at = entries[b"desc"]
    start, length = (int.from_bytes(data[at + 4 * k : at + 4 * k + 4], "big") for k in (1, 2))
    data[start : start + length] = data[start : start + length].replace(b"\0s\0R\0G\0B", b"\0o\0t\0h\0r").replace(
        b"sRGB", b"othr")
    return bytes(data)


@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
def test_metadata_is_left_behind(tmp_path, kind):
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    photo().save(tmp_path / "a.jpg", exif=exif, comment=b"secret", icc_profile=swapped_profile())
    found = render(tmp_path / "a.jpg", Settings(width=128))
    data = encoded(found.image, kind, 90)
    with Image.open(io.BytesIO(data)) as copy:
        assert copy.size == (128, 128)
        assert not copy.getexif() and not {"icc_profile", "exif", "comment", "xmp"} & set(copy.info)
    assert b"where I live" not in data and b"secret" not in data


def test_reducing_is_lanczos(tmp_path):
    """As Pillow's own over the whole picture; the shortcut for large JPEGs is not to be seen."""
    image = photo((1200, 900))
    image.save(tmp_path / "a.png")
    image.save(tmp_path / "a.jpg", quality=97)
    settings = Settings(mode="longest", width=200)
    with Image.open(tmp_path / "a.jpg") as jpeg:
        whole = jpeg.resize((200, 150), Image.Resampling.LANCZOS)
    assert off(render(tmp_path / "a.png", settings).image, image.resize((200, 150), Image.Resampling.LANCZOS)) < 1
    assert off(render(tmp_path / "a.jpg", settings).image, whole) < 1.5
    nearest = image.resize((200, 150), Image.Resampling.NEAREST)
    assert off(nearest, whole) > 5  # the measure can tell


def test_fine_lines_do_not_make_patterns(tmp_path):
    lines = np.zeros((1024, 1024, 3), np.uint8)
    lines[:, ::2] = 255
    Image.fromarray(lines).save(tmp_path / "a.png")
    found = np.asarray(render(tmp_path / "a.png", Settings(width=200)).image, float)[10:-10, 10:-10]
    assert found.std() < 3


def test_linear_light_keeps_the_brightness(tmp_path):
    lines = np.zeros((512, 512, 3), np.uint8)
    lines[:, ::2] = 255
    Image.fromarray(lines).save(tmp_path / "a.png")
    stored = np.asarray(render(tmp_path / "a.png", Settings(width=64)).image).mean()
    light = np.asarray(render(tmp_path / "a.png", Settings(width=64, linear=True)).image).mean()
    assert stored == pytest.approx(127.5, abs=2)
    assert light == pytest.approx(255 * (1.055 * 0.5 ** (1 / 2.4) - 0.055), abs=2)
    flat = Image.new("RGB", (300, 200), (10, 120, 240))
    assert off(scaled(flat, flat.size, cut(flat.size, Settings(width=64)), linear=True),
               Image.new("RGB", (64, 64), (10, 120, 240))) == 0


def test_what_has_the_size_is_not_touched(tmp_path):
    image = photo((512, 700))
    image.save(tmp_path / "a.png")
    found = render(tmp_path / "a.png", Settings(width=512, keep="top"))
    assert off(found.image, image.crop((0, 0, 512, 512))) == 0


@pytest.mark.parametrize("keep", ["centre", "bottom right"])
def test_padding_surrounds_the_whole_picture(tmp_path, keep):
    image = photo((400, 200))
    image.save(tmp_path / "a.png")
    settings = Settings(mode="contain", width=400, height=300, keep=keep, colour="#ff8000")
    found = render(tmp_path / "a.png", settings)
    top = 50 if keep == "centre" else 100
    assert off(found.image.crop((0, top, 400, top + 200)), image) == 0
    assert found.image.getpixel((200, 5)) == (255, 128, 0)
    blurred = render(tmp_path / "a.png", settings.model_copy(update={"padding": "blur"})).image
    assert off(blurred.crop((0, top, 400, top + 200)), image) == 0
    edge = np.asarray(image, float)[0].mean(0)
    assert np.abs(np.asarray(blurred, float)[0].mean(0) - edge).max() < 40


def test_depth_inks_and_transparency_are_read_as_everywhere(tmp_path):
    ramp = np.linspace(0, 65535, 64, dtype=np.uint16)
    Image.fromarray(np.tile(ramp, (64, 1))).save(tmp_path / "deep.png")
    deep = np.asarray(render(tmp_path / "deep.png", Settings(mode="longest", width=64)).image)
    assert deep[0, 0, 0] == 0 and deep[0, -1, 0] == 255 and 120 < deep[0, 32, 0] < 135
    Image.new("CMYK", (64, 64), (0, 255, 255, 0)).save(tmp_path / "inks.jpg")
    assert render(tmp_path / "inks.jpg", Settings(width=32)).image.getpixel((9, 9))[0] > 200
    Image.new("RGBA", (64, 64), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert render(tmp_path / "clear.png", Settings(width=32)).image.getpixel((9, 9)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["cover", "contain", "longest", "bucket"])
def test_masks_are_cut_as_their_pictures(tmp_path, mode):
    """A mask that is the picture's own red channel comes out as the copy's."""
    red = Image.new("L", (700, 420), 0)
    red.paste(255, (80, 60, 400, 300))
    image = Image.merge("RGB", [red, Image.new("L", red.size), Image.new("L", red.size)])
    image.save(tmp_path / "a.png")
    masks.place(tmp_path / "a.png").parent.mkdir()
    red.resize((350, 210)).save(masks.place(tmp_path / "a.png"))  # of another size: it is meant for all of the picture
    settings = Settings(mode=mode, width=256, height=None if mode == "bucket" else 192, keep="left", colour="#000000")
    found = render(tmp_path / "a.png", settings, crop=(0.05, 0.05, 0.9, 0.95))
    made = mask(masks.find(tmp_path / "a.png"), found.cut, found.size)
    assert made.mode == "L" and made.size == found.image.size
    assert off(made, found.image.getchannel("R")) < 12
    assert set(np.unique(np.asarray(made))) >= {0, 255}


def test_transparency_can_be_the_mask(tmp_path):
    image = photo((400, 300)).convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 200, 300))
    image.save(tmp_path / "a.png")
    settings = Settings(mode="longest", width=200)
    found = render(tmp_path / "a.png", settings)
    made = np.asarray(mask_from_alpha(tmp_path / "a.png", found.cut, found.size))
    assert made[:, :95].max() == 0 and made[:, 105:].min() == 255
    photo().save(tmp_path / "b.png")
    assert mask_from_alpha(tmp_path / "b.png", found.cut, found.size) is None


def test_quality_100_of_webp_is_exact():
    image = photo((64, 64))
    with Image.open(io.BytesIO(encoded(image, "webp", 100))) as copy:
        assert off(copy, image) == 0
    assert len(encoded(image, "jpg", 95)) > len(encoded(image, "jpg", 40))


def test_a_cut_is_scaled_from_a_smaller_decode():
    """Boxes are in pixels of the upright picture, whatever size it was decoded at."""
    image = photo((800, 600))
    taken = Cut((100.0, 50.0, 500.0, 350.0), (200, 150), (200, 150))
    direct = scaled(image, (800, 600), taken)
    smaller = scaled(image.reduce(2), (800, 600), taken)
    assert off(direct, smaller) < 4
    assert math.isclose(taken.scale, 0.5) and taken.lost((800, 600)) == pytest.approx(0.75)
    assert cut((10, 10), Settings(width=8), WHOLE).lost((10, 10)) == 0
