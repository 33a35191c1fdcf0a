"""A picture as a tagger was trained to see it; one level of difference moves tags that are near a threshold.

The steps are those of the models' own demonstration program (SmilingWolf's wd-tagger space), in its order: the picture
in the middle of a white square, then bicubic to the model's size, blue before red.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from PIL import Image

VERSION = 1  # part of the key of kept probabilities: to be raised when the same picture gives other pixels
Layout = Literal["NHWC", "NCHW"]


def square(image: Image.Image, size: int) -> np.ndarray:
    """RGB image -> uint8 [size, size, 3], BGR. Whole numbers are all there is until a batch is made of them."""
    side = max(image.size)
    if image.size != (side, side):
        whole = Image.new("RGB", (side, side), (255, 255, 255))
        whole.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
        image = whole
    if side != size:
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    red, green, blue = image.split()  # many times quicker than turning the array round
    return np.asarray(Image.merge("RGB", (blue, green, red)))


def batch(squares: Sequence[np.ndarray], layout: Layout, element: type[np.generic], length: int = 0) -> np.ndarray:
    """Squares as a model wants them: NHWC as WD taggers, 0..255; NCHW as cl_tagger, -1..1. Filled up to `length` with
    nothing, for exports that take a fixed number."""
    size = squares[0].shape[0]
    shape = (size, size, 3) if layout == "NHWC" else (3, size, size)
    values = np.empty((max(length, len(squares)), *shape), element)
    values[len(squares) :] = 0
    for place, pixels in enumerate(squares):
        values[place] = pixels if layout == "NHWC" else pixels.transpose(2, 0, 1) / np.float32(127.5) - np.float32(1)
    return values
