"""What a run will do, worked out before anything is loaded: the window, the command line and the trainer all use this
count.

The arithmetic is that of sd-scripts' buckets (a last partial batch each), which is what really happens, not images x
epochs / batch.
"""

from __future__ import annotations

import math
import os
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dataset.holdout import held_out
from dataset.scan import Dataset, Item, scan
from dataset.turns import Entry, lay_out
from settings.errors import SettingsError, warnings
from settings.section import at, settings
from trainer.base_model.models import HUB_NAME, BaseModel, ModelError, fitting, located
from trainer.config import TrainSettings
from trainer.config.kinds import without_ranks
from trainer.families import families
from trainer.families.base import Family
from trainer.lora.layers import known
from trainer.lora.sizes import Shapes, is_depthwise, sizes
from trainer.needs.memory import Moment, peak
from trainer.needs.room import Room, expected, too_small
from trainer.prior.asked import nothing_asked, rarely_asked
from trainer.prior.class_images import with_class_images
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


def wrong_paths(config: TrainSettings) -> dict[str, str]:
    problems = {}
    if not config.dataset.folders:
        problems["dataset.folders"] = "choose the folder with your pictures"
    if config.model.family not in families():
        problems["model.family"] = f"must be one of {', '.join(families())}; got {config.model.family!r}"
    else:
        try:
            model = fitting(config.model.base, config.model.family, config.model.trust_pickle, config.model.components)
        except ModelError as error:
            problems["model.base"] = str(error)
        else:
            problems |= wrong_for(config, families()[config.model.family], model)
    return problems | wrong_folders(config)


def wrong_for(config: TrainSettings, family: type[Family], model: BaseModel) -> dict[str, str]:
    """What this very model can't be trained with."""
    problems = family.unsaid(model)
    if config.model.prediction_type != "auto":
        problems.pop("model.prediction_type", None)
    problems = problems or wrong_sides(config, family.side_step(model))
    problems |= misread(config, family, model)
    if config.words.new and not family.text_encoders:
        problems["words.new"] = f"{family.label} reads captions without CLIP, which alone learns new words: remove them"
    return problems


def misread(config: TrainSettings, family: type[Family], model: BaseModel) -> dict[str, str]:
    """How captions can't be read by this model: they would be learnt otherwise than was asked for."""
    layers = model.configs.get("text_encoder", {}).get("num_hidden_layers", 12)
    ways = {
        "captions.length": f"{family.label} reads captions at its own length: set it back to 75",
        "captions.clip_skip": f"{family.label} always reads the same layer: set it back to 1",
        "captions.weighted": f"{family.label} can't weigh single words: switch it off",
    }
    problems = {path: why for path, why in ways.items() if path in without_effect(config)}
    if config.captions.clip_skip > layers:
        problems.setdefault("captions.clip_skip", f"this model's text encoder has only {layers} layers")
    return problems


def wrong_sides(config: TrainSettings, step: int) -> dict[str, str]:
    """Sides in pixels that leave the model's places half empty."""
    dataset, preview = config.dataset, config.preview
    sides = [("dataset.bucket_step", dataset.bucket_step)] if dataset.buckets else [
        ("dataset.more_resolutions" if more else "dataset.resolution", side) for more, side in enumerate(dataset.sides)]
    if preview.prompts:
        sides += [("preview.width", preview.width or step), ("preview.height", preview.height or step)]
    return {path: f"this model takes sides that are multiples of {step}: use {max(1, round(side / step)) * step}"
            for path, side in sides if side % step}


def wrong_folders(config: TrainSettings) -> dict[str, str]:
    """What could only fail hours later: another VAE that is none, folders that can't be written to."""
    problems = {}
    if (vae := config.model.vae) and not HUB_NAME.fullmatch(vae):
        found = located(vae)
        if found is None or not (found / "config.json").is_file():
            problems["model.vae"] = f"{vae} is no VAE folder in diffusers layout (with a config.json)"
    problems |= {f"model.merge.{number}.file": f"there is no {row.file}: choose a LoRA file"
                 for number, row in enumerate(config.model.merge) if not Path(row.file).expanduser().exists()}
    if (weights := config.lora.weights) and not Path(weights).expanduser().exists():
        problems["lora.weights"] = f"there is no {weights}: choose a LoRA file or the folder of a run"
    for place, word in enumerate(config.words.new):
        if word.start_from and not Path(word.start_from).expanduser().is_file():
            problems[f"words.new.{place}.start_from"] = f"there is no {word.start_from}: choose an embedding file"
    for name in ("folder", "logging_folder"):
        folder = Path(getattr(config.save, name)).expanduser().absolute()
        there = next(parent for parent in (folder, *folder.parents) if parent.exists())
        if getattr(config.save, name) and not (there.is_dir() and os.access(there, os.W_OK)):
            problems[f"save.{name}"] = f"{there} can't be written to: choose another folder"
    return problems


def without_effect(config: TrainSettings) -> dict[str, str]:
    """Settings that were changed and that the family knows nothing of; the form hides them, a file may have them."""
    family = families()[config.model.family]
    return {
        setting.path: f"has no effect with {family.label}"
        for setting in settings(TrainSettings)
        if setting.ui.needs and setting.ui.needs not in family.traits and at(config, setting.path) != setting.default
    }


def about_layers(config: TrainSettings) -> dict[str, str]:
    """Patterns that fit no layer of the family's published models: another size may have it, or it is a mistake. And
    what does nothing in the layers that learn."""
    lora, family, shapes = config.lora.denoiser, families()[config.model.family], known(config.model.family)
    if not (lora.train and shapes):
        return {}
    try:
        chosen = sizes(lora, (family.layers | {"any": ".*"})[lora.layers], shapes, "lora.denoiser")
    except SettingsError as error:
        found: dict[str, str] = {}
        for path, said in error.problems.items():
            path = "lora.denoiser.blocks" if ".blocks." in path else path  # beside the table
            found[path] = f"{found[path]}; {said}" if path in found else said
        return found
    return without_ranks(config.lora, chosen, shapes) | (never_learn(shapes) if lora.layers == "any" else {})


def never_learn(shapes: Shapes) -> dict[str, str]:
    """What "any" does not take in."""
    found = [path for path, shape in shapes.items() if is_depthwise(shape)]
    said = f"{len(found)} convolutions of each channel by itself do not learn, such as {found[0]}" if found else ""
    return {"lora.denoiser.layers": f"{said}: an update would be larger than they are"} if found else {}


def notes(dataset: Dataset) -> dict[str, str]:
    """Pictures and captions that are left out or doubtful, as one warning."""
    if not dataset.problems:
        return {}
    first = "; ".join(f"{problem.path.name}: {problem.reason}" for problem in dataset.problems[:3])
    more = f" (and {len(dataset.problems) - 3} more)" if len(dataset.problems) > 3 else ""
    return {"dataset.folders": f"{first}{more}"}


def about_words(config: TrainSettings, dataset: Dataset) -> dict[str, str]:
    """New words that nothing can be learnt about, or that are not all that is read."""
    how, captions = config.captions, {item.caption for item in dataset.training}
    said = {
        f"words.new.{place}.word": f"{word.word} stands in no caption, so nothing is learnt about it: write it into "
        "them, or into captions.prefix"
        for place, word in enumerate(config.words.new)
        if not any(re.search(word.pattern, f"{how.prefix} {caption} {how.suffix}") for caption in captions)
    }
    family = families()[config.model.family]
    if config.words.new and len(family.footprint.readers) > len(family.text_encoders):
        said["words.new"] = "only CLIP learns the words: T5, which reads captions too, takes them as they are written"
    return said


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
