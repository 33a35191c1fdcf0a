"""Dataset, Pictures: open a folder, look at what is in it, and use it for training where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

from gui.events import QUIET
from gui.training import Training, Updates
from gui.widgets import widget
from jobs.files import REPOSITORY

if TYPE_CHECKING:
    from gui.window import Window

title = "Pictures"
order = 10
DEMO = "toy/images"


def build(window: Window) -> None:
    demo = DEMO if (REPOSITORY / DEMO).is_dir() else ""
    window.parts["pictures"] = widget("pictures", elem_id="pictures", demo=demo)


def wire(window: Window, page: gr.Blocks) -> None:
    training = Training(window)

    def use_in_place(event: gr.EventData) -> Updates:
        folder = {"path": str(event._data["folder"]), "repeats": event._data.get("repeats")}
        return training.fill({"dataset.folders": [folder]}) | {window.tabs: gr.Tabs(selected="train")}

    window.parts["pictures"].choose(use_in_place, None, training.outputs | {window.tabs}, **QUIET)
