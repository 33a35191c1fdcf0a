"""What a resumed run needs: adapters, optimiser, scaler, position and settings, each by name, in one folder that is
whole or absent.

A state is written into a folder beside it, its manifest of sizes and hashes last, synced, renamed in one step and read
again; only then are older ones removed. So at every moment a state that loads is on disk, and the loader takes the
newest whose manifest is true.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from trainer.needs.room import KEPT

MANIFEST = "manifest.json"
PARTS = ("adapters.safetensors", "optimizer.pt", "position.json")  # without these it is no state
CONFIG = "config.toml"  # since the settings are kept, too
AVERAGE = "average.safetensors"  # of runs that keep one


@dataclass
class State:
    """`adapters`: float32 by name. `optimizer`: its state_dict with names for numbers (`named`). `scaler`: its
    state_dict. `position`: plain values such as the step. `config`: the settings as TOML, "" if they are not known.
    `average`: the moving average of the adapters, empty where none is kept."""

    adapters: dict[str, Tensor]
    optimizer: dict[str, Any]
    scaler: dict[str, Any]
    position: dict[str, Any]
    config: str = ""
    average: dict[str, Tensor] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes on disk, nearly."""
        return sum(tensor.nbytes for tensor in tensors([self.adapters, self.average, self.optimizer])) + 1_000_000


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
        write(aside, state)
        if final.exists():  # damaged
            shutil.rmtree(final)
        os.replace(aside, final)
        sync(folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    rotate(folder, final)
    return final


def write(aside: Path, state: State) -> None:
    """Everything, down to the disk itself, and the manifest last."""
    save_file(on_cpu(state.adapters), aside / "adapters.safetensors")
    if state.average:
        save_file(on_cpu(state.average), aside / AVERAGE)
    torch.save({"optimizer": state.optimizer, "scaler": state.scaler}, aside / "optimizer.pt")
    (aside / "position.json").write_text(json.dumps(state.position), encoding="utf-8")
    (aside / CONFIG).write_text(state.config, encoding="utf-8", newline="\n")
    manifest = {file.name: [file.stat().st_size, sha256(file)] for file in sorted(aside.iterdir())}
    for file in aside.iterdir():
        sync(file)
    (aside / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    sync(aside / MANIFEST)
    sync(aside)


def rotate(folder: Path, newest: Path) -> None:
    """Remove all but the newest whole states, once `newest` is known to be one of them. A damaged state does not count
    as one that is kept."""
    if not whole(newest):
        raise OSError(f"{newest} is not what was written: the disk can't be trusted")
    kept = 0
    for path in saved(folder):
        if path == newest or (kept < KEPT and whole(path)):
            kept += 1
        else:
            shutil.rmtree(path)


def load(folder: Path, say: Callable[[str], None]) -> State | None:
    """The newest state that is whole, on the CPU; None if there is none. `say` hears of damaged ones that were passed
    over."""
    for path in saved(folder):
        if not whole(path):
            say(f"the saved state {path.name} is damaged and was passed over")
            continue
        rest = torch.load(path / "optimizer.pt", map_location="cpu", weights_only=True)
        return State(
            load_file(path / "adapters.safetensors"),
            rest["optimizer"],
            rest["scaler"],
            json.loads((path / "position.json").read_text(encoding="utf-8")),
            (path / CONFIG).read_text(encoding="utf-8") if (path / CONFIG).exists() else "",
            load_file(path / AVERAGE) if (path / AVERAGE).exists() else {},
        )
    if saved(folder):
        say("no saved state is whole: the run begins again at its first step")
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
        return set(PARTS) <= manifest.keys() and all(
            (path / name).stat().st_size == size and sha256(path / name) == digest
            for name, (size, digest) in manifest.items()
        )
    except (OSError, ValueError, TypeError, AttributeError):  # not there, no JSON, or JSON of another shape
        return False


def sweep(folder: Path) -> None:
    """Remove what an interrupted save has left."""
    for aside in folder.glob(".step-*"):
        shutil.rmtree(aside, ignore_errors=True)


def named(optimizer: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """An optimiser's state_dict with the parameters' names in place of their numbers, which follow from the order of a
    model's layers."""
    return _renamed(optimizer, dict(enumerate(names)))


def numbered(optimizer: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """The other way round, for the parameters as they are numbered now."""
    return _renamed(optimizer, {name: number for number, name in enumerate(names)})


def _renamed(optimizer: dict[str, Any], new: dict) -> dict[str, Any]:
    slots = {new.get(key, key): slot for key, slot in optimizer["state"].items()}
    groups = [group | {"params": [new.get(key, key) for key in group["params"]]} for group in optimizer["param_groups"]]
    return optimizer | {"state": slots, "param_groups": groups}


def on_cpu(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}


def tensors(tree: Any) -> Iterable[Tensor]:
    """All tensors in dicts and lists."""
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, dict | list | tuple):
        for item in tree.values() if isinstance(tree, dict) else tree:
            yield from tensors(item)


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
