"""When a run shows which picture, mirrored or not, and with which words: a pure function of (seed, step, place). What
else is drawn for a showing, which window and what light, is in dataset/looks.py.

Nothing is drawn from a running generator, so a run can go on anywhere without replaying anything, and what it will show
can be told before it begins: the trainer's batches and the preview of what it sees are made here, both.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from dataset.buckets import Crop, fits
from dataset.scan import Item
from dataset.settings import CaptionSettings, DatasetSettings
from dataset.variation import training_caption, varies, words

PLAIN = {
    "prefix": "", "suffix": "", "shuffle": False, "wildcards": False, "tag_dropout": 0.0, "keep_separator": "",
    "group_separator": "",
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """A picture in the run at one of its sizes: which item of the data set, how it is cropped (in the middle, unless
    its look says otherwise), how often an epoch shows it."""

    item: int
    crop: Crop
    repeats: int


@dataclass(frozen=True)
class Pace:
    """What decides when an entry comes. `at_once`: batches in an optimiser step, over accumulation and processes."""

    seed: int
    batch_size: int = 1
    at_once: int = 1


def seed_of(*key: int | str) -> int:
    """A seed below 2**63 that follows from all of `key` and nothing else."""
    text = ":".join(map(str, key)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def lay_out(settings: DatasetSettings, items: Sequence[Item]) -> list[Entry]:
    """Every picture with its crops, one for each resolution, and its repeats. Regularisation pictures are shown as
    often as training ones altogether.

    As in sd-scripts: each regularisation picture with its own repeats until there are enough; if there are too few,
    they are gone through again, one more repeat each time; if there are too many, the last ones are not used.
    """
    crops = [fits(item.width, item.height, settings) for item in items]
    repeats = {index: item.repeats for index, item in enumerate(items) if not item.regularisation}
    wanted = sum(count * len(crops[index]) for index, count in repeats.items())
    regularisation = [index for index, item in enumerate(items) if item.regularisation]
    shown = 0
    while regularisation and shown < wanted:
        for index in regularisation:
            more = 1 if index in repeats else items[index].repeats
            repeats[index] = repeats.get(index, 0) + more
            shown += more * len(crops[index])
            if shown >= wanted:
                break
    return [Entry(index, crop, count) for index, count in sorted(repeats.items()) for crop in crops[index]]


def batches(entries: Sequence[Entry], pace: Pace, epoch: int) -> list[list[int]]:
    """The epoch's batches: numbers of entries. Each entry as often as its repeats say, one bucket a batch."""
    chance = random.Random(seed_of(pace.seed, epoch, "order"))
    buckets: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, entry in enumerate(entries):
        buckets[entry.crop.bucket] += [number] * entry.repeats
    found = []
    for _, numbers in sorted(buckets.items()):
        chance.shuffle(numbers)
        found += [numbers[start : start + pace.batch_size] for start in range(0, len(numbers), pace.batch_size)]
    chance.shuffle(found)
    return found


def spoken(item: Item, settings: CaptionSettings) -> CaptionSettings:
    """How a picture's caption is varied: one that the run drew itself says what it was drawn from, or nothing. With the
    prefix, say, it might call up what is learnt."""
    return settings.model_copy(update=PLAIN) if item.drawn else settings


def drawn(seed: int, step: int, place: int, flips: bool, caption: str, settings: CaptionSettings) -> tuple[bool, str]:
    """(whether it is mirrored, its caption) for the sample at a place of a step."""
    chance = random.Random(seed_of(seed, step, place, "sample"))
    flip = flips and chance.random() < 0.5
    if not (settings.variants and varies(settings)):
        return flip, training_caption(caption, settings, chance)
    if settings.dropout and chance.random() < settings.dropout:
        return flip, ""
    return flip, variant(seed, caption, chance.randrange(settings.variants), settings)


def variant(seed: int, caption: str, number: int, settings: CaptionSettings) -> str:
    """One of the ways in which a caption is varied that a run with so many `variants` is content with."""
    return words(caption, settings, random.Random(seed_of(seed, caption, number, "variant")))


def wordings(seed: int, caption: str, settings: CaptionSettings) -> set[str]:
    """All that a caption can be in a run where their number is limited, so that each can be encoded beforehand."""
    if not varies(settings):
        return {words(caption, settings, random.Random(0))}
    return {variant(seed, caption, number, settings) for number in range(settings.variants)}


def steps_per_epoch(entries: Sequence[Entry], pace: Pace) -> int:
    counts: dict[tuple[int, int], int] = defaultdict(int)
    for entry in entries:
        counts[entry.crop.bucket] += entry.repeats
    return math.ceil(sum(math.ceil(count / pace.batch_size) for count in counts.values()) / pace.at_once)


def places(entries: Sequence[Entry], pace: Pace, wanted: Collection[int],
           steps: int) -> Iterator[tuple[int, int, int, int]]:
    """(epoch, step, place, entry) of each showing of the entries `wanted` in a run of so many steps, in order. Epochs
    and steps count from 0; places count through the whole step, over its batches and processes."""
    per_epoch = steps_per_epoch(entries, pace)
    for epoch in range(math.ceil(steps / per_epoch) if per_epoch else 0):
        epochs = batches(entries, pace, epoch)
        for turn in range(min(per_epoch, steps - epoch * per_epoch)):
            shown = [number for batch in epochs[turn * pace.at_once : (turn + 1) * pace.at_once] for number in batch]
            yield from ((epoch, epoch * per_epoch + turn, place, number)
                        for place, number in enumerate(shown) if number in wanted)
