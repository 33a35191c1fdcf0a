"""Dataset, Doctor: what is wrong with the pictures and captions of the open folder, and what mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gui.widgets import widget

if TYPE_CHECKING:
    from gui.window import Window

title = "Doctor"
order = 20


def build(window: Window) -> None:
    window.parts["doctor"] = widget("doctor", elem_id="doctor")
