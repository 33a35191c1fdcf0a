"""What the trainer sees of a picture, under the settings that stand on the training form."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException, Response

from dataset import seen
from dataset.pictures import PictureError
from dataset.scan import Dataset
from dataset.seen import Seen, Showing
from dataset.settings import Folder
from settings.errors import SettingsError, check
from trainer import command
from trainer.base_model.models import ModelError
from trainer.config import TrainSettings
from trainer.prior.class_images import with_class_images

if TYPE_CHECKING:
    from gui.window import Window

FRESH = {"cache-control": "no-store"}  # the same address shows other pixels once the form has changed
Shown = tuple[Seen, Showing, dict[str, Any]]


def router(window: Window) -> APIRouter:
    routes = APIRouter()

    def shown(picture: str, times: int = seen.TIMES) -> Shown:
        path = window.thumbnails.path_of(picture)
        if path is None:
            raise HTTPException(404, "This picture is not open.")
        try:
            return look(window, path, times)
        except (PictureError, SettingsError, OSError) as error:
            raise HTTPException(404, f"{path.name}: {error}") from None

    @routes.get("/api/seen/{picture}")
    def told(picture: str) -> dict[str, Any]:
        found, settings, about = shown(picture)
        return seen.told(found, settings) | about

    @routes.get("/api/seen/{picture}/{what}.png")
    def pixels(picture: str, what: str, mirrored: bool = False, turn: int | None = None) -> Response:
        """`crop`: exactly what the VAE gets. `mask`: its mask, cut alike. `turn`: as this showing has it, of those that
        are told (from 0), but for the side, which `mirrored` says."""
        if turn is not None and not 0 <= turn < seen.TIMES:
            raise HTTPException(404, "There is no such showing.")
        found, _, _ = shown(picture, times=0 if turn is None else turn + 1)
        there = turn is None or turn < len(found.turns)
        if what not in ("crop", "mask") or (what == "mask" and found.mask is None) or not there:
            raise HTTPException(404, "There is no such picture.")
        look = replace(found.look(turn), flip=mirrored)
        try:
            return Response(seen.crop_png(found, look, what == "mask"), media_type="image/png", headers=FRESH)
        except (PictureError, OSError) as error:
            raise HTTPException(404, f"{found.path.name}: {error}") from None

    return routes


def look(window: Window, path: Path, times: int) -> Shown:
    """The picture in the run of the training form; where that run does not have it, in one over the open folder."""
    settings, wrong, config = on_form(window)
    extension = settings.dataset.caption_extension
    dataset = window.scans.scan(settings.dataset.folders, extension)
    found = seen.seen(path, settings, whole(config, dataset) if config else dataset, times)
    if found.item is not None:
        return found, settings, {"of": "form", "wrong": wrong}
    opened = str(window.drafts.load("dataset").get("path") or "")
    inside = opened and path.is_relative_to(os.path.abspath(os.path.expanduser(opened)))
    folder = opened if inside else str(path.parent)
    found = seen.seen(path, settings, window.scans.scan([Folder(path=folder)], extension), times)
    return found, settings, {"of": "folder", "folder": folder, "wrong": wrong}


def whole(config: TrainSettings, dataset: Dataset) -> Dataset:
    """With the class images; without them where the base model can't be used, which the form itself tells."""
    try:
        return with_class_images(config, dataset)
    except ModelError:
        return dataset


def on_form(window: Window) -> tuple[Showing, str, TrainSettings | None]:
    """What stands on the training form, as far as it is right, and what is wrong with the rest; all of it where nothing
    is."""
    draft = window.drafts.load("train")
    try:
        config = command.with_absolute_paths(check(TrainSettings, draft))
        return seen.showing(config.model_dump()), "", config
    except SettingsError as error:
        wrong = str(error)
    except OSError as error:
        wrong = str(error.strerror or error)
    parts = {}
    for name, value in seen.picked(draft).items():
        try:
            seen.showing({name: value})
            parts[name] = value
        except SettingsError:  # told in `wrong`; the usual settings stand in for this section
            continue
    return seen.showing(parts), wrong, None
