"""What a run has made as folders (adapters for PEFT and diffusers), to be taken away as a zip that is made while it is
sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from fastapi import APIRouter, HTTPException
from fastapi.responses import StreamingResponse

from dataset.exchange.target import Buffer, ZipTarget
from gui.run import Run

if TYPE_CHECKING:
    from gui.window import Window

PIECE = 1 << 20  # bytes
KINDS = ("peft", "diffusers")  # as trainer.output names the folders: NAME-peft


def router(window: Window) -> APIRouter:
    routes = APIRouter()

    @routes.get("/api/runs/{run}/folders/{name}")
    def folder(run: str, name: str) -> StreamingResponse:
        known = window.runs.find(run)
        files = folders(known).get(name) if known else None
        if not files:
            raise HTTPException(404, "this run has no such folder")
        headers = {"content-disposition": f"attachment; filename*=utf-8''{quote(f'{name}.zip')}",
                   "cache-control": "no-store"}
        return StreamingResponse(zipped(files), media_type="application/zip", headers=headers)

    return routes


def folders(run: Run) -> dict[str, dict[str, Path]]:
    """{name: {name inside it, with its own: path}} of those folders; links that lead out of the run are left out."""
    root = run.job.folder
    made = sorted(path for kind in KINDS for path in root.glob(f"*-{kind}") if path.is_dir())
    inside = {path.name: [file.relative_to(root).as_posix() for file in sorted(path.rglob("*"))] for path in made}
    known = {name: {file: path for file in files if (path := run.file(file))} for name, files in inside.items()}
    return {name: files for name, files in known.items() if files}


def zipped(files: dict[str, Path]) -> Iterator[bytes]:
    stream = Buffer()
    target = ZipTarget(stream)
    for name, path in files.items():
        with path.open("rb") as source, target.open(name) as entry:
            while piece := source.read(PIECE):
                entry.write(piece)
                yield stream.take()
    target.close()
    yield stream.take()
