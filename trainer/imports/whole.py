"""Rules for DreamBooth and fine-tuning: scripts of their own there, which may train the text encoder too, and whose
files have no network in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trainer.imports.translation import Translation
from trainer.imports.values import is_off, number

NETWORKS = ("LoRA_type", "network_module", "network_dim", "network_weights")
# Only those scripts have these; without one it may be a file for LoRA that leaves its network to the command line.
MARKS = ("stop_text_encoder_training", "learning_rate_te", "learning_rate_te1", "train_text_encoder", "block_lr")
TEXT = ("learning_rate_te", "learning_rate_te1", "learning_rate_te2", "text_encoder_lr", "train_text_encoder")


def whole(t: Translation) -> None:
    """All weights of the UNet, with its own rate."""
    mark = next((name for name in MARKS if name in t), "")
    if not mark or any(name in t for name in NETWORKS) or "full" not in t.family.traits:
        return
    note = "DreamBooth and fine-tuning train all weights, which is a switch here"
    t.put(mark, "full.train", True, note)
    t.put(mark, "lora.denoiser.train", False, note)
    if rate := number(t.take("learning_rate")):
        t.put("learning_rate", "full.learning_rate", rate)
    for name in TEXT:
        if not is_off(t.take(name)):
            t.leave(name, "beside all weights of the UNet the text encoders stay as they are")


RULES: list[Callable[[Translation], Any]] = [whole]
