"""Looking for a folder or a file on this machine: names only, nothing is opened."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel

from dataset.pictures import EXTENSIONS
from jobs.files import REPOSITORY

if TYPE_CHECKING:
    from gui.window import Window

SHOWN = 2000  # entries of one folder
MODELS = frozenset({".safetensors", ".ckpt", ".pt", ".bin"})


class Wish(BaseModel):
    path: str = ""
    kind: Literal["file", "folder", "model"] = "folder"


def router(window: Window) -> APIRouter:
    routes = APIRouter()

    @routes.post("/api/browse")
    def browse(wish: Wish) -> dict[str, Any]:
        folder = nearest_folder(wish.path)
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: (not entry.is_dir(), entry.name.casefold()))
        except OSError as error:
            raise HTTPException(403, f"{folder} cannot be read: {error.strerror}") from None
        visible = [entry for entry in entries if not entry.name.startswith(".") and legible(entry.name)]
        listed = [described(entry, wish.kind) for entry in visible if entry.is_dir() or offered(entry.name, wish.kind)]
        pictures = sum(Path(entry.name).suffix.lower() in EXTENSIONS for entry in visible)
        note = f"{pictures:,} pictures here" if pictures else "no pictures directly in this folder"
        return {
            "path": str(folder),
            "parent": str(folder.parent) if folder.parent != folder else None,
            "entries": listed[:SHOWN],
            "note": note if wish.kind == "folder" else model_note(folder) if wish.kind == "model" else "",
            "places": places(window.home),
        }

    return routes


def nearest_folder(typed: str) -> Path:
    """The folder that was typed, or the nearest one above it that is there; the home folder for nothing."""
    if not typed.strip() or "\0" in typed:
        return Path.home()
    path = Path(os.path.expanduser(typed))
    if not path.is_absolute() and os.path.exists(REPOSITORY / path):  # os.path says no to what no system could hold
        path = REPOSITORY / path
    path = Path(os.path.abspath(path))
    return next(folder for folder in (path, *path.parents) if os.path.isdir(folder) or folder.parent == folder)


def places(home: Path) -> list[dict[str, str]]:
    """Where people usually start."""
    known = {
        "Home": Path.home(),
        "Here": Path.cwd(),
        "Workspace": home,
        "Demo pictures": REPOSITORY / "toy" / "images",
        "Toy model": REPOSITORY / "toy" / "models",
    }
    return [{"name": name, "path": str(path)} for name, path in known.items() if path.is_dir()]


def described(entry: os.DirEntry[str], kind: str) -> dict[str, Any]:
    hint = ""
    if entry.is_dir() and kind == "model" and os.path.exists(os.path.join(entry.path, "model_index.json")):
        hint = "diffusers model"
    elif entry.is_file():
        pickle = kind == "model" and Path(entry.name).suffix.lower() != ".safetensors"
        hint = f"{entry.stat().st_size / 1e6:,.0f} MB{', a pickle: asks for your yes' if pickle else ''}"
    return {"name": entry.name, "path": entry.path, "folder": entry.is_dir(), "hint": hint}


def offered(name: str, kind: str) -> bool:
    return kind == "file" or (kind == "model" and Path(name).suffix.lower() in MODELS)


def model_note(folder: Path) -> str:
    return "This folder is a diffusers model." if (folder / "model_index.json").is_file() else ""


def legible(name: str) -> bool:
    """A name that can be written into JSON and settings: file names may hold bytes that are no text."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
