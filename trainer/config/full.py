"""Training all weights of the denoiser instead of a LoRA, as DreamBooth first did (Ruiz et al., arXiv 2208.12242)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from settings.section import Section, Ui

if TYPE_CHECKING:
    from trainer.config import TrainSettings

A_LORAS = 5e-5  # a rate from which on it is rather one for a LoRA


class FullSettings(Section):
    """All weights of the UNet learn, and a whole checkpoint comes of it instead of a LoRA (DreamBooth, fine-tuning).
    For those with the memory: six to ten times what the model has in 16 bits."""

    train: Annotated[bool, Ui("Train all weights of the UNet", needs="full", kohya="train_db fine_tune sdxl_train")] = (
        False
    )
    """Teach the UNet itself instead of a LoRA beside it. Its weights are kept in float32 and computed with in the mixed
    precision: in bf16 small steps would be rounded away. The text encoders stay as they are."""

    learning_rate: Annotated[float, Field(gt=0, le=10), Ui(needs="full", when="full.train", kohya="learning_rate")] = (
        5e-6
    )
    """Size of a step: 1e-6 to 1e-5 is usual. A LoRA's rate of 1e-4 would ruin the model."""


def conflicts(config: TrainSettings) -> Iterator[tuple[str, str]]:
    """What can't be had while all weights learn."""
    if not config.all_weights:
        return
    if config.lora.denoiser.train:
        yield "lora.denoiser.train", "all weights of the UNet learn (full.train): switch the LoRA off, or them"
    for name, text in config.text_encoders.items():
        if text.train:
            yield f"lora.{name}.train", "beside all weights of the UNet no LoRA is trained: switch it off"
    if config.lora.weights:
        yield "lora.weights", "all weights learn and no LoRA: to go on from a checkpoint, choose it as model.base"
    if config.prior.asks:
        yield "prior.kind", "the base model can't be asked while its own weights change: choose images, or off"
    if config.memory.base_precision != "16bit":
        said = "weights in few bits can't learn: choose 16bit, and save memory with adamw8bit or adafactor"
        yield "memory.base_precision", said
    if config.memory.text_precision != "16bit":
        yield "memory.text_precision", "the text encoders go into the checkpoint, and must be whole: choose 16bit"


def warnings(config: TrainSettings) -> Iterator[tuple[str, str]]:
    """What is unlikely, or has no effect, while all weights learn."""
    if not config.all_weights:
        return
    rate, finds = config.full.learning_rate, config.optimizer.finds_its_rate
    if finds and rate < 0.1:
        said = f"{config.optimizer.name} multiplies its own step size by this: set it to 1"
        yield "full.learning_rate", said
    elif not finds and rate >= A_LORAS:
        yield "full.learning_rate", f"{rate:g} is a rate for a LoRA: all weights usually learn at 1e-6 to 1e-5"
    for name in ("peft", "blocks"):
        if getattr(config.save, name):
            yield f"save.{name}", "has no effect while all weights learn: there is no LoRA"
