"""The LoRA tools room: what a LoRA file is and changes, and the same file for other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gui.widgets import widget
from trainer.lora.keys import DIALECTS

if TYPE_CHECKING:
    from gui.window import Window

title = "LoRA tools"
order = 60


def build(window: Window) -> None:
    dialects = [{"name": name, "about": text} for name, text in DIALECTS.items()]
    widget("loraTools", elem_id="lora-tools", dialects=dialects)
