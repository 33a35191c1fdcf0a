"""Looking at foreign settings before they fill the form: by a path on this machine, or sent by the browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from settings.paths import located
from trainer.imports.report import ImportProblem

if TYPE_CHECKING:
    from gui.window import Window

LARGEST = 32 << 20  # bytes; of a LoRA the page sends the header only


class Wish(BaseModel):
    path: str


def router(window: Window) -> APIRouter:
    routes = APIRouter()

    @routes.post("/api/import-settings")
    def look(wish: Wish) -> dict[str, Any]:
        typed = wish.path.strip()
        if not typed or "\0" in typed:
            raise HTTPException(422, "Choose a file.")
        try:
            return window.imports.look(located(typed) or Path(typed))
        except (ImportProblem, OSError) as error:
            raise HTTPException(422, sentence(error)) from None

    @routes.post("/api/import-settings/file")
    async def look_at(name: str, request: Request) -> dict[str, Any]:
        data = bytearray()
        async for chunk in request.stream():
            data += chunk
            if len(data) > LARGEST:
                raise HTTPException(413, "This is too large for a settings file.")
        try:
            return await run_in_threadpool(window.imports.look_at, name, bytes(data))
        except ImportProblem as error:
            raise HTTPException(422, sentence(error)) from None

    return routes


def sentence(error: ImportProblem | OSError) -> str:
    text = (error.strerror or "it cannot be read") if isinstance(error, OSError) else str(error)
    return f"{text[:1].upper()}{text[1:]}."
