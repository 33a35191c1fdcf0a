"""What the sizes mean for training: buckets, what they cut off, and pictures smaller than the resolution."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from statistics import fmean
from typing import Any

from dataset.buckets import Crop, Size, fit, fits
from dataset.doctor.check import Case, Finding, Subject, check, finding
from dataset.doctor.files import is_tiny
from dataset.scan import Item
from dataset.stats import Bucket

CROPPED = 0.15  # share of a picture's area that may be cut off before it is told


@check
def cropped(subject: Subject) -> Iterator[Finding]:
    crops = [(fit(item.width, item.height, subject.settings), item) for item in subject.items]
    crops = [(crop, item) for crop, item in crops if crop.loss > CROPPED]
    crops.sort(key=lambda pair: (-pair[0].loss, str(pair[1].path)))
    yield from finding(
        "sizes.cropped", "warning",
        (Case((item.path,), f"{crop.loss:.0%} of {item.width:,} x {item.height:,} cut off for "
                            f"{crop.bucket[0]} x {crop.bucket[1]}") for crop, item in crops),
        f"{{picture}} losing more than {CROPPED:.0%} to the crop",
        "Heads, hands and feet at the edges are cut off, and the caption names what can't be seen.",
        "Crop them yourself around what matters, or turn buckets on if they are off.")


@check
def small(subject: Subject) -> Iterator[Finding]:
    """Those that are tiny have been told among the files."""
    area = subject.settings.resolution**2
    found = sorted((item for item in subject.items if item.width * item.height < area and not is_tiny(subject, item)),
                   key=lambda item: (item.width * item.height, str(item.path)))
    upscale = subject.settings.upscale or not subject.settings.buckets
    yield from finding(
        "sizes.small", "warning",
        (Case((item.path,), f"{item.width:,} x {item.height:,}: sides {_factor(item, area):.2f} times as long would do")
         for item in found),
        f"{{picture}} with less than {subject.settings.resolution} x {subject.settings.resolution} pixels",
        "They are enlarged for training, and the model learns their softness." if upscale else
        "They are trained at their own size, below the one that the base model draws well.",
        "Look for larger versions, or train at a lower resolution.")


@check
def lonely(subject: Subject) -> Iterator[Finding]:
    if not subject.settings.buckets:
        return
    buckets: dict[tuple[int, int], list[Item]] = {}
    for item, crop in _crops(subject):
        buckets.setdefault(crop.bucket, []).append(item)
    alone = [(size, items[0]) for size, items in sorted(buckets.items()) if len(items) * items[0].repeats == 1]
    if len(buckets) > 1:
        yield from finding(
            "sizes.lonely", "note", (Case((item.path,), f"{size[0]} x {size[1]}") for size, item in alone),
            f"{{bucket}} with a single picture, of {len(buckets):,}",
            "A batch holds one size, so these are trained in batches of one, whatever the batch size.",
            "Crop them to the shape of the others, if the batch size matters to you.")


def rows(subject: Subject, buckets: Iterable[Bucket]) -> list[dict[str, Any]]:
    """The buckets for a table: how much is cut off in each on average, and how many of its pictures are smaller than
    the resolution; `enlarge` is the most that the sides of one of them would have to grow by."""
    area = subject.settings.resolution**2
    members: dict[Size, list[tuple[Item, Crop]]] = {}
    for item, crop in _crops(subject):
        members.setdefault(crop.bucket, []).append((item, crop))
    told = []
    for bucket in buckets:
        factors = [_factor(item, area) for item, _ in members[bucket.size]]
        told.append({
            "size": list(bucket.size), "pictures": bucket.pictures, "repeated": bucket.repeated,
            "crop_loss": round(fmean(crop.loss for _, crop in members[bucket.size]), 4),
            "small": sum(factor > 1 for factor in factors), "enlarge": round(max(1.0, *factors), 2),
        })
    return told


def _crops(subject: Subject) -> Iterator[tuple[Item, Crop]]:
    for item in subject.items:
        yield from ((item, crop) for crop in fits(item.width, item.height, subject.settings))


def _factor(item: Item, area: int) -> float:
    return math.sqrt(area / (item.width * item.height))
