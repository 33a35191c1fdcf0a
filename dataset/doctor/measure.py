"""Sharpness, darkness, brightness, information and bars of one picture, as numbers that its set can be ranked by.

Darkness, brightness and information are measured as in cleanvision's checks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

SIDE = 380  # pixels of the longer side for which sharpness is told, so that sizes can be compared
EVERY = 2  # rows of which one is looked at for sharpness: the others say the same
BAR = 0.03  # share of the side that a bar has at least, on both sides
EVEN = 12  # levels of 255 that a bar's pixels stay within
LITTLE, MOST = 0.02, 0.7  # shares of a row that differ from the bar: still bar, and already picture
CLIPPED = (-128, 127)  # values of the Laplacian, as in 8 bits, so that a few hard edges don't outweigh all else


@dataclass(frozen=True)
class Quality:
    sharpness: float  # variance of the Laplacian of the grey picture, as it is at SIDE or less
    darkness: float  # brightness 0..1 that 99 % of the pixels stay below
    brightness: float  # and that 95 % are above
    entropy: float  # bits, of the histogram of all three colours
    bars: str  # "top and bottom", "left and right", "all sides" or ""


def reduced(image: Image.Image, side: int) -> Image.Image:
    """The picture made smaller by a whole factor, its longer side between `side` and twice that; or as it is, if that
    is smaller."""
    factor = max(1, max(image.size) // side)
    return image.reduce((min(factor, image.width), min(factor, image.height))) if factor > 1 else image


def measure(fine: Image.Image, coarse: Image.Image) -> Quality:
    """The figures of an RGB picture that is reduced, to SIDE and to much less; the first shows detail."""
    pixels = np.asarray(coarse)
    some = pixels[::2, ::2].astype(np.float32)  # enough of them to tell one in a hundred
    bright = np.sort(some**2 @ np.array([0.241, 0.691, 0.068], dtype=np.float32), axis=None)
    low, high = (math.sqrt(_percentile(bright, share)) / 255 for share in (0.05, 0.99))
    return Quality(_sharpness(fine.convert("L")), high, low, coarse.entropy(), bars(pixels.astype(np.int16)))


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
    colour = np.sort(rows[0], axis=0)[len(rows[0]) // 2]
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
    return (np.abs(rows - colour) > EVEN).any(axis=2).mean(axis=1)


def _sharpness(grey: Image.Image) -> float:
    """Between SIDE and twice that it lies between those of the picture and of its half, on logarithmic scales: that
    spares resizing it, which costs several times as much as measuring."""
    share = min(1.0, math.log2(max(grey.size) / SIDE))  # more only where a picture is a line
    if share <= 0:
        return _edges(grey, EVERY)
    own = _edges(grey, 4 * EVERY)
    half = _edges(grey.reduce((min(2, grey.width), min(2, grey.height))), 2 * EVERY)
    return own ** (1 - share) * half**share


def _edges(grey: Image.Image, every: int) -> float:
    """The variance of the Laplacian."""
    if min(grey.size) < 3:
        return 0.0
    pixels = np.asarray(grey)
    above, rows, below = (pixels[first : grey.height - 2 + first : every].astype(np.int16) for first in range(3))
    edges = rows[:, :-2] + rows[:, 2:]
    edges += above[:, 1:-1]
    edges += below[:, 1:-1]
    edges -= rows[:, 1:-1] << 2
    np.clip(edges, *CLIPPED, out=edges)
    flat = edges.astype(np.float32).ravel()
    return max(0.0, float(flat @ flat / flat.size - flat.mean() ** 2))
