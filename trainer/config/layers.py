"""What goes with layers that have a rate or a limit of their own, said before a run begins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainer.config import TrainSettings


def conflicts(config: TrainSettings) -> Iterator[tuple[str, str]]:
    denoiser, optimizer = config.lora.denoiser, config.optimizer
    for number, row in enumerate(denoiser.blocks if denoiser.train and optimizer.finds_its_rate else ()):
        if row.rate != 1:
            yield f"lora.denoiser.blocks.{number}.rate", (
                f"{optimizer.name} finds one step size for everything: set it to 1")
    if config.lora.max_norm and optimizer.name == "schedulefree_adamw":
        yield "lora.max_norm", (
            "the schedule-free optimiser keeps the weights a second time and would undo it: leave it empty, or choose "
            "another optimiser")


def warnings(config: TrainSettings) -> Iterator[tuple[str, str]]:
    if config.lora.max_norm and config.all_weights:
        yield "lora.max_norm", "has no effect: all weights learn, and no LoRA"
