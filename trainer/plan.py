"""What a run will do, worked out before anything is loaded: the window, the command line and the trainer all use this
count.

The arithmetic is that of sd-scripts' buckets (a last partial batch each), which is what really happens, not images x
epochs / batch.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from dataset.holdout import held_out
from dataset.scan import Dataset, Item, scan
from dataset.turns import Entry, lay_out
from settings.errors import SettingsError, warnings
from trainer.config import TrainSettings
from trainer.needs.memory import Moment, peak
from trainer.needs.room import Room, expected, too_small
from trainer.prior.asked import nothing_asked, rarely_asked
from trainer.prior.class_images import with_class_images
from trainer.problems import wrong_paths
from trainer.remarks import about_layers, about_words, notes, without_effect
from trainer.schedule import warmup_steps


@dataclass(frozen=True)
class Plan:
    """Everything that can be counted beforehand. Steps are optimiser steps; `saves` and `samples` list them."""

    pictures: int
    sizes: int  # pictures, each as often as it is trained at another size
    repeated: int
    regularisation: int
    regularisation_repeated: int
    buckets: tuple[tuple[int, int, int, int], ...]  # width, height, pictures, with repeats
    batch_size: int
    accumulation: int
    processes: int
    batches_per_epoch: int
    steps_per_epoch: int
    epochs: int
    total_steps: int
    warmup_steps: int
    saves: tuple[int, ...]
    samples: tuple[int, ...]
    held_out: int  # pictures
    validations: tuple[int, ...]
    memory: Moment | None
    disk: Room | None
    class_images: int = 0
    to_draw: int = 0  # of those
    warnings: dict[str, str] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """The sum in human terms."""
        pictures = f"{self.pictures} picture{'s' * (self.pictures != 1)}"
        if self.sizes != self.pictures:
            pictures += f" x {self.sizes / self.pictures:.4g} sizes"
        if self.repeated != self.sizes:
            pictures += f" x {self.repeated / self.sizes:.4g} repeats"
        if self.regularisation_repeated:
            pictures = f"({pictures} + {self.regularisation_repeated} regularisation)"
        at_once = self.batch_size * self.accumulation * self.processes
        epochs = self.total_steps / self.steps_per_epoch
        often = f"{epochs:.4g} epoch{'s' * (epochs != 1)}"
        parts = [f"{pictures} x {often}"] + ([f"/ batch {at_once}"] if at_once > 1 else [])
        memory = f", about {self.memory.total:.1f} GB" if self.memory else ""
        return f"{' '.join(parts)} = {self.total_steps:,} steps{memory}"

    @property
    def table(self) -> list[tuple[str, str]]:
        """(what, how many), for people."""
        accumulated = f" x {self.accumulation} accumulated" if self.accumulation > 1 else ""
        processes = f" x {self.processes} processes" if self.processes > 1 else ""
        repeated = f" ({self.repeated} with repeats)" if self.repeated != self.sizes else ""
        several = self.sizes > self.pictures
        rows = [
            ("Pictures", f"{self.pictures}{'' if several else repeated}"),
            ("Sizes", f"{self.sizes} with each picture at all its sizes{repeated}" if several else ""),
            ("Regularisation", f"{self.regularisation} ({self.regularisation_repeated} used an epoch)"),
            ("Class images", f"{self.class_images}, {self.to_draw} to be drawn first" if self.class_images else ""),
            ("Held out", f"{self.held_out}, looked at {len(self.validations)} times" if self.held_out else ""),
            ("Buckets", ", ".join(f"{w}x{h}: {n}" for w, h, n, _ in self.buckets)),
            ("Batch", f"{self.batch_size}{accumulated}{processes}"),
            ("Batches an epoch", f"{self.batches_per_epoch:,}"),
            ("Steps an epoch", f"{self.steps_per_epoch:,}"),
            ("Epochs", f"{self.epochs:,}"),
            ("Steps", f"{self.total_steps:,}"),
            ("Warm-up", f"{self.warmup_steps:,} steps"),
            ("Checkpoints", f"{len(self.saves):,} and the finished one"),
            ("Samples", f"{len(self.samples):,} times" if self.samples else "none"),
            ("Memory", self.memory.sentence if self.memory else ""),
            ("Disk", self.disk.sentence if self.disk else ""),
        ]
        return [row for row in rows if row[1] and (row[0] != "Regularisation" or self.regularisation)]

    def as_dict(self) -> dict:
        return asdict(self) | {"sentence": self.sentence}


def plan(config: TrainSettings, dataset: Dataset | None = None, begun: bool = False) -> Plan:
    """The plan of a run. `dataset` saves scanning it anew; one that has `begun` needs nothing that only its start did.
    Raises SettingsError with all that is wrong."""
    problems = wrong_paths(config)
    if begun:
        needed = [path for path in problems if path.rpartition(".")[2] not in ("weights", "start_from")]
        problems = {path: problems[path] for path in needed}
    dataset = dataset if dataset is not None else scan(config.dataset.folders, config.dataset.caption_extension)
    if not problems and not dataset.training:
        why = "; ".join(f"{problem.path.name}: {problem.reason}" for problem in dataset.problems[:3])
        problems["dataset.folders"] = "no pictures to train on were found" + (f" ({why})" if why else "")
    problems = problems or nothing_asked(config, dataset)
    if problems:
        raise SettingsError(problems)

    dataset, held = held_out(config.validation, with_class_images(config, dataset))
    entries = lay_out(config.dataset, dataset.items)
    rows = bucket_rows(entries, dataset.items)
    batches = sum(math.ceil(entries_in / config.run.batch_size) for *_, entries_in in rows)
    per_epoch = math.ceil(batches / (config.accelerate.processes * config.run.gradient_accumulation))
    remarks = without_effect(config) | about_layers(config) | notes(dataset) | rarely_asked(config, dataset)
    total = config.run.max_steps or config.run.epochs * per_epoch
    epochs = math.ceil(total / per_epoch)
    regularisation = [entry for entry in entries if dataset.items[entry.item].regularisation]
    drawn = {item.path for entry in entries if (item := dataset.items[entry.item]).drawn}
    repeated = sum(entry.repeats for entry in entries)
    of_regularisation = sum(entry.repeats for entry in regularisation)
    saves = moments(config.save.every_steps, config.save.every_epochs, per_epoch, total - 1)
    disk = expected(config, len(saves))
    if config.all_weights and not begun and (problem := too_small(disk)):
        raise SettingsError({"full.train": problem})
    return Plan(
        pictures=len(dataset.training),
        sizes=len(entries) - len(regularisation),
        repeated=repeated - of_regularisation,
        regularisation=len(dataset.regularisation),
        regularisation_repeated=of_regularisation,
        buckets=rows,
        batch_size=config.run.batch_size,
        accumulation=config.run.gradient_accumulation,
        processes=config.accelerate.processes,
        batches_per_epoch=batches,
        steps_per_epoch=per_epoch,
        epochs=epochs,
        total_steps=total,
        warmup_steps=warmup_steps(config.schedule, total),
        saves=saves,
        samples=sample_steps(config, per_epoch, total),
        held_out=len(held),
        validations=validation_steps(config, per_epoch, total) if held else (),
        memory=peak(config),
        disk=disk,
        class_images=len(drawn),
        to_draw=sum(not path.is_file() for path in drawn),
        warnings=warnings(config) | remarks | about_words(config, dataset),
    )


def bucket_rows(entries: Sequence[Entry], items: Sequence[Item]) -> tuple[tuple[int, int, int, int], ...]:
    """(width, height, pictures, with repeats) of every bucket, smallest first."""
    counts: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0])
    for entry in entries:
        counts[entry.crop.bucket][0] += 1
        counts[entry.crop.bucket][1] += entry.repeats
    return tuple((width, height, *counts[width, height]) for width, height in sorted(counts))


def moments(every_steps: int, every_epochs: int, per_epoch: int, last: int) -> tuple[int, ...]:
    """The steps up to `last` at which something is due that happens every so many steps or epochs."""
    due = set(range(every_steps, last + 1, every_steps)) if every_steps else set()
    if every_epochs:
        due |= set(range(every_epochs * per_epoch, last + 1, every_epochs * per_epoch))
    return tuple(sorted(due))


def validation_steps(config: TrainSettings, per_epoch: int, total: int) -> tuple[int, ...]:
    often = config.validation
    return tuple(sorted({0, *moments(often.every_steps, often.every_epochs, per_epoch, total), total}))


def sample_steps(config: TrainSettings, per_epoch: int, total: int) -> tuple[int, ...]:
    preview = config.preview
    if not preview.prompts:
        return ()
    due = set(moments(preview.every_steps, preview.every_epochs, per_epoch, total)) | {total}
    return tuple(sorted(due | ({0} if preview.at_start else set())))
