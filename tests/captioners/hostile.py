"""Some forty pictures as they come from the world, drawn anew for each test: odd ones that everything must be able to
describe, and broken ones that must be named, whoever describes them."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, features

STRIPS = ("1x1500.png", "1500x1.png")  # some models take no such shape; that is told, and the others go on
NOISE = np.random.default_rng(0)


def odd(folder: Path) -> set[Path]:
    """Pictures that are unusual and whole."""
    before = set(folder.rglob("*"))
    plain = Image.fromarray(NOISE.integers(0, 255, (40, 60, 3), np.uint8))
    shapes(folder)
    modes(folder, plain)
    containers(folder, plain)
    names(folder, plain)
    return {path for path in set(folder.rglob("*")) - before if path.is_file()}


def shapes(folder: Path) -> None:
    for size in ((1, 1), (1, 1500), (1500, 1), (3, 2), (2500, 40)):
        Image.new("RGB", size, (200, 30, 30)).save(folder / f"{size[0]}x{size[1]}.png")
    Image.new("RGB", (64, 64), "black").save(folder / "black.png")
    Image.new("RGB", (64, 64), "white").save(folder / "white.png")


def modes(folder: Path, plain: Image.Image) -> None:
    for mode in ("1", "L", "P", "LA", "RGBA", "I", "I;16"):
        wide = Image.fromarray(NOISE.integers(0, 65535, (30, 30), np.uint16)) if mode.startswith("I") else None
        (wide.convert(mode) if wide else plain.convert(mode)).save(folder / f"mode_{mode.replace(';', '_')}.png")
    Image.fromarray(NOISE.random((30, 30), np.float32) * 3 - 1).save(folder / "mode_F.tiff")
    plain.convert("CMYK").save(folder / "mode_CMYK.jpg")
    plain.convert("LAB").save(folder / "mode_LAB.tiff")
    plain.convert("YCbCr").save(folder / "mode_YCbCr.jpg")
    Image.new("RGBA", (40, 40), (255, 0, 0, 0)).save(folder / "all_transparent.png")
    palette = plain.convert("P")
    palette.save(folder / "palette_transparent.png", transparency=3)
    plain.save(folder / "rgb_one_colour_transparent.png", transparency=(1, 2, 3))


def containers(folder: Path, plain: Image.Image) -> None:
    frames = [Image.new("RGB", (30, 30), colour) for colour in ("red", "green", "blue")]
    for name in ("animation.gif", "moving.webp", "animated.png", "pages.tiff"):
        frames[0].save(folder / name, save_all=True, append_images=frames[1:])
    plain.save(folder / "progressive.jpg", progressive=True)
    plain.save(folder / "bitmap.bmp")
    plain.save(folder / "jpeg_named_png.png", format="JPEG")
    turned = Image.Exif()
    turned[0x0112] = 6
    plain.save(folder / "turned.jpg", exif=turned)
    plain.save(folder / "broken_exif.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 40)
    (folder / "more_behind_the_end.png").write_bytes(encoded(plain) + b"<script>" * 30)
    if features.check("avif"):
        plain.save(folder / "modern.avif")


def names(folder: Path, plain: Image.Image) -> None:
    for name in ("UPPER.PNG", "a b'c\"d.png", "[brackets] {x} $(y) %s.png", "Кот 猫 🐱.png", "-dash.png", "é.png",
                 "<img src=x onerror=alert(1)>.png", "n" * 240 + ".png", "two.dots.png", "new\nline.png", "CON.png"):
        plain.save(folder / name)
    inner = folder / "a folder.png"  # a folder that is called like a picture
    inner.mkdir()
    plain.save(inner / "inside.png")


def broken(folder: Path) -> set[Path]:
    """What is called a picture and can't be used."""
    before = set(folder.rglob("*"))
    plain = Image.fromarray(NOISE.integers(0, 255, (200, 200, 3), np.uint8))
    jpeg, png = encoded(plain, "JPEG"), encoded(plain)
    contents = {
        "empty.png": b"", "text.jpg": b"this is no picture", "cut.jpg": jpeg[: len(jpeg) // 2],
        "half.png": png[: len(png) // 2], "bomb.png": bomb(), "page.png": b"%PDF-1.4\n%EOF",
        "program.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "zeros.webp": bytes(500),
        "phone.heic": b"\0\0\0\x18ftypheic" + bytes(100), "drawing.svg": b"<svg onload='alert(1)'/>",
        "no_frames.gif": b"GIF89a\x01\0\x01\0\0\0\0;", "damaged.png": png[:60] + bytes(40) + png[100:],
    }  # fmt: skip
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    (folder / "leads_nowhere.png").symlink_to(folder / "is not there.png")
    return set(folder.rglob("*")) - before


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    data = io.BytesIO()
    image.save(data, kind)
    return data.getvalue()


def bomb() -> bytes:
    """A few bytes that claim to be 60,000 x 60,000 pixels."""
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
