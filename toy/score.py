"""How much a picture shows the demo character: the demo's figure before and after training, with numpy alone.

A picture scores how much of a solid turquoise body is there, times the mean of three signs in their right places
relative to that body: pink ears about its top, a yellow belly in its lower middle, white-and-black eyes in its upper
middle. Each sign counts up to the size that it has on a drawn character, and less where more than a fifth of its colour
lies elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from toy.draw import CHARACTER_PALETTE
from toy.measure import LEAST_PIXELS, SIDE, filled, pixels_of, silhouette


def character_score(images: Sequence[Image.Image]) -> float:
    """How much the pictures show the demo character, 0..1, averaged over them.

    Drawn characters score about 1; the base's ordinary things, which have at most two colours and no eyes, about 0.
    """
    return float(np.mean([_character(pixels_of(image)) for image in images])) if len(images) else 0.0


def _character(pixels: np.ndarray) -> float:
    names = list(CHARACTER_PALETTE)
    palette = np.array([CHARACTER_PALETTE[name] for name in names], dtype=float)
    distance = np.sqrt(((pixels[:, :, None] - palette) ** 2).sum(3))
    nearest = np.where(distance.min(2) < 75, distance.argmin(2), -1)
    # The ground is no part of the character, whatever its colour; what the thing surrounds is (white eyes on white).
    inside = filled(silhouette(pixels))
    maps = {name: (nearest == number) & inside for number, name in enumerate(names)}
    body = maps["body"]
    if body.sum() < LEAST_PIXELS or body.mean() > 0.5:
        return 0.0
    # Quantiles rather than extremes: a few stray pixels must not move the frame.
    rows, columns = np.nonzero(body)
    top, bottom = np.quantile(rows, [0.02, 0.98])
    left, right = np.quantile(columns, [0.02, 0.98])
    height, width = bottom - top + 1, right - left + 1
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    down, across = (y - top) / height, (x - left) / width
    middle = (across > 0.12) & (across < 0.88)
    area = body.sum()

    def sign(name: str, zone: np.ndarray, expected: float, elsewhere: np.ndarray | bool = True) -> float:
        found = (maps[name] & zone).sum()
        pure = found / max(1, (maps[name] & (zone | elsewhere)).sum())
        return float(min(1.0, found / (expected * area)) * min(1.0, 1.25 * pure))

    above_feet = down < 0.8
    ears = sign("ears", (down < 0.3) & (down > -0.6) & (across > -0.3) & (across < 1.3), 0.10, above_feet)
    belly = sign("belly", (down > 0.4) & (down < 1.1) & middle, 0.12)
    upper = (down > -0.1) & (down < 0.65) & middle
    eyes = min(sign("eye", upper, 0.09), sign("pupil", upper, 0.05))
    there = min(1.0, area / (0.06 * SIDE * SIDE)) * min(1.0, area / (0.3 * height * width)) ** 2
    return there * (ears + belly + eyes) / 3
