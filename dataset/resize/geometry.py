"""Which part of a picture is taken, and how large it becomes. Numbers only, so that everything can be promised.

The part taken has the very shape of what becomes of it wherever something is cut off, so nothing is ever stretched;
where nothing is cut off, a side is off by at most the one pixel that rounding needs. Sizes are (width, height); boxes
are (left, top, right, bottom), in pixels of the upright picture unless they are called shares.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from dataset import buckets
from dataset.resize.settings import Settings

Size = tuple[int, int]
Box = tuple[float, float, float, float]
Place = Callable[[Size, Box, tuple[float, float]], tuple[float, float]]
"""(size of the picture, region, size of the window in it) -> left and top of the window."""

WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
ANCHORS = {"centre": (0.5, 0.5), "top": (0.5, 0.0), "bottom": (0.5, 1.0), "left": (0.0, 0.5), "right": (1.0, 0.5),
           "top left": (0.0, 0.0), "top right": (1.0, 0.0), "bottom left": (0.0, 1.0), "bottom right": (1.0, 1.0)}


@dataclass(frozen=True)
class Cut:
    """Take `box`, scale it to `inner`, lay it at `at` on a ground of `size` (the same as `inner` without padding)."""

    box: Box
    inner: Size
    size: Size
    at: tuple[int, int] = (0, 0)

    @property
    def scale(self) -> float:
        return self.inner[0] / (self.box[2] - self.box[0])

    @property
    def plain(self) -> bool:
        """Whether pixels are only taken, never mixed."""
        left, top, right, bottom = self.box
        return (right - left, bottom - top) == self.inner and left == int(left) and top == int(top)

    def lost(self, size: Size) -> float:
        """Share of the picture's area that is cut off, 0..1."""
        left, top, right, bottom = self.box
        return max(0.0, 1 - (right - left) * (bottom - top) / math.prod(size))


def cut(size: Size, settings: Settings, crop: Box = WHOLE, place: Place | None = None) -> Cut:
    """What becomes of a picture. `crop`: the shares of it that a person has chosen. `place` puts the window where
    something is cut off; else the settings' anchor does."""
    region = pixels_of(crop, size)
    place = place or anchored(settings.keep)
    match settings.mode:
        case "cover":
            return _cover(size, region, settings, place)
        case "contain":
            return _contain(region, settings)
        case "bucket":
            return _bucket(size, region, settings, place)
    return _whole(region, settings)


def aspect_of(size: Size, settings: Settings) -> float | None:
    """Width / height that a crop by hand should have so that nothing more is cut off; None: any will do."""
    width, height = settings.size
    if settings.mode == "cover":
        return width / height
    if settings.mode == "bucket":
        bucket = buckets.fit(*size, settings.buckets).bucket
        return bucket[0] / bucket[1]
    return None


def anchored(name: str) -> Place:
    """The window at a side, a corner or the centre of its region."""
    x, y = ANCHORS.get(name, ANCHORS["centre"])

    def place(_: Size, region: Box, window: tuple[float, float]) -> tuple[float, float]:
        left, top, right, bottom = region
        return left + x * (right - left - window[0]), top + y * (bottom - top - window[1])

    return place


def pixels_of(crop: Box, size: Size) -> Box:
    """Shares as pixels, at least one by one, inside the picture. Whole pixels: a person means no less."""
    width, height = size
    left, top = (max(0, min(round(share * side), side - 1)) for share, side in zip(crop[:2], size))
    right = min(width, max(left + 1, round(crop[2] * width)))
    bottom = min(height, max(top + 1, round(crop[3] * height)))
    return left, top, right, bottom


def _cover(size: Size, region: Box, settings: Settings, place: Place) -> Cut:
    target = settings.size
    if not settings.upscale and not _holds(region, target):
        target = _within(region, target)
    return _window(size, region, target, place)


def _bucket(size: Size, region: Box, settings: Settings, place: Place) -> Cut:
    """As the trainer scales and cuts it, but for where it is cut."""
    width, height = _sides(region)
    crop = buckets.fit(round(width), round(height), settings.buckets)
    # as scaled for training, rounding of the sides included
    window = tuple(min(side, own * side / resized) for side, own, resized in
                   zip((width, height), crop.bucket, crop.resized))
    box = _placed(size, region, window, place, whole=crop.resized == (width, height))
    return Cut(box, crop.bucket, crop.bucket)


def _window(size: Size, region: Box, target: Size, place: Place) -> Cut:
    """The largest window of the target's shape in the region, or the target itself where it has its very size."""
    width, height = _sides(region)
    scale = max(target[0] / width, target[1] / height)
    window = (min(width, target[0] / scale), min(height, target[1] / scale))
    exact = math.isclose(scale, 1.0, abs_tol=1e-9)
    if exact:
        window = (float(target[0]), float(target[1]))
    return Cut(_placed(size, region, window, place, whole=exact), target, target)


def _placed(size: Size, region: Box, window: tuple[float, float], place: Place, whole: bool) -> Box:
    left, top = place(size, region, window)
    left, top = max(left, region[0]), max(top, region[1])
    left, top = min(left, region[2] - window[0]), min(top, region[3] - window[1])
    if whole:
        left, top = float(math.floor(left + 0.5)), float(math.floor(top + 0.5))
    return left, top, left + window[0], top + window[1]


def _contain(region: Box, settings: Settings) -> Cut:
    width, height = _sides(region)
    target = settings.size
    scale = min(target[0] / width, target[1] / height)
    if not settings.upscale:
        scale = min(1.0, scale)
    inner = (min(target[0], _rounded(width * scale)), min(target[1], _rounded(height * scale)))
    x, y = ANCHORS.get(settings.keep, ANCHORS["centre"])
    return Cut(region, inner, target, (round(x * (target[0] - inner[0])), round(y * (target[1] - inner[1]))))


def _whole(region: Box, settings: Settings) -> Cut:
    width, height = _sides(region)
    side, area = settings.width, math.prod(settings.size)
    scale = {"longest": side / max(width, height), "shortest": side / min(width, height),
             "pixels": math.sqrt(area / (width * height))}[settings.mode]
    if not settings.upscale:
        scale = min(1.0, scale)
    inner = (_rounded(width * scale), _rounded(height * scale))
    if settings.mode == "pixels" and math.prod(inner) > area:
        inner = _at_most(width / height, inner, area)
    return Cut(region, inner, inner)


def _at_most(ratio: float, inner: Size, area: int) -> Size:
    """Rounding has made it too large by some pixels: a strip is shortened, else both sides are rounded down."""
    if min(inner) == 1:
        return (min(inner[0], area), 1) if ratio > 1 else (1, min(inner[1], area))
    width = math.floor(math.sqrt(area * ratio))
    return width, max(1, min(_rounded(width / ratio), area // width))


def _within(region: Box, target: Size) -> Size:
    """The largest size of about the target's shape that the region has the pixels for."""
    width, height = _sides(region)
    scale = min(width / target[0], height / target[1])
    return max(1, min(int(width), _rounded(target[0] * scale))), max(1, min(int(height), _rounded(target[1] * scale)))


def _holds(region: Box, target: Size) -> bool:
    width, height = _sides(region)
    return width >= target[0] and height >= target[1]


def _sides(box: Box) -> tuple[float, float]:
    return box[2] - box[0], box[3] - box[1]


def _rounded(side: float) -> int:
    return max(1, math.floor(side + 0.5))
