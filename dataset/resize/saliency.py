"""Where in a picture there is most to see, and the window that holds most of it, found exactly.

What stands out is what differs in colour from the picture as a whole (as in Achanta et al., Frequency-tuned salient
region detection, 2009; here with opponent colours, which cost less than Lab), and detail. The window is the best of all
positions: an integral image makes the sum of any of them four look-ups.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

SIDE = 256  # pixels of the longer side that are looked at
DETAIL = 1.0  # how much detail counts beside colour
CENTRE = 0.5  # and how much the middle: chosen by eye, over photographs cut to squares


def saliency(image: Image.Image) -> np.ndarray:
    """float64 [h, w], each share of the whole's sum 0..1, of an RGB picture; the longer side at most SIDE."""
    scale = SIDE / max(image.size)
    size = tuple(max(1, round(side * scale)) for side in image.size)
    small = image.resize(size, Image.Resampling.BOX) if scale < 1 else image
    red, green, blue = np.moveaxis(np.asarray(small.filter(ImageFilter.GaussianBlur(1)), dtype=np.float32), -1, 0)
    grey = (red + green + blue) / 3
    opposed = (grey, red - green, blue - (red + green) / 2)  # as the eye has it: bright, red or green, blue or yellow
    colour = np.sqrt(sum((plane - plane.mean()) ** 2 for plane in opposed))
    down, across = (np.gradient(grey, axis=axis) if grey.shape[axis] > 1 else np.zeros_like(grey) for axis in (0, 1))
    found = _share(colour) + DETAIL * _share(np.sqrt(down**2 + across**2))
    return _share(found + CENTRE * _share(_middle(found.shape)))


def best(weights: np.ndarray, size: tuple[int, int], rows: tuple[int, int] | None = None,
         columns: tuple[int, int] | None = None) -> tuple[int, int]:
    """(left, top) of the window of `size` (width, height) with the largest sum. `rows`, `columns`: the first and the
    last place that its top and its left may have. Of equal ones the one nearest to the middle."""
    height, width = weights.shape
    last = height - size[1], width - size[0]
    sums = window_sums(weights, size)
    top, bottom = rows or (0, last[0])
    left, right = columns or (0, last[1])
    sums = sums[top : bottom + 1, left : right + 1]
    good = np.argwhere(sums >= sums.max() - 1e-12)
    middle = np.abs(good + (top, left) - np.array(last) / 2).sum(1)
    row, column = good[middle.argmin()]
    return left + int(column), top + int(row)


def window_sums(weights: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The sum of every window of `size` (width, height), by its top and left."""
    width, height = size
    sums = np.pad(weights.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    return sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]


def _middle(shape: tuple[int, int]) -> np.ndarray:
    y, x = (np.clip(1 - np.abs(np.arange(side) - (side - 1) / 2) / max(1, side / 2), 0, 1) for side in shape)
    return y[:, None] * x[None]


def _share(values: np.ndarray) -> np.ndarray:
    total = values.sum(dtype=np.float64)
    return values.astype(np.float64) / total if total > 0 else np.full(values.shape, 1 / values.size)
