"""What the Settings tab tells: where things are kept, which versions run, and whether the machine is fit."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException

from jobs.files import REPOSITORY

if TYPE_CHECKING:
    from gui.window import Window

PACKAGES = ("gradio", "torch", "diffusers", "accelerate", "peft")


def router(window: Window) -> APIRouter:
    routes = APIRouter()

    @routes.get("/api/about")
    def about() -> dict[str, Any]:
        disk = shutil.disk_usage(window.home)
        return {
            "workspace": str(window.home),
            "program": str(REPOSITORY),
            "free": disk.free,
            "size": disk.total,
            "python": platform.python_version(),
            "versions": {name: version(name) for name in PACKAGES},
        }

    @routes.post("/api/doctor")
    def doctor() -> list[dict[str, str]]:
        """Runs in a process of its own: it imports torch, which the window never does."""
        command = [sys.executable, "-m", "setup.doctor", "--json"]
        answer = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=90, check=False)
        try:
            found = json.loads(answer.stdout)
        except ValueError:
            raise HTTPException(500, f"The check itself failed: {answer.stderr.strip()[-300:]}") from None
        return found["checks"] if isinstance(found, dict) else found

    return routes
