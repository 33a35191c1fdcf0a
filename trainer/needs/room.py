"""How much a run writes to the disk: arithmetic on how many numbers learn, so that the plan can say it before anything
is loaded, and the run asks for it before its first step."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.files import home
from trainer.needs import memory
from trainer.optim import state_of

if TYPE_CHECKING:
    from trainer.config import TrainSettings

KEPT = 2  # states; the one before stays, in case the disk damages the newest
WIDTH = {"fp16": 2, "bf16": 2, "float32": 4}  # bytes of a number


@dataclass(frozen=True)
class Room:
    """Bytes. `state`: one of them; while one is written, there is one more than are kept. `file`: one saved file, with
    its moving average. `files`: how many are kept."""

    state: float
    file: float
    files: int

    @property
    def least(self) -> float:
        """Without which the run can't begin."""
        return (KEPT + 1) * self.state + self.file

    @property
    def most(self) -> float:
        return (KEPT + 1) * self.state + self.file * self.files

    @property
    def sentence(self) -> str:
        files = f"{self.files} files of {spelled(self.file)}" if self.files > 1 else f"a file of {spelled(self.file)}"
        return f"up to {spelled(self.most)}: {KEPT + 1} states of {spelled(self.state)}, and {files}"


def room(config: TrainSettings, learnt: float, beside: float, saves: int) -> Room:
    """`learnt`: numbers that learn. `beside`: numbers that each file holds besides, such as the VAE of a whole model.
    `saves`: how many checkpoints are planned."""
    averages = 1 + bool(config.optimizer.ema_decay)
    state = 4 * learnt * (averages + state_of(config.optimizer.name, config.all_weights))
    twice = config.lora.kind == "pissa" and not config.all_weights  # its file has twice the rank
    written = 2 * learnt if twice else learnt
    file = (written + beside) * WIDTH[config.save.precision] * averages
    kept = min(saves, config.save.keep_last or saves)
    return Room(state, file, kept + 1 + 2 * config.save.keep_best)  # the best one is copied at the end


def expected(config: TrainSettings, saves: int) -> Room | None:
    """The same before anything is loaded; None for a model whose size is not known."""
    shape = memory.shape_of(config)
    if shape is None:
        return None
    beside = memory.VAE / 4 + sum(shape.readers.values()) / 2 if config.all_weights else 0.0
    return room(config, memory.adapters(config, shape) / 4 * 1e9, beside * 1e9, saves)


def too_small(needed: Room | None) -> str:
    """What to do where the disk of the workspace can't hold a run; "" where it can, or nobody knows."""
    folder = next(parent for parent in (home(), *home().parents) if parent.exists())
    free = shutil.disk_usage(folder).free
    if needed is None or free >= needed.least:
        return ""
    return (
        f"a run needs {spelled(needed.least)} of disk ({needed.sentence}), and {spelled(free)} are free in {folder}: "
        "make room, or choose an optimizer that keeps less (adamw8bit)"
    )


def spelled(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"
