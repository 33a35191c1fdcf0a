"""What a data set amounts to: the figures of the Dataset tab, and those that kohya's metadata keys hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from dataset.buckets import Crop, Size, fits
from dataset.scan import Dataset, Item
from dataset.settings import DatasetSettings


@dataclass(frozen=True)
class Bucket:
    size: Size  # (width, height)
    pictures: int
    repeated: int  # pictures with their repeats: how many an epoch shows


@dataclass(frozen=True)
class Group:
    """The pictures of one folder."""

    name: str
    pictures: int
    repeats: int
    regularisation: bool
    captioned: int  # pictures with a caption of their own


@dataclass(frozen=True)
class Stats:
    """Of an empty data set every number is 0 and every list empty."""

    pictures: int
    training: int
    regularisation: int
    repeated: int  # training pictures with their repeats
    captioned: int
    left_out: int  # files named in the problems that are not used
    smallest: Size  # by area
    largest: Size
    groups: list[Group]
    buckets: list[Bucket]  # sorted by size; a picture is in one for each of the resolutions
    upscaled: list[Item]  # pictures that are enlarged to fill their bucket
    mean_crop_loss: float  # share of a picture's area that is cut off, 0..1


def stats(dataset: Dataset, settings: DatasetSettings) -> Stats:
    """The figures of a scanned data set under these settings; reads nothing from disk."""
    items = dataset.items
    crops = [(item, crop) for item in items for crop in fits(item.width, item.height, settings)]
    sizes = sorted(((item.width, item.height) for item in items), key=lambda size: (_area(size), size))
    return Stats(
        pictures=len(items),
        training=len(dataset.training),
        regularisation=len(dataset.regularisation),
        repeated=sum(item.repeats for item in dataset.training),
        captioned=sum(item.caption_from is not None for item in items),
        left_out=sum(not problem.used for problem in dataset.problems),
        smallest=sizes[0] if sizes else (0, 0),
        largest=sizes[-1] if sizes else (0, 0),
        groups=_groups(items),
        buckets=_buckets([(crop, item.repeats) for item, crop in crops]),
        upscaled=list(dict.fromkeys(item for item, crop in crops if _area(crop.resized) > item.width * item.height)),
        mean_crop_loss=fmean(crop.loss for _, crop in crops) if crops else 0.0,
    )


def tag_frequency(items: Iterable[Item]) -> dict[str, dict[str, int]]:
    """`ss_tag_frequency`: for each folder how many captions have a tag, most frequent first; tags are what stands
    between commas, in lower case. A caption counts once, whatever its repeats."""
    counts: dict[str, Counter[str]] = {}
    for item in items:
        tags = (tag.strip().lower() for tag in item.caption.split(","))
        counts.setdefault(item.folder, Counter()).update(tag for tag in tags if tag)
    return {folder: dict(sorted(count.items(), key=lambda pair: (-pair[1], pair[0])))
            for folder, count in counts.items()}


def dataset_dirs(items: Iterable[Item]) -> dict[str, dict[str, int]]:
    """`ss_dataset_dirs`, or `ss_reg_dataset_dirs`, of the given items: {folder: {"n_repeats": …, "img_count": …}}."""
    found: dict[str, dict[str, int]] = {}
    for item in items:
        found.setdefault(item.folder, {"n_repeats": item.repeats, "img_count": 0})["img_count"] += 1
    return found


def bucket_info(items: Iterable[Item], settings: DatasetSettings) -> dict[str, Any] | None:
    """`ss_bucket_info`: sizes with the pictures in them, repeats included, and the mean difference between a picture's
    width / height and its bucket's. None without buckets, as sd-scripts writes."""
    if not settings.buckets:
        return None
    crops = [(item, crop) for item in items for crop in fits(item.width, item.height, settings)]
    errors = [abs(crop.bucket[0] / crop.bucket[1] - item.width / item.height) for item, crop in crops]
    buckets = {str(index): {"resolution": list(bucket.size), "count": bucket.repeated}
               for index, bucket in enumerate(_buckets([(crop, item.repeats) for item, crop in crops]))}
    return {"buckets": buckets, "mean_img_ar_error": fmean(errors) if errors else 0.0}


def _area(size: Size) -> int:
    return size[0] * size[1]


def _buckets(crops: list[tuple[Crop, int]]) -> list[Bucket]:
    pictures, repeated = Counter(), Counter()
    for crop, repeats in crops:
        pictures[crop.bucket] += 1
        repeated[crop.bucket] += repeats
    return [Bucket(size, pictures[size], repeated[size]) for size in sorted(pictures)]


def _groups(items: list[Item]) -> list[Group]:
    members: dict[str, list[Item]] = {}
    for item in items:
        members.setdefault(item.folder, []).append(item)
    return [Group(name, len(group), group[0].repeats, group[0].regularisation,
                  sum(item.caption_from is not None for item in group)) for name, group in members.items()]
