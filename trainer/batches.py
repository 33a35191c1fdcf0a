"""Which pictures a step sees. A pure function of (seed, step), so that a run can go on anywhere without replaying
anything."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

from dataset import turns
from dataset.buckets import Crop, fit
from dataset.colour import Colour
from dataset.looks import Look, Looks
from dataset.pictures import PictureError
from dataset.scan import Item
from dataset.turns import Entry, Pace
from settings.errors import SettingsError
from trainer.config import TrainSettings
from trainer.families.base import View
from trainer.loss.masks import Masks
from trainer.plan import Plan

UNVARIED = {"shuffle": False, "wildcards": False, "tag_dropout": 0.0, "dropout": 0.0}


@dataclass(frozen=True)
class Sample:
    """One picture in one step. `place` counts through the whole step, over its batches and processes."""

    item: Item
    crop: Crop
    flip: bool
    caption: str
    place: int
    weight: float  # of its folder, times the regularisation weight; 0 for one that only fills a process's turn
    colour: Colour | None = None  # its own

    @property
    def look(self) -> Look:
        return Look(self.crop, self.flip, self.colour)

    def looking(self, look: Look) -> Sample:
        """The same in another look."""
        return replace(self, crop=look.crop, flip=look.flip, colour=look.colour)

    @property
    def view(self) -> View:
        """What of the picture is seen. Mirrored, what was cut off on the right is cut off on the left."""
        left = self.crop.resized[0] - self.crop.bucket[0] - self.crop.left if self.flip else self.crop.left
        return View((self.item.width, self.item.height), left, self.crop.top, self.crop.bucket)


class Batches:
    """The batches of every step. Each epoch shows every entry as often as its repeats say, one bucket a batch."""

    def __init__(
        self,
        config: TrainSettings,
        plan: Plan,
        entries: Sequence[Entry],
        items: Sequence[Item],
        held: Sequence[Item] = (),
    ):
        self._config, self._plan, self._entries, self._items, self._held = config, plan, entries, items, held
        self._epoch = lru_cache(maxsize=2)(self._shuffled)
        self.masks = Masks(config.dataset)
        self._looks = Looks(config.run.seed, config.dataset)

    def of_step(self, step: int, process: int = 0) -> list[list[Sample]]:
        """The batches of optimiser step `step` (from 0) that one process computes: as many as are accumulated, fewer
        at an epoch's end."""
        processes = self._plan.processes
        epoch, turn = divmod(step, self._plan.steps_per_epoch)
        window = self._plan.accumulation * processes
        batches = self._epoch(epoch)[turn * window : (turn + 1) * window]
        starts = [sum(map(len, batches[:n])) for n in range(len(batches))]
        mine = [self._samples(step, start, batch) for start, batch in zip(starts, batches)][process::processes]
        most = -(-len(batches) // processes)
        if len(mine) < most:  # the other processes have one batch more: compute one that counts nothing
            mine.append([replace(sample, weight=0.0) for sample in self._samples(step, 0, batches[0])])
        return mine

    def size_of_step(self, step: int) -> int:
        """How many pictures the step sees over all processes: what its loss is divided by."""
        epoch, turn = divmod(step, self._plan.steps_per_epoch)
        window = self._plan.accumulation * self._plan.processes
        return sum(map(len, self._epoch(epoch)[turn * window : (turn + 1) * window]))

    @cached_property
    def seen(self) -> str:
        """A hash of all that a run sees of its data set: names, sizes, crops, repeats and captions, wherever the
        folders lie."""
        total = hashlib.blake2b(self._looks.by.encode(), digest_size=20)
        for entry in self._entries:
            item = self._items[entry.item]
            one = (item.path.name, size_of(item), entry.crop, entry.repeats, item.caption)
            if mask := self.masks.file(item.path):
                one += (mask.stat().st_size,)
            total.update(repr(one).encode("utf-8", "surrogatepass"))
        return total.hexdigest()

    @property
    def shown(self) -> list[Item]:
        """The pictures that the run has use for; of too many regularisation pictures some are not."""
        return [self._items[number] for number in sorted({entry.item for entry in self._entries})]

    def distinct(self) -> list[Sample]:
        """Every entry once, in no particular look, with its whole caption."""
        return [
            Sample(self._items[entry.item], entry.crop, False, self._items[entry.item].caption, 0, 1.0)
            for entry in self._entries
        ]

    def looks_of(self, samples: Sequence[Sample]) -> list[Sample]:
        """Each in all the looks that the run shows, where their number is limited."""
        found = []
        for sample in samples:
            with named(sample.item.path):
                found += [sample.looking(look) for look in self._looks.all(sample.item.path, sample.crop)]
        return found

    @cached_property
    def unseen(self) -> dict[int, list[Sample]]:
        """{resolution: the pictures that are held out, as validation looks at them}: without anything that is left to
        chance, with their whole captions."""
        plain = self._config.captions.model_copy(update=UNVARIED)
        captions = [turns.wordings(self._config.run.seed, item.caption, plain).pop() for item in self._held]
        return {
            side: [
                Sample(item, self._still(item, side), False, caption, place, item.weight)
                for place, (item, caption) in enumerate(zip(self._held, captions))
            ]
            for side in self._config.dataset.sides
        }

    def _still(self, item: Item, side: int) -> Crop:
        with named(item.path):
            return self._looks.still(item.path, fit(item.width, item.height, self._config.dataset, side)).crop

    @property
    def wordings(self) -> set[str]:
        """All captions of the run, as they are encoded, where their number is limited."""
        seed, how = self._config.run.seed, self._config.captions
        captions = {(item.caption, item.drawn): item for item in self.shown}.values()
        return {text for item in captions for text in turns.wordings(seed, item.caption, turns.spoken(item, how))}

    def _samples(self, step: int, start: int, batch: Sequence[int]) -> list[Sample]:
        return [self._sample(step, start + row, self._entries[entry]) for row, entry in enumerate(batch)]

    def _sample(self, step: int, place: int, entry: Entry) -> Sample:
        config, item = self._config, self._items[entry.item]
        flip, caption = turns.drawn(
            config.run.seed, step, place, config.dataset.flip, item.caption, turns.spoken(item, config.captions)
        )
        weight = item.weight * (config.prior.weight if item.regularisation else 1.0)
        with named(item.path):
            look = self._looks.drawn(item.path, entry.crop, flip, (step, place))
        return Sample(item, entry.crop, False, caption, place, weight).looking(look)

    def _shuffled(self, epoch: int) -> list[list[int]]:
        """The epoch's batches: numbers of entries."""
        return turns.batches(self._entries, Pace(self._config.run.seed, self._plan.batch_size), epoch)


def size_of(item: Item) -> int | str:
    """A picture's bytes; of one that may not be drawn yet, the name of its folder, which says all that it follows
    from."""
    return item.path.parent.name if item.drawn else item.path.stat().st_size


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Whatever is wrong with a picture is told with its name, as a SettingsError."""
    try:
        yield
    except PictureError as error:
        problem = f"{path} can't be used: {error.reason}. {error.fix}"
        raise SettingsError({"dataset.folders": problem}) from None
