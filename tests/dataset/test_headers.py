"""Sizes from first bytes: the same as Pillow's, or no answer."""

import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from dataset import headers, pictures
from dataset.pictures import PictureError

MODES = {"jpg": ("RGB", "L", "CMYK"), "png": ("RGB", "RGBA", "L", "LA", "P", "1", "I;16"), "webp": ("RGB", "RGBA")}


def noise(mode: str, size=(37, 21)) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert("I" if mode == "I;16" else mode).convert(mode)


def known(path: Path) -> pictures.Header | None:
    """What opening it says, None if it can't be used; as `scan` did it without the short way."""
    try:
        head = pictures.header(path)
        if not pictures.looks_whole(path):
            pictures.read(path)
    except PictureError:
        return None
    return head


@pytest.mark.parametrize("kind, mode", [(kind, mode) for kind, modes in MODES.items() for mode in modes])
@pytest.mark.parametrize("options", [{}, {"progressive": True, "lossless": True, "compress_level": 1}])
def test_plain_pictures_are_answered(tmp_path, kind, mode, options):
    path = tmp_path / f"a.{kind}"
    noise(mode).save(path, **options)
    assert headers.quick(str(path)) == known(path)
    assert (known(path).width, known(path).height) == (37, 21)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("turn", range(10))
def test_the_way_up(tmp_path, turn, order):
    exif = Image.Exif()
    exif.endian = order
    exif[0x010F], exif[0x0112] = "a camera", turn
    for name in ("a.jpg", "a.png", "a.webp"):
        noise("RGB").save(tmp_path / name, exif=exif)
        assert headers.quick(str(tmp_path / name)) in (None, known(tmp_path / name))
    assert headers.quick(str(tmp_path / "a.jpg")) == known(tmp_path / "a.jpg")


def test_what_is_odd_is_left_to_others(tmp_path):
    frames = [noise("RGB"), noise("L").convert("RGB")]
    frames[0].save(tmp_path / "moving.webp", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "moving.png", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "a.gif")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "folder.jpg").mkdir()
    for path in tmp_path.iterdir():
        assert headers.quick(str(path)) is None, path
    assert headers.quick(str(tmp_path / "absent.jpg")) is None


def test_words_in_a_png_are_passed_over(tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "a prompt, " * 3000)
    info.add_itxt("workflow", "{}" * 2000)
    noise("RGB").save(tmp_path / "a.png", pnginfo=info)
    assert headers.quick(str(tmp_path / "a.png")) == known(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.jpg", "turned.jpg", "a.png", "a.webp", "b.webp"])
def test_damaged_pictures_are_never_mistaken(tmp_path, name):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / name
    noise("RGB", (61, 47)).save(path, lossless=name == "b.webp", **({"exif": exif} if name == "turned.jpg" else {}))
    whole, dice = path.read_bytes(), random.Random(0)
    for _ in range(300):
        data = bytearray(whole)
        match dice.randrange(3):
            case 0:
                del data[dice.randrange(len(data)) :]
            case 1:
                data[dice.randrange(min(200, len(data)))] = dice.randrange(256)
            case _:
                at = dice.randrange(min(400, len(data)))
                data[at : at + dice.randrange(20)] = dice.randbytes(dice.randrange(20))
        path.write_bytes(data)
        found, opened = headers.quick(str(path)), known(path)
        assert found is None or opened is None or found == opened
        if len(data) < len(whole) and data == whole[: len(data)]:
            assert found is None or opened is not None
