"""Which pictures are held out of training, to see how the LoRA does on what it has not been shown."""

from __future__ import annotations

from dataset.scan import Dataset, Item
from dataset.settings import ValidationSettings
from dataset.turns import seed_of


def held_out(settings: ValidationSettings, dataset: Dataset) -> tuple[Dataset, list[Item]]:
    """The data set without the pictures that are held out, and those. It follows from the names of the pictures and the
    seed alone; regularisation pictures are never held out, and one picture at least is left to train on."""
    training = dataset.training
    if not settings.share or len(training) < 2:
        return dataset, []
    count = min(len(training) - 1, max(1, round(settings.share * len(training))))
    chance = {item.path: seed_of(settings.seed, item.folder, item.path.name, "held out") for item in training}
    held = sorted(training, key=lambda item: (chance[item.path], item.path))[:count]
    out = {item.path for item in held}
    return Dataset([item for item in dataset.items if item.path not in out], dataset.problems), held
