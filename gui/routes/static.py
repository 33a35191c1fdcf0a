"""Our script and logo: the files in `widgets/` go out as one, since each depends on `base.js` being there first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse, JSONResponse

if TYPE_CHECKING:
    from gui.window import Window

GUI = Path(__file__).parents[1]
CACHED = {"cache-control": "private, max-age=3600"}  # the address changes with what is in it


def router(window: Window) -> APIRouter:
    routes = APIRouter()
    script = joined()

    @routes.get("/static/loratory.js")
    def scripts() -> Response:
        return Response(script, media_type="text/javascript", headers=CACHED)

    @routes.get("/static/version")
    def version() -> Response:
        """Asked by a page that was cut off: whether the window still is the one that has drawn it."""
        return Response(window.version, media_type="text/plain", headers={"cache-control": "no-store"})

    @routes.get("/static/logo.svg")
    @routes.get("/favicon.ico")
    def logo() -> FileResponse:
        return FileResponse(GUI / "logo.svg", media_type="image/svg+xml", headers=CACHED)

    @routes.get("/manifest.json")
    def manifest() -> JSONResponse:
        """What a browser calls the window where a person keeps it as an app."""
        icon = {"src": "static/logo.svg", "sizes": "any", "type": "image/svg+xml"}
        about = {"name": "Loratory", "icons": [icon], "start_url": "./", "display": "standalone"}
        return JSONResponse(about, media_type="application/manifest+json")

    return routes


def joined() -> str:
    """`base.js` first, then the rest in the order of their names."""
    files = sorted((GUI / "widgets").glob("*.js"), key=lambda path: (path.stem != "base", path.name))
    return "\n".join(f"{{\n{path.read_text(encoding='utf-8')}\n}}" for path in files)
