"""Looking into LoRA files and writing them anew, by the same program as in the shell: reading weights needs torch, and
this process has none. Also what a finished run learnt where."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel

from gui.routes.runs import run_of
from jobs.files import REPOSITORY

if TYPE_CHECKING:
    from gui.window import Window

SECONDS = 600  # for one file; a large one on a slow disk takes half a minute
COVERAGE = "coverage.json"  # as trainer/output.py writes it


class Asked(BaseModel):
    path: str
    to: str = ""


def router(window: Window) -> APIRouter:
    routes = APIRouter()

    @routes.post("/api/lora/inspect")
    def inspect(asked: Asked) -> dict[str, Any]:
        """What the file is: family, names, ranks, what it changes, its metadata."""
        return told("inspect", typed(asked.path))

    @routes.post("/api/lora/convert")
    def convert(asked: Asked) -> dict[str, Any]:
        """Write it beside itself under other names. Nothing is overwritten."""
        return told("convert", typed(asked.path), f"--to={asked.to}")

    @routes.get("/api/runs/{run}/coverage")
    def coverage(run: str) -> dict[str, Any]:
        """What a run learnt where; without parts while it has not ended."""
        path = run_of(window, run).job.folder / COVERAGE
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"layers": 0, "parts": []}

    return routes


def typed(path: str) -> str:
    """The path that was typed, absolute; a relative one is meant from the program's folder."""
    if not path.strip() or "\0" in path:
        raise HTTPException(422, "Choose a LoRA file, or a folder of PEFT or diffusers.")
    return str(REPOSITORY / os.path.expanduser(path.strip()))


def told(*words: str) -> dict[str, Any]:
    """What the program says, or its complaint."""
    argv = [sys.executable, "-m", "trainer.tools.command", *words, "--json"]
    try:
        done = subprocess.run(argv, cwd=REPOSITORY, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              encoding="utf-8", timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise HTTPException(409, f"It took longer than {SECONDS // 60} minutes, and was ended.") from None
    if done.returncode:
        raise HTTPException(409, (done.stderr.strip().splitlines() or ["It ended without saying why."])[-1])
    return json.loads(done.stdout)
