"""The page "Resize & crop": pictures with their crops and masks, what a resize would take of one, and its table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException, Response
from pydantic import BaseModel

from dataset.files import FileError
from dataset.journal import JournalError
from dataset.pictures import PictureError
from dataset.resize.recipes import Recipes, checked
from gui import resizing
from settings.errors import SettingsError

if TYPE_CHECKING:
    from gui.window import Window


class Crops(BaseModel):
    crops: dict[str, list[float] | None]  # picture's id -> four shares


class Looked(BaseModel):
    picture: str
    crop: list[float] | None = None


class Mask(BaseModel):
    picture: str
    data: str | None = None  # PNG in base64; None takes the mask away


class Pictures(BaseModel):
    pictures: list[str]


class Action(BaseModel):
    action: str


def router(window: Window) -> APIRouter:
    routes = APIRouter()

    @routes.get("/api/resize/pictures")
    def listing() -> dict[str, Any]:
        with told():
            return resizing.listing(window)

    @routes.post("/api/resize/crops")
    def crop(wish: Crops) -> dict[str, Any]:
        with told():
            return resizing.crop(window, wish.crops)

    @routes.post("/api/resize/crops/undo")
    def undo() -> dict[str, Any]:
        return moved("undo")

    @routes.post("/api/resize/crops/redo")
    def redo() -> dict[str, Any]:
        return moved("redo")

    def moved(which: str) -> dict[str, Any]:
        root = resizing.root_of(window)
        with told():
            changed = getattr(Recipes(root), which)() if root else 0
            return {"changed": changed} | resizing.listing(window)

    @routes.post("/api/resize/window")
    def window_of(wish: Looked) -> dict[str, Any]:
        with told():
            return resizing.window_of(window, wish.picture, checked(wish.crop) if wish.crop else None)

    @routes.get("/api/resize/mask/{picture}")
    def mask(picture: str) -> Response:
        with told():
            data = resizing.mask_shown(window, picture)
        if data is None:
            raise HTTPException(404, "This picture has no mask.")
        return Response(data, media_type="image/png", headers={"cache-control": "no-store"})

    @routes.post("/api/resize/mask")
    def paint(wish: Mask) -> dict[str, Any]:
        with told():
            return resizing.paint(window, wish.picture, wish.data)

    @routes.post("/api/resize/masks/alpha")
    def from_alpha(wish: Pictures) -> dict[str, Any]:
        with told():
            return resizing.from_alpha(window, wish.pictures)

    @routes.post("/api/resize/mask/undo")
    def undo_mask(wish: Action) -> dict[str, Any]:
        with told():
            outcome = resizing.undo_mask(window, wish.action)
            return {"changed": outcome.changed, "kept": [problem.reason for problem in outcome.kept]}

    @routes.get("/api/resize/table/{id}")
    def table(id: str) -> dict[str, Any]:
        found = resizing.table(window, id)
        if found is None:
            raise HTTPException(404, "There is no table of this work.")
        return found

    return routes


@contextmanager
def told() -> Iterator[None]:
    """What a person can mend, as a sentence."""
    try:
        yield
    except (FileError, PictureError) as error:
        raise HTTPException(409, f"{error.reason[:1].upper()}{error.reason[1:]}; {error.fix}.") from None
    except (SettingsError, JournalError, ValueError) as error:
        text = str(error)
        raise HTTPException(400, f"{text[:1].upper()}{text[1:]}.") from None
    except OSError as error:
        raise HTTPException(409, f"{error.strerror or error} ({error.filename}).") from None
