"""From a file to the pixels of its copy and their bytes: upright, in sRGB, without metadata, well resampled.

A JPEG is decoded at the smallest size that still has twice the pixels needed a side (its decoder can average blocks
for next to nothing); the rest is one Lanczos filter over the part that is kept.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from dataset import masks, pictures
from dataset.pictures import Decoded
from dataset.resize.faces import Detector
from dataset.resize.focus import Focus
from dataset.resize.geometry import WHOLE, Box, Cut, Size, cut
from dataset.resize.saliency import SIDE
from dataset.resize.settings import Settings

SPARE = 2.0  # times the pixels needed, a side, that a JPEG is decoded at
GAP = 3.0  # times the pixels needed that Pillow may first reduce to by averaging; unseen at this size
LOOKED_AT = 640  # pixels of the longer side at least, where there are as many, at which faces are looked for
KINDS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}
LARGEST = {"jpg": 65_500, "png": 65_500, "webp": 16_383}  # pixels of a side


@dataclass(frozen=True)
class Rendered:
    image: Image.Image
    cut: Cut
    size: Size  # of the upright picture that it was made from
    by: str  # what placed the window: "hand", "face", "subject", an anchor; "" where nothing is cut off


def render(path: Path, settings: Settings, crop: Box | None = None, detector: Detector | None = None) -> Rendered:
    """The copy of one picture. Raises PictureError."""
    size = pictures.size_of(path)
    taken = cut(size, settings, crop or WHOLE)
    decoded = pictures.decoded(path, least=_least(taken, size, settings))
    focus = focus_of(decoded, settings, detector)
    taken = cut(decoded.size, settings, crop or WHOLE, focus)
    image = scaled(decoded.image, decoded.size, taken, linear=settings.linear)
    if taken.size != taken.inner:
        image = padded(image, taken, settings)
    image.info = {}  # Pillow would write profiles and EXIF from here
    by = "hand" if crop else focus.found or settings.keep if focus else settings.keep
    return Rendered(image, taken, decoded.size, by if taken.lost(decoded.size) > 1e-6 else "")


def focus_of(decoded: Decoded, settings: Settings, detector: Detector | None) -> Focus | None:
    """What places the window by looking at the picture; None where the settings name a side."""
    if settings.keep not in ("subject", "face"):
        return None
    detector = detector if settings.keep == "face" else None
    small, side = decoded.image, LOOKED_AT if detector else SIDE
    factor = max(small.size) // side
    return Focus(small.reduce(factor) if factor > 1 else small, detector)


def mask(path: Path, taken: Cut, size: Size) -> Image.Image:
    """A mask's file cut and scaled as its picture was; black where padding is. Raises PictureError."""
    return _mask(masks.read(path), taken, size)


def mask_from_alpha(path: Path, taken: Cut, size: Size) -> Image.Image | None:
    """The same from the picture's own transparency; None where it has none. Raises PictureError."""
    alpha = pictures.transparency(path)
    return None if alpha is None else _mask(alpha, taken, size)


def encoded(image: Image.Image, kind: str, quality: int) -> bytes:
    """The file's bytes. `kind`: jpg, png or webp."""
    options: dict[str, object] = {}
    if kind == "jpg":
        options = {"quality": quality, "subsampling": 0 if quality >= 90 else 2}
    elif kind == "webp":
        options = {"quality": quality, "lossless": quality == 100, "method": 4}
    buffer = io.BytesIO()
    image.save(buffer, KINDS[kind], **options)
    return buffer.getvalue()


def scaled(image: Image.Image, size: Size, taken: Cut, linear: bool = False) -> Image.Image:
    """The part of the picture at its new size. `size`: what the box is counted in; the image may be smaller."""
    x, y = image.width / size[0], image.height / size[1]
    box = (max(0.0, taken.box[0] * x), max(0.0, taken.box[1] * y),
           min(float(image.width), taken.box[2] * x), min(float(image.height), taken.box[3] * y))
    if image.size == size and taken.plain:
        return image.crop(tuple(map(int, taken.box)))
    if linear and image.mode == "RGB":
        return _in_light(image, taken.inner, box)
    return image.resize(taken.inner, Image.Resampling.LANCZOS, box=box, reducing_gap=GAP)


def padded(image: Image.Image, taken: Cut, settings: Settings) -> Image.Image:
    """The picture on a ground of the whole size."""
    if settings.padding == "colour":
        ground = Image.new("RGB", taken.size, settings.colour)
    else:
        ground = _drawn_out(image, taken)
    ground.paste(image, taken.at)
    return ground


def _least(taken: Cut, size: Size, settings: Settings) -> int:
    """Pixels of the longer side that the picture must be decoded to have; 0: all."""
    if settings.linear or taken.scale >= 1:
        return 0
    return math.ceil(max(size) * taken.scale * SPARE)


def _drawn_out(image: Image.Image, taken: Cut) -> Image.Image:
    """The outermost pixels repeated to the edge, blurred ever more with the room there is to fill."""
    (left, top), (width, height) = taken.at, taken.size
    right, bottom = width - left - image.width, height - top - image.height
    ground = Image.fromarray(np.pad(np.asarray(image), ((top, bottom), (left, right), (0, 0)), mode="edge"))
    return ground.filter(ImageFilter.GaussianBlur(max(2, max(left, top, right, bottom) / 8)))


def _mask(image: Image.Image, taken: Cut, size: Size) -> Image.Image:
    whole = scaled(image, size, taken)
    whole.info = {}
    if taken.size == taken.inner:
        return whole
    left, top = taken.at
    right, bottom = taken.size[0] - left - whole.width, taken.size[1] - top - whole.height
    return ImageOps.expand(whole, (left, top, right, bottom), fill=0)


def _in_light(image: Image.Image, size: Size, box: Box) -> Image.Image:
    """Resized as light adds up (IEC 61966-2-1), a channel after the other: floats are four times the memory."""
    return Image.merge("RGB", [_stored(Image.fromarray(LIGHT[np.asarray(band)]).resize(
        size, Image.Resampling.LANCZOS, box=box, reducing_gap=GAP)) for band in image.split()])


def _stored(light: Image.Image) -> Image.Image:
    values = np.clip(np.asarray(light), 0, 1)
    stored = np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1 / 2.4) - 0.055)
    return Image.fromarray(np.rint(stored * 255).astype(np.uint8))


def _light() -> np.ndarray:
    stored = np.arange(256) / 255
    return np.where(stored <= 0.04045, stored / 12.92, ((stored + 0.055) / 1.055) ** 2.4).astype(np.float32)


LIGHT = _light()  # the light of each stored value, 0..1
