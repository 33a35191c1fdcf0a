"""Looks at a picture of the toy world and says what is on it, with numpy alone and no model.

The ground is the colour of the border, the thing is what differs from it, its colour is the nearest named one, and its
shape is that of the drawn silhouettes it overlaps best. The same measure serves drawn pictures (to validate it) and
pictures that a model made (to judge the model).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image

from toy.draw import CHARACTER_PALETTE, COLOURS, GROUNDS, THINGS, Scene, draw_scene

SIDE = 64  # every picture is measured at this size
_MASK = 24  # side of a normalised silhouette
_VIEWS = 80  # drawn silhouettes of each thing to compare with
_LEAST_PIXELS = 60


@dataclass(frozen=True)
class Seen:
    """What a picture shows; `thing` and `colour` are empty where nothing stands out from the ground."""

    ground: str
    colour: str
    thing: str


def see(image: Image.Image) -> Seen:
    """Ground, colour and thing of one picture of any size."""
    pixels = _pixels(image)
    border = np.concatenate([pixels[:2].reshape(-1, 3), pixels[-2:].reshape(-1, 3), pixels[:, :2].reshape(-1, 3),
                             pixels[:, -2:].reshape(-1, 3)])
    ground = nearest_colour(np.median(border, axis=0), GROUNDS)
    mask = silhouette(pixels)
    if mask.sum() < _LEAST_PIXELS:
        return Seen(ground, "", "")
    return Seen(ground, _main_colour(pixels[_core(mask)], ground), _nearest_thing(_normalised(mask)))


def nearest_colour(rgb: np.ndarray, names: Sequence[str] = tuple(COLOURS)) -> str:
    """The named colour nearest to an RGB triple (0..255)."""
    return names[int(_distances(rgb[None], names).argmin())]


def _distances(pixels: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """[n, names] distance of RGB pixels [n, 3] to named colours, brightness counting half as much as hue."""
    wanted = np.array([COLOURS[name] for name in names], dtype=float)
    difference = pixels[:, None] - wanted[None]
    grey = difference.mean(2, keepdims=True)
    return np.sqrt(((difference - grey) ** 2).sum(2) + 1.5 * grey[:, :, 0] ** 2)


def _pixels(image: Image.Image) -> np.ndarray:
    small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(small, dtype=float)


def silhouette(pixels: np.ndarray) -> np.ndarray:
    """True where a picture [64, 64, 3] differs from its ground, a plane fitted to the border's colours."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / (SIDE - 1) - 0.5
    plane = np.stack([np.ones_like(x), x, y], axis=2)
    edge = np.zeros((SIDE, SIDE), dtype=bool)
    edge[:3] = edge[-3:] = edge[:, :3] = edge[:, -3:] = True
    # A thing may touch the border: leave out what lies far from its median.
    near = edge & (np.abs(pixels - np.median(pixels[edge], axis=0)).max(2) < 40)
    weights, *_ = np.linalg.lstsq(plane[near], pixels[near], rcond=None)
    return np.abs(pixels - plane @ weights).max(2) > 26


def _filled(mask: np.ndarray) -> np.ndarray:
    """Everything that has mask on its left and right, above and below."""
    within = [
        np.logical_or.accumulate(mask, axis) & np.flip(np.logical_or.accumulate(np.flip(mask, axis), axis), axis)
        for axis in (0, 1)
    ]
    return within[0] & within[1]


def _core(mask: np.ndarray) -> np.ndarray:
    """The mask without its edge pixels, whose colours are mixtures; the mask itself where it is all edge."""
    inner = mask.copy()
    inner[1:-1, 1:-1] &= mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
    inner[[0, -1]] = inner[:, [0, -1]] = False
    return inner if inner.sum() > 20 else mask


def _main_colour(pixels: np.ndarray, ground: str) -> str:
    """The name that most of a thing's pixels are nearest to."""
    names = [name for name in COLOURS if name != ground]
    votes = np.bincount(_distances(pixels, names).argmin(1), minlength=len(names))
    return names[int(votes.argmax())]


def _normalised(mask: np.ndarray) -> np.ndarray:
    """The mask's surroundings cut out and scaled to a square, aspect kept, as a unit vector with its mean taken out."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    cut = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    side = max(cut.shape)
    square = np.zeros((side, side), dtype=np.uint8)
    top, left = (side - cut.shape[0]) // 2, (side - cut.shape[1]) // 2
    square[top : top + cut.shape[0], left : left + cut.shape[1]] = cut * 255
    scaled = Image.fromarray(square).resize((_MASK, _MASK), Image.Resampling.BILINEAR)
    vector = np.asarray(scaled, dtype=float).ravel()
    vector -= vector.mean()
    return vector / (np.linalg.norm(vector) + 1e-9)


@cache
def _views() -> np.ndarray:
    """[things, views, pixels]: normalised silhouettes of every thing, drawn from a seed that no training uses."""
    rng = np.random.default_rng(987_654_321)
    scenes = [[Scene(thing, "red", "white")] * _VIEWS for thing in THINGS]
    return np.array([[_normalised(silhouette(_pixels(draw_scene(s, rng)))) for s in views] for views in scenes])


def _nearest_thing(vector: np.ndarray) -> str:
    """The thing with the best mean overlap among its three most alike views."""
    likeness = np.sort(_views() @ vector, axis=1)[:, -3:].mean(1)
    return list(THINGS)[int(likeness.argmax())]


def character_score(images: Sequence[Image.Image]) -> float:
    """How much the pictures show the demo character, 0..1, averaged over them.

    A picture scores the share of the turquoise body that is there, times the mean of three signs in their right places
    relative to that body: pink ears about its top, yellow in its lower middle, white-and-black eyes in its upper middle.
    Drawn characters score about 1; the base's ordinary things, which have at most two colours and no eyes, about 0.
    """
    return float(np.mean([_character(_pixels(image)) for image in images])) if len(images) else 0.0


def _character(pixels: np.ndarray) -> float:
    names = list(CHARACTER_PALETTE)
    palette = np.array([CHARACTER_PALETTE[name] for name in names], dtype=float)
    distance = np.sqrt(((pixels[:, :, None] - palette) ** 2).sum(3))
    nearest = np.where(distance.min(2) < 75, distance.argmin(2), -1)
    # The ground is no part of the character, whatever its colour; what the thing surrounds is (white eyes on white).
    inside = _filled(silhouette(pixels))
    maps = {name: (nearest == number) & inside for number, name in enumerate(names)}
    body = maps["body"]
    if body.sum() < _LEAST_PIXELS or body.mean() > 0.5:
        return 0.0
    # Weighted quantiles rather than extremes: a few stray pixels must not move the frame.
    rows, columns = np.nonzero(body)
    top, bottom = np.quantile(rows, [0.02, 0.98])
    left, right = np.quantile(columns, [0.02, 0.98])
    height, width = bottom - top + 1, right - left + 1
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    down, across = (y - top) / height, (x - left) / width
    middle = (across > 0.12) & (across < 0.88)
    area = body.sum()

    def share(name: str, zone: np.ndarray, expected: float) -> float:
        return float(min(1.0, (maps[name] & zone).sum() / (expected * area)))

    ears = share("ears", (down < 0.3) & (down > -0.6) & (across > -0.3) & (across < 1.3), 0.10)
    belly = share("belly", (down > 0.4) & (down < 1.1) & middle, 0.12)
    upper = (down > -0.1) & (down < 0.65) & middle
    eyes = min(share("eye", upper, 0.09), share("pupil", upper, 0.05))
    return min(1.0, area / (0.06 * SIDE * SIDE)) * (ears + belly + eyes) / 3
