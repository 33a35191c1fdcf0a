"""Aspect-ratio buckets: which sizes are trained, what of a picture falls into its size, and those pixels.

A batch needs one size, pictures have many. So each picture is scaled to cover the closest of a list of sizes (its
bucket), every size of about the same area, and what hangs over is cut off evenly on both sides. The sizes and the
choice are those of kohya's sd-scripts, so that the same settings train on the same crops.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from dataset.pictures import PictureError, read
from dataset.settings import DatasetSettings

Size = tuple[int, int]


@dataclass(frozen=True)
class Crop:
    """Scale the picture to `resized`, then cut `bucket` out of it at (`left`, `top`). Sizes are (width, height)."""

    resized: Size
    left: int
    top: int
    bucket: Size

    @property
    def over(self) -> Size:
        """How many pixels hang over, across and down: the window may begin anywhere from 0 to there."""
        return self.resized[0] - self.bucket[0], self.resized[1] - self.bucket[1]

    @property
    def loss(self) -> float:
        """Share of the picture's area that is cut off, 0..1."""
        return 1 - math.prod(self.bucket) / math.prod(self.resized)


@lru_cache(maxsize=64)
def resolutions(resolution: int, minimum: int, maximum: int, step: int) -> tuple[Size, ...]:
    """All bucket sizes, sorted. The square of the largest multiple of `step` within `resolution`; and for each width
    from `minimum` to `maximum` in steps, the largest height that keeps the area within resolution squared and the side
    within `maximum`, unless it falls below `minimum`; each in both orientations. `minimum` is first rounded down to a
    multiple of `step`, `maximum` up."""
    minimum = max(step, minimum - minimum % step)
    maximum = maximum + -maximum % step
    square = resolution // step * step
    found = {(square, square)}
    for width in range(minimum, maximum + 1, step):
        height = min(maximum, resolution * resolution // width // step * step)
        if height >= minimum:
            found |= {(width, height), (height, width)}
    return tuple(sorted(found))


def fits(width: int, height: int, settings: DatasetSettings) -> list[Crop]:
    """Where a picture of this size goes at each of the resolutions, the main one first. What would be trained at one
    size twice, because it is too small for the larger one, is only there once."""
    found: dict[Size, Crop] = {}
    for side in settings.sides:
        crop = fit(width, height, settings, side)
        found.setdefault(crop.bucket, crop)
    return list(found.values())


def fit(width: int, height: int, settings: DatasetSettings, side: int | None = None) -> Crop:
    """Where a picture of this size goes, at the main resolution or another `side`. Three ways:

    - no buckets: the square of `resolution`;
    - upscaling allowed: the bucket of exactly the picture's size if there is one, else the one whose width / height is
      nearest (as a plain difference; the first in sorted order on a tie);
    - never upscaling: a picture of more than resolution squared is scaled down to that area with one side on a multiple
      of `bucket_step` (the side that keeps the ratio better), a smaller one keeps its size; the bucket is the resized
      size with both sides rounded down to the step. `bucket_min` and `bucket_max` have no say. Only a strip that would
      leave less than one step (sd-scripts fails there) is scaled to be one step wide, and cut to the area.
    """
    side = side or settings.resolution
    if not settings.buckets:
        return _cover(width, height, (side, side))
    if settings.upscale:
        sizes = resolutions(side, settings.bucket_min, settings.bucket_max, settings.bucket_step)
        return _cover(width, height, _nearest(width, height, sizes))
    return _shrink(width, height, side**2, settings.bucket_step)


def pixels(path: Path, crop: Crop, flip: bool = False) -> np.ndarray:
    """What the trainer sees: uint8 [height, width, 3] of the bucket's size, mirrored left to right if `flip`.
    Raises PictureError, also when the picture is no longer the one that `crop` was made for."""
    return _turned(np.asarray(_cut(read(path), crop)), flip)


def weights(picture: Path, mask: Image.Image, crop: Crop, flip: bool = False) -> np.ndarray:
    """How much each pixel that the trainer sees counts: uint8 [height, width] of the bucket's size, cut from a mask of
    grey in the same way. Raises PictureError where the mask has another shape than the picture."""
    try:
        return _turned(np.asarray(_cut(mask, crop)), flip)
    except PictureError:
        raise PictureError(f"its mask has another shape ({mask.size[0]}x{mask.size[1]})",
                           f"make a mask of the same shape as {picture.name}") from None


def _turned(array: np.ndarray, flip: bool) -> np.ndarray:
    return np.ascontiguousarray(array[:, ::-1] if flip else array)


def _cut(image: Image.Image, crop: Crop) -> Image.Image:
    width, height = image.size
    (resized_width, resized_height), (bucket_width, bucket_height) = crop.resized, crop.bucket
    if abs(resized_width * height - resized_height * width) > width + height:
        raise PictureError("the picture has changed since the folder was scanned", "scan the folder again")
    x, y = width / resized_width, height / resized_height
    if crop.resized != image.size:
        # Resizing only what is kept is the same as resizing all and cropping, and safe for extreme panoramas.
        box = (crop.left * x, crop.top * y,
               min(width, (crop.left + bucket_width) * x), min(height, (crop.top + bucket_height) * y))
        return image.resize(crop.bucket, _resampling(max(x, y)), box=box)
    return image.crop((crop.left, crop.top, crop.left + bucket_width, crop.top + bucket_height))


def _resampling(shrinks: float) -> Image.Resampling:
    """Lanczos up. Down, whichever of Pillow's filters comes closest to averaging areas (what OpenCV's INTER_AREA does):
    measured on photographs, RMS 0.4-0.8 of 255 levels with the triangle filter for slight and Hamming for stronger
    reductions, against 1.4-3 for BOX, which repeats or skips rows unless the ratio is whole, and 0.9-2.3 for Lanczos.
    A `reducing_gap` saves milliseconds and doubles the difference."""
    if shrinks < 1:
        return Image.Resampling.LANCZOS
    return Image.Resampling.BILINEAR if shrinks < 1.4 else Image.Resampling.HAMMING


def _nearest(width: int, height: int, sizes: tuple[Size, ...]) -> Size:
    if (width, height) in sizes:
        return width, height
    ratio = width / height
    return min(sizes, key=lambda size: abs(size[0] / size[1] - ratio))


def _cover(width: int, height: int, bucket: Size) -> Crop:
    """Scale so that the picture just covers the bucket, centre it."""
    wide = width / height > bucket[0] / bucket[1]
    scale = bucket[1] / height if wide else bucket[0] / width
    return _centred((int(width * scale + 0.5), int(height * scale + 0.5)), bucket)


def _shrink(width: int, height: int, area: int, step: int) -> Crop:
    resized = _within(width / height, area, step) if width * height > area else (width, height)
    if resized is None or min(resized) < step:
        scale = step / min(width, height)
        resized = (max(step, int(width * scale + 0.5)), max(step, int(height * scale + 0.5)))
    longest = area // step // step * step  # the long side of the thinnest bucket; only a strip can exceed it
    bucket = tuple(min(side // step * step, max(step, longest)) for side in resized)
    return _centred(resized, bucket)


def _within(ratio: float, area: int, step: int) -> Size | None:
    """The size of this aspect ratio and about this area with one side on a step; None for a strip thinner than that."""
    def floor(side: float) -> int:
        return int(side + 0.5) // step * step

    full_width = math.sqrt(area * ratio)
    width, height = floor(full_width), floor(area / full_width)
    if not width or not height:
        return None
    height_for_width, width_for_height = floor(width / ratio), floor(height * ratio)
    error_by_width = abs(width / height_for_width - ratio) if height_for_width else math.inf
    error_by_height = abs(width_for_height / height - ratio)
    if error_by_width < error_by_height:
        return width, int(width / ratio + 0.5)
    return int(height * ratio + 0.5), height


def _centred(resized: Size, bucket: Size) -> Crop:
    across, down = Crop(resized, 0, 0, bucket).over
    return Crop(resized, across // 2, down // 2, bucket)
