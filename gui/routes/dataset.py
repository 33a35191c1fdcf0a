"""The data set that is being looked at: its pictures with captions, what is wrong with it, and its buckets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse
from pydantic import BaseModel

from dataset.buckets import fits
from dataset.pictures import PictureError
from dataset.scan import Dataset, Item
from dataset.settings import DatasetSettings, Folder
from dataset.stats import stats
from gui.preparation import problems
from settings.errors import SettingsError, check

if TYPE_CHECKING:
    from gui.window import Window

CACHED = {"cache-control": "private, max-age=86400"}


class Wish(BaseModel):
    path: str
    repeats: int | None = None


def router(window: Window) -> APIRouter:
    routes = APIRouter()

    @routes.get("/api/dataset")
    def last() -> dict[str, Any]:
        """The folder that was opened last."""
        path = window.drafts.load("dataset").get("path", "")
        return shown(window, path) if path else {"path": ""}

    @routes.get("/api/dataset/folder")
    def folder() -> dict[str, str]:
        """Only which folder that is, for the other pages."""
        return {"path": str(window.drafts.load("dataset").get("path") or "")}

    @routes.post("/api/dataset")
    def open_folder(wish: Wish) -> dict[str, Any]:
        if not wish.path.strip():
            raise HTTPException(400, "Choose a folder with pictures.")
        found = shown(window, wish.path)
        window.drafts.save("dataset", {"path": wish.path})
        return found

    @routes.get("/api/pictures/{picture}")
    def picture(picture: str, side: int = 256) -> FileResponse:
        path = window.thumbnails.path_of(picture)
        if path is None:
            raise HTTPException(404, "this picture is not open")
        try:
            return FileResponse(window.thumbnails.small(path, side), media_type="image/webp", headers=CACHED)
        except (PictureError, OSError) as error:
            raise HTTPException(404, str(error)) from None

    @routes.get("/api/preparation")
    def preparation() -> dict[str, Any]:
        return window.preparing.report()

    return routes


def shown(window: Window, path: str) -> dict[str, Any]:
    settings = training_sizes(window)
    try:
        dataset = window.scans.scan([Folder(path=path)], settings.caption_extension)
    except SettingsError as error:
        raise HTTPException(400, str(error)) from None
    found = stats(dataset, settings)
    return {
        "path": path,
        "resolution": settings.resolution,
        "more_resolutions": settings.sides[1:],
        "pictures": found.pictures,
        "captioned": found.captioned,
        "left_out": found.left_out,
        "smallest": found.smallest,
        "largest": found.largest,
        "upscaled": len(found.upscaled),
        "crop_loss": found.mean_crop_loss,
        "groups": [
            {"name": group.name, "pictures": group.pictures, "repeats": group.repeats, "captioned": group.captioned}
            for group in found.groups
        ],
        "buckets": [[*bucket.size, bucket.pictures] for bucket in found.buckets],
        "problems": problems(dataset.problems),
        "items": items(window, dataset, settings),
    }


def items(window: Window, dataset: Dataset, settings: DatasetSettings) -> list[dict[str, Any]]:
    return [picture_line(window, item, settings) for item in dataset.items]


def picture_line(window: Window, item: Item, settings: DatasetSettings) -> dict[str, Any]:
    return {
        "id": window.thumbnails.id_of(item.path),
        "name": item.path.name,
        "folder": item.folder,
        "width": item.width,
        "height": item.height,
        "caption": item.caption,
        "own": item.caption_from is not None,
        "repeats": item.repeats,
        "buckets": [crop.bucket for crop in fits(item.width, item.height, settings)],
    }


def training_sizes(window: Window) -> DatasetSettings:
    """The sizes in the training form; where what is typed there is not right yet, the usual ones."""
    typed = dict(window.drafts.load("train").get("dataset") or {})
    typed.pop("folders", None)
    try:
        return check(DatasetSettings, typed)
    except SettingsError:
        return DatasetSettings()
