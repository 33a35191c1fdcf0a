"""Draws the class images of a run that are not there yet, before anything else is done with the model.

Each is whole or not there, so a run that was killed goes on with the next; several processes, and several runs that
want the same ones, share them out without asking each other.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from contextlib import AbstractContextManager

import torch
from accelerate import PartialState
from torch import Tensor, nn

from dataset.scan import Item
from jobs import files
from settings.errors import SettingsError
from trainer.beginning import DTYPES, encoders
from trainer.config import TrainSettings
from trainer.families.base import Family
from trainer.needs import disk
from trainer.preview import keep, notes, painted, resting
from trainer.prior.class_images import MANIFEST, ClassImages
from trainer.report import Report

PHASE = "draw class images"
STALE = 3600  # seconds after which half a picture belongs to nobody any more


def draw_class_images(
    config: TrainSettings,
    family: Family,
    parts: dict[str, nn.Module],
    items: Collection[Item],
    place: PartialState,
    report: Report,
) -> None:
    """Draw what of `items` is a class image and is not there. Raises Stopped when that is wished, in every process;
    SettingsError where something else has taken their folder, OSError for a full disk."""
    wanted, images = [item for item in items if item.drawn], ClassImages(config)
    if missing(wanted):
        ready(images, len(missing(wanted)))
        _draw(images, family, parts, (wanted, place), report)
        place.wait_for_everyone()
        if missing(wanted):  # all processes see the same, so none waits for another
            report.give_way()
    if wanted:
        report.phase(PHASE, len(wanted), len(wanted))
        report.class_images(images.folder, len(wanted))


def missing(items: Collection[Item]) -> list[Item]:
    return [item for item in items if not item.path.is_file()]


def ready(images: ClassImages, count: int) -> None:
    """The folder with its manifest, room in it for so many pictures more, and nothing half drawn."""
    images.folder.mkdir(parents=True, exist_ok=True)
    said = images.folder / MANIFEST
    if not said.is_file():
        files.replace(said, json.dumps(images.manifest, indent=2))
    elif files.read_json(said) != json.loads(json.dumps(images.manifest)):
        fix = f"{images.folder} holds others than its name says (see {MANIFEST} in it): move it away"
        raise SettingsError({"prior.class_prompt": fix})
    for part in images.folder.glob(".*.part"):
        if time.time() - part.stat().st_mtime > STALE:
            part.unlink(missing_ok=True)
    disk.require(images.folder, count * 3 * images.manifest["width"] * images.manifest["height"])


def _draw(
    images: ClassImages,
    family: Family,
    parts: dict[str, nn.Module],
    shared: tuple[list[Item], PartialState],
    report: Report,
) -> None:
    """This process's share, until someone wants something else. Afterwards the parts are on the CPU again."""
    wanted, place = shared
    words, negative = _read(images, family, parts, place.device)
    parts["denoiser"].to(place.device)
    with resting({name: parts[name] for name in ("denoiser", "vae")}):
        for item in wanted[place.process_index :: place.num_processes]:
            report.phase(PHASE, len(wanted) - len(missing(wanted)), len(wanted))
            if report.wish():
                break
            if not item.path.is_file():
                _draw_one(images, family, item, (words, negative))
    parts["denoiser"].to("cpu")


def _read(
    images: ClassImages, family: Family, parts: dict[str, nn.Module], device: torch.device
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The encoded prompt and negative prompt."""
    readers = encoders(parts).values()
    for reader in readers:
        reader.to(device)
    with torch.no_grad():
        found = [family.encode_captions([images.manifest[name]]) for name in ("prompt", "negative_prompt")]
    for reader in readers:
        reader.to("cpu")
    return found[0], found[1]


def _draw_one(
    images: ClassImages, family: Family, item: Item, text: tuple[dict[str, Tensor], dict[str, Tensor]]
) -> None:
    how, dtype = images.drawing(item), DTYPES[images.config.accelerate.mixed_precision]

    def precision() -> AbstractContextManager:
        return torch.autocast(text[0]["words"].device.type, dtype, enabled=dtype != torch.float32)

    picture = painted(family, text, how, precision)
    item.path.with_suffix(".txt").write_text(item.caption, encoding="utf-8")  # for whoever uses them elsewhere
    keep(picture, item.path, notes(item.caption, images.manifest["negative_prompt"], how))
