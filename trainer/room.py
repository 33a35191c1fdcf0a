"""How much a run writes to the disk: arithmetic on how many numbers learn, so that the plan can say it before anything
is loaded, and the run asks for it before its first step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainer.optim import state_of

if TYPE_CHECKING:
    from trainer.config import TrainSettings

KEPT = 2  # states; the one before stays, in case the disk damages the newest
WIDTH = {"fp16": 2, "bf16": 2, "float32": 4}  # bytes of a number


@dataclass(frozen=True)
class Room:
    """Bytes. `states`: all that are there at once, the next one while it is written among them. `file`: one saved
    file, with its moving average. `files`: how many are kept."""

    states: float
    file: float
    files: int

    @property
    def least(self) -> float:
        """Without which the run can't begin."""
        return self.states + self.file

    @property
    def most(self) -> float:
        return self.states + self.file * self.files


def room(config: TrainSettings, learnt: float, beside: float, saves: int) -> Room:
    """`learnt`: numbers that learn. `beside`: numbers that each file holds besides, such as the VAE of a whole model.
    `saves`: how many checkpoints are planned."""
    averages = 1 + bool(config.optimizer.ema_decay)
    state = 4 * learnt * (averages + state_of(config.optimizer.name, config.all_weights))
    file = (learnt + beside) * WIDTH[config.save.precision] * averages
    kept = min(saves, config.save.keep_last or saves)
    return Room((KEPT + 1) * state, file, kept + 1)
