"""Perceptual hashes: short numbers that stay nearly the same when a picture is resized, recompressed or touched up.

Two of them, because each has its own blind spots: pHash sees the coarse pattern (the lowest frequencies), dHash where
it gets brighter from left to right. Both see grey only, so a few mean colours go with them: a red ball and a blue one
are two pictures to train on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

# Bits of both hashes that may differ together. Measured on photographs: 3 % of width and height cropped off, up to 14;
# resized or saved at quality 30, up to 5. The closest of 17 photographs of three subjects: 38, of 300 drawn ones: 31.
BITS = 16
ASPECT = 0.05  # share by which width / height may differ
COLOUR = 20  # levels of 255 by which the mean colours may differ, on average
GRID = 4  # mean colours a side
BLOCK = 64  # rows of the table of all pairs that are in memory at a time

_STEPS = np.arange(32)
_COSINES = 2 * np.cos(np.pi * _STEPS[:8, None] * (2 * _STEPS[None] + 1) / 64)  # DCT-II, its 8 lowest frequencies
_MIRROR = np.where(np.arange(8) % 2, -1, 1)  # what mirroring makes of the frequencies from left to right


@dataclass(frozen=True)
class Print:
    """The fingerprints of one picture. The first pixel's bit is the highest."""

    phash: int
    dhash: int
    colours: bytes  # GRID x GRID x RGB
    aspect: float  # width / height


def of(image: Image.Image) -> tuple[Print, Print]:
    """The fingerprints of an RGB picture, and those that it would have mirrored left to right."""
    grey = image.convert("L")
    waves = np.asarray(grey.resize((32, 32), Image.Resampling.LANCZOS), dtype=np.float64)
    steps = np.asarray(grey.resize((9, 8), Image.Resampling.LANCZOS))
    colours = np.asarray(image.resize((GRID, GRID), Image.Resampling.BOX))
    low, aspect = _COSINES @ waves @ _COSINES.T, image.width / image.height
    return (_print(low, steps, colours, aspect), _print(low * _MIRROR, steps[:, ::-1], colours[:, ::-1], aspect))


def _print(low: np.ndarray, steps: np.ndarray, colours: np.ndarray, aspect: float) -> Print:
    """`low`: the 8 x 8 lowest waves of 32 x 32, each above their median or not, as the imagehash package has it."""
    middle = np.sort(low, axis=None)[31:33].mean()
    return Print(_number(low > middle), _number(steps[:, 1:] > steps[:, :-1]), colours.tobytes(), aspect)


def _number(bits: np.ndarray) -> int:
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


@dataclass(frozen=True)
class Prints:
    """The fingerprints of many pictures, as arrays."""

    phash: np.ndarray  # uint64 [n]
    dhash: np.ndarray  # uint64 [n]
    colours: np.ndarray  # uint8 [n, GRID * GRID * 3]
    aspect: np.ndarray  # float [n]

    @classmethod
    def of(cls, prints: list[Print]) -> Prints:
        return cls(
            np.array([one.phash for one in prints], dtype=np.uint64),
            np.array([one.dhash for one in prints], dtype=np.uint64),
            np.frombuffer(b"".join(one.colours for one in prints), np.uint8).reshape(len(prints), -1 if prints else 0),
            np.array([one.aspect for one in prints], dtype=np.float64),
        )


def groups(prints: Prints, others: Prints | None = None) -> list[list[int]]:
    """Which pictures look alike, directly or over others between them; two or more a group, in order. With `others`
    those count where one picture's prints are like the other's there (its mirrored ones)."""
    others = others or prints
    number = len(prints.phash)
    union = _Union(number)
    for start in range(0, number, BLOCK):
        rows = prints.phash[start : start + BLOCK, None]
        close = np.bitwise_count(rows ^ others.phash[None, start:]) <= BITS
        first, second = np.divmod(np.flatnonzero(close), close.shape[1])  # several times as fast as nonzero
        alike = second > first  # each pair once, and none with itself
        first, second = first[alike] + start, second[alike] + start
        alike = union.labels[first] != union.labels[second]
        first, second = first[alike], second[alike]
        for same in (_same_bits, _same_shape, _same_colours):
            alike = same(prints, others, first, second)
            first, second = first[alike], second[alike]
        rows, begins = np.unique(first, return_index=True)
        for row, its in zip(rows.tolist(), np.split(second, begins[1:])):
            union.join(row, its)
    return union.groups()


def _same_bits(prints: Prints, others: Prints, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    differ = np.bitwise_count(prints.phash[first] ^ others.phash[second])
    return differ + np.bitwise_count(prints.dhash[first] ^ others.dhash[second]) <= BITS


def _same_shape(prints: Prints, others: Prints, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.abs(prints.aspect[first] / others.aspect[second] - 1) <= ASPECT


def _same_colours(prints: Prints, others: Prints, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.abs(prints.colours[first].astype(np.int16) - others.colours[second]).mean(axis=1) <= COLOUR


class _Union:
    """Numbers that are joined into groups; of two groups the smaller one is relabelled."""

    def __init__(self, number: int):
        self.labels = np.arange(number)
        self.members = {label: [label] for label in range(number)}

    def join(self, one: int, others: np.ndarray) -> None:
        others = others[self.labels[others] != self.labels[one]]
        for label in set(self.labels[others].tolist()):
            keep, gone = int(self.labels[one]), label
            if len(self.members[keep]) < len(self.members[gone]):
                keep, gone = gone, keep
            self.labels[self.members[gone]] = keep
            self.members[keep] += self.members.pop(gone)

    def groups(self) -> list[list[int]]:
        return sorted(sorted(members) for members in self.members.values() if len(members) > 1)
