"""What can't be trained, by setting, found before anything is loaded: {path of the setting: what to do about it}."""

from __future__ import annotations

import os
from pathlib import Path

from settings.paths import absolute, located
from trainer.base_model.models import HUB_NAME, BaseModel, ModelError, fitting
from trainer.config import TrainSettings
from trainer.families import families
from trainer.families.base import Family
from trainer.remarks import without_effect


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
                 for number, row in enumerate(config.model.merge) if not located(row.file)}
    if (weights := config.lora.weights) and not located(weights):
        problems["lora.weights"] = f"there is no {weights}: choose a LoRA file or the folder of a run"
    for place, word in enumerate(config.words.new):
        if word.start_from and not ((file := located(word.start_from)) and file.is_file()):
            problems[f"words.new.{place}.start_from"] = f"there is no {word.start_from}: choose an embedding file"
    for name in ("folder", "logging_folder"):
        if (typed := getattr(config.save, name)) and (why := unwritable(absolute(typed))):
            problems[f"save.{name}"] = f"{why}: choose another folder"
    return problems


def unwritable(folder: Path) -> str:
    """Why nothing can be written into a folder, which need not be there yet; "" if something can."""
    if not folder.is_absolute():
        return f"there is no home folder of {folder.parts[0]}"
    try:
        os.stat(folder)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:  # longer than this system allows, or below a folder of somebody else
        return f"{error.strerror}"
    there = next(parent for parent in (folder, *folder.parents) if os.path.exists(parent))
    return "" if there.is_dir() and os.access(there, os.W_OK) else f"{there} can't be written to"
