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

from toy.draw import COLOURS, GROUNDS, THINGS, Scene, draw_scene

SIDE = 64  # every picture is measured at this size
_MASK = 24  # side of a normalised silhouette
_VIEWS = 80  # drawn silhouettes of each thing to compare with
LEAST_PIXELS = 60


@dataclass(frozen=True)
class Seen:
    """What a picture shows; `thing` and `colour` are empty where nothing stands out from the ground."""

    ground: str
    colour: str
    thing: str


def see(image: Image.Image) -> Seen:
    """Ground, colour and thing of one picture of any size."""
    pixels = pixels_of(image)
    border = np.concatenate([pixels[:2].reshape(-1, 3), pixels[-2:].reshape(-1, 3), pixels[:, :2].reshape(-1, 3),
                             pixels[:, -2:].reshape(-1, 3)])
    ground = nearest_colour(np.median(border, axis=0), GROUNDS)
    mask = silhouette(pixels)
    if mask.sum() < LEAST_PIXELS:
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


def pixels_of(image: Image.Image) -> np.ndarray:
    """[64, 64, 3] RGB as floats 0..255, whatever the picture's size."""
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


def filled(mask: np.ndarray) -> np.ndarray:
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
    return np.array([[_normalised(silhouette(pixels_of(draw_scene(s, rng)))) for s in views] for views in scenes])


def _nearest_thing(vector: np.ndarray) -> str:
    """The thing with the best mean overlap among its three most alike views."""
    likeness = np.sort(_views() @ vector, axis=1)[:, -3:].mean(1)
    return list(THINGS)[int(likeness.argmax())]
