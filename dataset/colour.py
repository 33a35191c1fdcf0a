"""Small changes of a picture's colours, so that a model learns the subject and not the light it was photographed in.

Every change is a matrix on each pixel (hue and saturation turn and stretch the plane of colours, brightness stretches
all) and a stretch of light and dark away from the picture's mean (contrast): nothing depends on where a pixel is.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np

HUE, REST = 0.1, 0.4  # the most that is changed at strength 1: of a turn of the circle of hues; of 1
YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])  # of red, green, blue
RGB = np.linalg.inv(YIQ)


@dataclass(frozen=True)
class Colour:
    """What is changed: hue in turns of the circle, the others as factors."""

    hue: float = 0.0
    saturation: float = 1.0
    brightness: float = 1.0
    contrast: float = 1.0


def drawn(strength: float, chance: random.Random) -> Colour:
    """Evenly from within the bounds for a strength of 0..1."""
    hue, *rest = (strength * chance.uniform(-1, 1) for _ in range(4))
    return Colour(HUE * hue, *(1 + REST * part for part in rest))


def applied(pixels: np.ndarray, colour: Colour) -> np.ndarray:
    """uint8 [h, w, 3] in these colours. Greys stay grey, and hue and saturation keep each pixel's luma, but for what
    leaves the range of 0..255 and is cut there."""
    planes = np.moveaxis(pixels, -1, 0).astype(np.float32)
    # Sum by sum, because a matrix product may round otherwise on another number of threads.
    red, green, blue = ((row[:, None, None] * planes).sum(0) for row in _matrix(colour).astype(np.float32))
    weights = YIQ[0]
    mean = float(weights[0] * red.mean() + weights[1] * green.mean() + weights[2] * blue.mean())
    found = np.stack([red, green, blue], -1)
    found = mean + colour.contrast * (found - mean)
    return np.clip(np.rint(found), 0, 255).astype(np.uint8)


def _matrix(colour: Colour) -> np.ndarray:
    """Hue, saturation and brightness in one, on columns of red, green and blue."""
    turn = 2 * np.pi * colour.hue
    across, up = colour.saturation * np.cos(turn), colour.saturation * np.sin(turn)
    return colour.brightness * RGB @ np.array([[1, 0, 0], [0, across, -up], [0, up, across]]) @ YIQ
