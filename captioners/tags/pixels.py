"""A picture as a tagger was trained to see it; one level of difference moves tags that are near a threshold.

The steps are those of the models' own demonstration program (SmilingWolf's wd-tagger space), in its order: the picture
in the middle of a white square, then bicubic to the model's size, blue before red.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from PIL import Image

VERSION = 1  # part of the key of kept probabilities: to be raised when the same picture gives other pixels
Layout = Literal["NHWC", "NCHW"]


def square(image: Image.Image, size: int) -> np.ndarray:
    """RGB image -> float32 [size, size, 3], BGR, 0..255."""
    side = max(image.size)
    if image.size != (side, side):
        whole = Image.new("RGB", (side, side), (255, 255, 255))
        whole.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
        image = whole
    if side != size:
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    return np.ascontiguousarray(np.asarray(image, np.float32)[:, :, ::-1])


def prepared(image: Image.Image, size: int, layout: Layout) -> np.ndarray:
    """As a model wants it, without the batch axis: NHWC as in WD taggers, 0..255; NCHW as in cl_tagger, -1..1."""
    pixels = square(image, size)
    if layout == "NHWC":
        return pixels
    return np.ascontiguousarray(pixels.transpose(2, 0, 1) / np.float32(127.5) - np.float32(1))
