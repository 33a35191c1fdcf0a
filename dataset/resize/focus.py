"""Puts the window over what matters: the part with most to see, and the largest face where faces are looked for."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from dataset.resize.faces import Detector, Face
from dataset.resize.geometry import Box, Size
from dataset.resize.saliency import best, saliency

ABOVE, AROUND = 0.4, 0.2  # of a face's height above it (hair), and of its sides elsewhere, that should be in too


@dataclass
class Focus:
    """Places windows in one picture; a `geometry.Place`. `found` says by what afterwards."""

    image: Image.Image  # the upright picture, of any size
    detector: Detector | None = None
    found: str = field(default="", init=False)

    def __call__(self, size: Size, region: Box, window: tuple[float, float]) -> tuple[float, float]:
        if window[0] >= region[2] - region[0] and window[1] >= region[3] - region[1]:
            return region[:2]  # all of it is taken
        faces = self.detector.faces(self.image) if self.detector else []
        inside = [box for face in faces if (box := _in_pixels(face, size, region))]
        self.found = "face" if inside else "subject"
        weights = self._weights(size, region)
        rows, columns = weights.shape
        scale = columns / (region[2] - region[0]), rows / (region[3] - region[1])
        small = _whole(window[0] * scale[0], columns), _whole(window[1] * scale[1], rows)
        must = max(inside, key=lambda box: (box[2] - box[0]) * (box[3] - box[1])) if inside else None
        spans = [_span(must, region, window, axis) if must else None for axis in (0, 1)]
        limits = [_cells(span, region[axis], scale[axis], (columns, rows)[axis] - small[axis])
                  for axis, span in enumerate(spans)]
        left, top = best(weights, small, rows=limits[1], columns=limits[0])
        place = region[0] + left / scale[0], region[1] + top / scale[1]
        return tuple(min(max(at, span[0]), span[1]) if span else at for at, span in zip(place, spans))

    def _weights(self, size: Size, region: Box) -> np.ndarray:
        """What is to be seen in the region, which is a person's crop or the whole picture."""
        x, y = self.image.width / size[0], self.image.height / size[1]
        box = (int(region[0] * x), int(region[1] * y), max(int(region[0] * x) + 1, round(region[2] * x)),
               max(int(region[1] * y) + 1, round(region[3] * y)))
        whole = box == (0, 0, *self.image.size)
        return saliency(self.image if whole else self.image.crop(box))


def _in_pixels(face: Face, size: Size, region: Box) -> Box | None:
    """The face with some room around it, cut to the region; None where its middle is outside."""
    width, height = size
    left, top, right, bottom = face.left * width, face.top * height, face.right * width, face.bottom * height
    x, y = (left + right) / 2, (top + bottom) / 2
    if not (region[0] <= x <= region[2] and region[1] <= y <= region[3]):
        return None
    side, above = AROUND * (right - left), ABOVE * (bottom - top)
    return (max(region[0], left - side), max(region[1], top - above), min(region[2], right + side),
            min(region[3], bottom + AROUND * (bottom - top)))


def _span(face: Box, region: Box, window: tuple[float, float], axis: int) -> tuple[float, float]:
    """From where to where the window may begin so that the face is in it; one place, around its middle, if it is larger
    than the window."""
    first, last = region[axis], region[axis + 2] - window[axis]
    least, most = face[axis + 2] - window[axis], face[axis]
    if least > most:
        least = most = (face[axis] + face[axis + 2] - window[axis]) / 2
    return min(max(least, first), last), min(max(most, first), last)


def _cells(span: tuple[float, float] | None, start: float, scale: float, last: int) -> tuple[int, int] | None:
    if span is None:
        return None
    first = min(max(0, int(np.ceil((span[0] - start) * scale - 1e-9))), last)
    return first, min(max(first, int((span[1] - start) * scale + 1e-9)), last)


def _whole(side: float, most: int) -> int:
    return max(1, min(most, round(side)))
