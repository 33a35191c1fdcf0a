"""What the page "Resize & crop" shows of the pictures: their crops, their masks, and what would be cut off."""

from __future__ import annotations

import base64
import binascii
import io
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from dataset import masks, pictures
from dataset.files import FileError, content
from dataset.journal import Journal, Outcome
from dataset.resize import faces
from dataset.resize.geometry import WHOLE, Box, aspect_of, cut
from dataset.resize.job import TABLE
from dataset.resize.recipes import Recipes, checked, crops_of
from dataset.resize.render import focus_of
from dataset.resize.settings import Settings
from dataset.settings import Folder
from jobs.files import REPOSITORY, read_json
from settings.errors import SettingsError, check
from settings.paths import absolute

if TYPE_CHECKING:
    from gui.window import Window

FORM = "resize"
MAX_MASK = 4_000_000  # bytes of a mask as a page sends it
EMPTY = {"folder": ".", "output": "."}
LOOKED_AT = 1024  # pixels of the longer side that a picture is decoded to for a suggestion


def settings_of(window: Window) -> Settings:
    """What stands in the form; what is not right yet has its default."""
    values = EMPTY | {name: value for name, value in window.drafts.load(FORM).items() if value}
    while True:
        try:
            return check(Settings, values)
        except SettingsError as error:
            wrong = {path.partition(".")[0] for path in error.problems} & set(values)
            values = {name: value for name, value in values.items() if name not in wrong} if wrong else EMPTY


def root_of(window: Window) -> Path | None:
    """The folder of the form, else the one that is open; None: there is none."""
    for draft, name in ((FORM, "folder"), ("dataset", "path")):
        text = str(window.drafts.load(draft).get(name) or "").strip()
        if text and "\0" not in text:
            path = absolute(text)
            return path if path.is_dir() else None
    return None


def listing(window: Window) -> dict[str, Any]:
    """The pictures with what was drawn for each. FileError where the crops can't be read."""
    root = root_of(window)
    if root is None:
        return {"path": "", "pictures": [], "undo": 0, "redo": 0}
    settings, recipes = settings_of(window), Recipes(root)
    undo, redo = recipes.steps()
    items = window.scans.scan([Folder(path=str(root))]).items
    crops = crops_of(root, [item.path for item in items])
    rows, finder = [], masks.Masks()
    for item in items:
        size = item.width, item.height
        rows.append({
            "id": window.thumbnails.id_of(item.path), "name": item.path.name,
            "folder": item.path.parent.relative_to(root).as_posix(), "width": item.width, "height": item.height,
            "aspect": aspect_of(size, settings), "crop": crops.get(item.path),
            "mask": finder.find(item.path) is not None,
        })
    return {"path": str(root), "pictures": rows, "undo": undo, "redo": redo}


def crop(window: Window, wanted: dict[str, Any]) -> dict[str, Any]:
    """Set crops by pictures' ids, None takes one away; how many can be undone now. ValueError for what is no crop or
    picture."""
    root = root_of(window)
    changes = {within(window, root, id): checked(box) if box is not None else None for id, box in wanted.items()}
    recipes = Recipes(root)
    recipes.put(changes)
    return dict(zip(("undo", "redo"), recipes.steps()))


def window_of(window: Window, id: str, box: Box | None) -> dict[str, Any]:
    """What a resize with the form's settings would take of a picture, in shares, given a crop or none; its size; and by
    what. PictureError where it can't be opened."""
    settings = settings_of(window)
    path = known(window, id)
    decoded = pictures.decoded(path, least=LOOKED_AT)
    model = faces.model_file(settings.face_model) if settings.keep == "face" else None
    focus = focus_of(decoded, settings, Asked(path, model) if model else None)
    found = cut(decoded.size, settings, box or WHOLE, focus)
    width, height = decoded.size
    shares = [found.box[0] / width, found.box[1] / height, found.box[2] / width, found.box[3] / height]
    return {"box": [min(1.0, max(0.0, share)) for share in shares], "size": found.size, "scale": found.scale,
            "by": "hand" if box else focus.found or settings.keep if focus else settings.keep,
            "missing": faces.missing(settings.face_model) if settings.keep == "face" and not model else ""}


