"""Going on with a run whose settings were changed meanwhile: what makes no difference to what is learnt is taken, what
would make another run of it is refused by name."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatch
from pathlib import Path

from settings import flags, toml
from settings.errors import SettingsError, check
from trainer.config import TrainSettings

Differences = dict[str, tuple[str, str]]  # setting: (was, is)

# What is drawn, written and said on the way; and where and how thriftily it is computed, which changes no more than the
# rounding. More steps are an extension: `shorter` sees to it that they are not fewer.
HARMLESS = ("name", "preview.*", "save.*", "metadata.*", "model.trust_pickle")
HARMLESS += ("memory.gradient_checkpointing", "memory.cache_latents", "memory.cache_captions")
HARMLESS += ("validation.every_*", "validation.draws")
HARMLESS += ("lora.weights",)  # needed once, at the start
HARMLESS += ("accelerate.cpu", "accelerate.gpu_ids", "accelerate.cpu_threads", "run.epochs", "run.max_steps")


def differences(was: TrainSettings, now: TrainSettings) -> Differences:
    """Every setting that differs, with both values as TOML has them."""
    old, new = (flags.flat(tomllib.loads(toml.dumps(one))) for one in (was, now))
    return {path: (shown(old.get(path)), shown(value)) for path, value in new.items() if old.get(path) != value}


def another_run(was: TrainSettings, now: TrainSettings) -> Differences:
    """Those differences that would change what is learnt. Where pictures lie is none: that they are the same ones is
    seen from the pictures themselves (Batches.seen)."""
    old, new = (without_places(one) for one in (was, now))
    found = differences(old, new)
    return {path: values for path, values in found.items() if not any(fnmatch(path, known) for known in HARMLESS)}


def train_on(config: TrainSettings, folder: Path) -> str:
    """How a new run starts from what the one in `folder` has learnt."""
    return f"model.base = a checkpoint of {folder}" if config.all_weights else f"lora.weights = {folder}"


def refuse(found: Differences, how: str) -> None:
    """Raises SettingsError with the list, if there is anything on it. `how`: as train_on says."""
    if found:
        raise SettingsError(
            {
                path: f"was {was} and is {now}, which would be another run: change it back, or train on from what is "
                f"learnt as a new run, with {how}"
                for path, (was, now) in found.items()
            }
        )


def as_saved(text: str) -> TrainSettings:
    """The settings that a state was trained with. Raises SettingsError."""
    return check(TrainSettings, toml.loads(TrainSettings, text))


def shorter(was: int, now: int) -> Differences:
    """Fewer steps in all than were planned would be another learning rate at every step; whoever has enough, stops."""
    return {"run.epochs": (f"{was} steps in all", f"{now}")} if now < was else {}


def without_places(config: TrainSettings) -> TrainSettings:
    folders = [folder.model_copy(update={"path": "."}) for folder in config.dataset.folders]
    return config.model_copy(update={"dataset": config.dataset.model_copy(update={"folders": folders})})


def shown(value: object) -> str:
    return "not set" if value in (None, "", []) else repr(value)
