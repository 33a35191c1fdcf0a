"""The Settings room: where things are kept, how the page looks, whether the machine is fit, tokens and who is signed
in, and the keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gui.widgets import widget

if TYPE_CHECKING:
    from gui.window import Window

title = "Settings"
order = 90


def build(window: Window) -> None:
    widget("settings", elem_id="settings")
