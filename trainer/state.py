"""What a resumed run needs: adapters, optimiser, scaler and position, each by name, in one folder that is whole or
absent.

A state is written into a folder beside it, its manifest of sizes and hashes last, synced, and renamed in one step;
only then are older ones removed. So at every moment a state that loads is on disk, and the loader takes the newest
whose manifest is true.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

MANIFEST = "manifest.json"
KEPT = 2  # the one before stays, in case the disk damages the newest


@dataclass
class State:
    """`adapters`: float32 by name. `optimizer`, `scaler`: their state_dicts. `position`: plain values such as the
    step."""

    adapters: dict[str, Tensor]
    optimizer: dict[str, Any]
    scaler: dict[str, Any]
    position: dict[str, Any]


def save(folder: Path, state: State) -> Path:
    """Write `state` as folder/step-00000100. Raises OSError (a full disk, say), and then the older states are still
    there."""
    final = folder / f"step-{state.position['step']:08d}"
    if whole(final):  # the same step again, after Stop: what is there is as good
        return final
    aside = folder / f".{final.name}.{os.getpid()}"
    sweep(folder)
    aside.mkdir(parents=True)
    try:
        save_file(
            {name: tensor.detach().cpu().contiguous() for name, tensor in state.adapters.items()},
            aside / "adapters.safetensors",
        )
        torch.save({"optimizer": state.optimizer, "scaler": state.scaler}, aside / "optimizer.pt")
        (aside / "position.json").write_text(json.dumps(state.position), encoding="utf-8")
        manifest = {file.name: [file.stat().st_size, sha256(file)] for file in sorted(aside.iterdir())}
        for file in aside.iterdir():
            sync(file)
        (aside / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
        sync(aside / MANIFEST)
        if final.exists():  # damaged
            shutil.rmtree(final)
        os.replace(aside, final)
        sync(folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    for old in saved(folder)[KEPT:]:
        shutil.rmtree(old)
    return final


def load(folder: Path, say: Callable[[str], None]) -> State | None:
    """The newest state that is whole, on the CPU; None if there is none. `say` hears of damaged ones that were passed
    over."""
    for path in saved(folder):
        if not whole(path):
            say(f"{path.name} is damaged and was passed over")
            continue
        rest = torch.load(path / "optimizer.pt", map_location="cpu", weights_only=True)
        return State(
            load_file(path / "adapters.safetensors"),
            rest["optimizer"],
            rest["scaler"],
            json.loads((path / "position.json").read_text(encoding="utf-8")),
        )
    return None


def saved(folder: Path) -> list[Path]:
    """All states, newest first."""
    return sorted(folder.glob("step-*"), reverse=True)


def last_step(folder: Path) -> int:
    """The step of the newest state; 0 without one."""
    return max((int(path.name.removeprefix("step-")) for path in saved(folder)), default=0)


def whole(path: Path) -> bool:
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        return all(
            (path / name).stat().st_size == size and sha256(path / name) == digest
            for name, (size, digest) in manifest.items()
        )
    except (OSError, ValueError):
        return False


def sweep(folder: Path) -> None:
    """Remove what an interrupted save has left."""
    for aside in folder.glob(".step-*"):
        shutil.rmtree(aside, ignore_errors=True)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """To the disk itself, not only to the system's buffers. Windows can't sync folders."""
    if os.name == "nt" and path.is_dir():
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
