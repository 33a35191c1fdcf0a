"""The Tag editor: the pictures of the open folder in a grid, their captions as tags, and edits of many at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gui.widgets import widget

if TYPE_CHECKING:
    from gui.window import Window

title = "Tag editor"
order = 25


def build(window: Window) -> None:
    widget("tags", elem_id="tags")