@dataclass(frozen=True)
class Asked:
    """A face detector in a process of its own: the window itself loads no models."""

    path: Path
    model: Path

    def faces(self, _: Image.Image) -> list[faces.Face]:
        command = [sys.executable, "-m", "dataset.resize.faces", str(self.model), str(self.path)]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise ValueError(f"faces can't be looked for: {done.stderr.strip()[-300:]}")
        return [faces.Face(*values) for values in json.loads(done.stdout)]


def mask_shown(window: Window, id: str, side: int = 1024) -> bytes | None:
    """A picture's mask as PNG, at most `side` pixels; None if it has none. PictureError where it is broken."""
    path = masks.find(known(window, id))
    if path is None:
        return None
    image = masks.read(path)
    image.thumbnail((side, side))
    return _png(image)


def paint(window: Window, id: str, data: str | None) -> dict[str, Any]:
    """Write a mask (PNG in base64, of any size; it gets the picture's own), or take it away with None: an action that
    can be undone. ValueError for what is no PNG, FileError where it can't be written."""
    root = root_of(window)
    picture = within(window, root, id)
    if data is None:
        return _write(root, picture, None)
    return _write(root, picture, _png(_drawn(data).resize(pictures.size_of(picture), Image.Resampling.BILINEAR)))


def from_alpha(window: Window, ids: list[str]) -> dict[str, Any]:
    """Masks of pictures that have none and are transparent somewhere; one action."""
    root = root_of(window)
    journal = Journal(root)
    written = 0
    with journal.begin("Masks from transparency") as action:
        for id in ids:
            picture = within(window, root, id)
            alpha = pictures.transparency(picture) if masks.find(picture) is None else None
            if alpha is not None:
                masks.place(picture).parent.mkdir(exist_ok=True)
                written += action.change(masks.place(picture), None, _png(alpha))
    return {"action": action.id if written else None, "written": written}


def undo_mask(window: Window, action: str) -> Outcome:
    """Take a mask's change back. JournalError for what is no action."""
    return Journal(root_of(window)).undo(action)


def table(window: Window, id: str) -> dict[str, Any] | None:
    """What a resize job does with each picture; None before it knows, or if there is no such job."""
    job = window.works.find(id)
    return read_json(job.folder / TABLE) if job and job.kind == "resize" else None


def known(window: Window, id: str) -> Path:
    path = window.thumbnails.path_of(id)
    if path is None:
        raise ValueError("this picture is not open")
    return path


def within(window: Window, root: Path | None, id: str) -> Path:
    """A picture of the folder that is open here."""
    path = known(window, id)
    if root is None or not path.is_relative_to(root):
        raise ValueError("this picture is not in the folder that is open here")
    return path


def _write(root: Path, picture: Path, data: bytes | None) -> dict[str, Any]:
    """Ours replaces one of another convention in what is read, so that one stays where it is."""
    target = masks.place(picture)
    before = content(target)
    if before == data:
        return {"action": None}
    if data is not None:
        target.parent.mkdir(exist_ok=True)
    with Journal(root).begin(f"Mask of {picture.name}") as action:
        if not action.change(target, before, data):
            raise FileError(target, "it was changed by another program meanwhile", "try again")
    return {"action": action.id}


def _drawn(data: str) -> Image.Image:
    if len(data) > MAX_MASK * 4 // 3:
        raise ValueError("the mask is too large")
    try:
        with Image.open(io.BytesIO(base64.b64decode(data, validate=True)), formats=["PNG"]) as image:
            if max(image.size) > 4096:
                raise ValueError("the mask is too large")
            return image.convert("L")
    except (binascii.Error, OSError, SyntaxError) as error:
        raise ValueError("this is no mask") from error


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()

