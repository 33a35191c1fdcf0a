"""Sharpness, darkness, brightness, information and bars of one picture, as numbers that its set can be ranked by.

Darkness, brightness and information are measured as in cleanvision's checks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

SIDE = 512  # pixels of the longer side at which sharpness is measured, so that sizes can be compared
COARSE = 128  # pixels of the longer side, at least, for what needs no detail
BAR = 0.03  # share of the side that a bar has at least, on both sides
EVEN = 12  # levels of 255 that a bar's pixels stay within
LITTLE, MOST = 0.02, 0.7  # shares of a row that differ from the bar: still bar, and already picture
CLIPPED = (-128, 127)  # values of the Laplacian, as in 8 bits, so that a few hard edges don't outweigh all else


@dataclass(frozen=True)
class Quality:
    sharpness: float  # variance of the Laplacian of the grey picture, at SIDE or less
    darkness: float  # brightness 0..1 that 99 % of the pixels stay below
    brightness: float  # and that 95 % are above
    entropy: float  # bits, of the histogram of all three colours
    bars: str  # "top and bottom", "left and right", "all sides" or ""


def reduced(image: Image.Image, side: int) -> Image.Image:
    """The picture made smaller by a whole factor, its longer side between `side` and twice that; or as it is, if that
    is smaller."""
    factor = max(1, max(image.size) // side)
    return image.reduce((min(factor, image.width), min(factor, image.height))) if factor > 1 else image


def measure(fine: Image.Image, medium: Image.Image) -> Quality:
    """The figures of an RGB picture that is reduced, less and more; what is asked of the one needs detail."""
    coarse = np.asarray(reduced(medium, COARSE), dtype=np.float32)
    bright = np.sort(coarse**2 @ np.array([0.241, 0.691, 0.068], dtype=np.float32), axis=None)
    low, high = (math.sqrt(_percentile(bright, share)) / 255 for share in (0.05, 0.99))
    return Quality(_sharpness(fine.convert("L")), high, low, medium.entropy(), bars(coarse))


def _percentile(ordered: np.ndarray, share: float) -> float:
    """As numpy's, of what is in order already: its own looks for each value anew."""
    place, rest = divmod(share * (len(ordered) - 1), 1)
    first, second = ordered[int(place)], ordered[min(int(place) + 1, len(ordered) - 1)]
    return float(first + rest * (second - first))


def bars(pixels: np.ndarray) -> str:
    """Where a picture [h, w, 3] has bars: even strips on two opposite sides, behind which most of the picture begins
    at once. A figure on an even ground has none, because it begins here and there."""
    upright = _has_bars(pixels)
    sideways = _has_bars(pixels.transpose(1, 0, 2))
    if upright and sideways:
        return "all sides"
    return "top and bottom" if upright else "left and right" if sideways else ""


def _has_bars(pixels: np.ndarray) -> bool:
    # bars on all sides: the middle half of a row tells where the upper bar ends, its corners are bar anyway
    quarter = pixels.shape[1] // 4
    middle = pixels[:, quarter : pixels.shape[1] - quarter]
    return middle.size > 0 and _bar(middle) and _bar(middle[::-1])


def _bar(rows: np.ndarray) -> bool:
    colour = np.median(rows[0], axis=0)
    if _differ(rows[:2], colour).max() > LITTLE:  # nearly always: spared the rest
        return False
    differ = _differ(rows[: len(rows) // 2 + 3], colour)
    begins = np.flatnonzero(differ > LITTLE)
    if not begins.size or not max(2, BAR * len(rows)) <= begins[0] < len(rows) / 2:
        return False
    behind = differ[begins[0] : begins[0] + 3]  # the first of these may be a blend of bar and picture
    return float(behind.max()) > MOST


def _differ(rows: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """The share of each row that hasn't this colour."""
    red, green, blue = np.moveaxis(np.abs(rows - colour) > EVEN, 2, 0)
    return (red | green | blue).mean(axis=1)


def _sharpness(grey: Image.Image) -> float:
    scale = min(1.0, SIDE / max(grey.size))
    width, height = round(grey.width * scale), round(grey.height * scale)
    if min(width, height) < 3:
        return 0.0
    if scale < 1:
        grey = grey.resize((width, height), Image.Resampling.HAMMING)
    pixels = np.asarray(grey).astype(np.int16)
    above, rows, below = (pixels[first : height - 2 + first : 2] for first in range(3))  # every other row says as much
    edges = rows[:, :-2] + rows[:, 2:]
    edges += above[:, 1:-1]
    edges += below[:, 1:-1]
    edges -= rows[:, 1:-1] << 2
    np.clip(edges, *CLIPPED, out=edges)
    return float(edges.var(dtype=np.float32))
