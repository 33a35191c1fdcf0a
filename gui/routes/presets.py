"""The list of presets. Loading one into the form and saving the form as one are the training tab's own events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel

from settings.errors import SettingsError
from settings.presets import SHIPPED, Preset, delete, presets
from trainer.families import families

if TYPE_CHECKING:
    from gui.window import Window


class Wish(BaseModel):
    key: str


def router(window: Window) -> APIRouter:
    routes = APIRouter()

    @routes.get("/api/presets")
    def listed() -> list[dict[str, Any]]:
        return [
            {
                "key": key,
                "name": preset.name,
                "family": preset.family,
                "label": label(preset.family),
                "purpose": preset.purpose,
                "memory_gb": preset.memory_gb,
                "description": preset.description,
                "builtin": preset.builtin,
            }
            for key, preset in known(window).items()
        ]

    @routes.post("/api/presets/delete")
    def remove(wish: Wish) -> dict[str, Any]:
        preset = known(window).get(wish.key)
        if preset is None:
            raise HTTPException(404, "There is no such preset any more.")
        try:
            delete(preset)
        except SettingsError as error:
            raise HTTPException(400, "; ".join(error.problems.values())) from None
        return {}

    return routes


def label(family: str) -> str:
    """What people call a family; a folder of another name, as the toy world's, is called by it."""
    found = families().get(family)
    return found.label if found else family.capitalize()


def known(window: Window) -> dict[str, Preset]:
    """Every preset by a key for the page, the built-in ones first."""
    found = presets([SHIPPED, window.home / "presets"])
    return {f"{'ours' if preset.builtin else 'yours'}/{preset.family}/{preset.name}": preset for preset in found}
