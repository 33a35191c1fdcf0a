"""The Runs room: what was, is and will be trained. The page reads it by polling; nothing here has to stay connected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from gui.events import QUIET
from gui.tabs import train
from gui.widgets import widget
from settings import toml
from settings.errors import SettingsError
from settings.flags import flat
from trainer.config import TrainSettings

if TYPE_CHECKING:
    from gui.window import Window

title = "Runs"
order = 40


def build(window: Window) -> None:
    window.parts["runs"] = widget("runs", elem_id="runs")


def wire(window: Window, page: gr.Blocks) -> None:
    def load(event: gr.EventData) -> dict[Any, Any]:
        """Put a run's settings on the training form."""
        run = window.runs.find(str(event._data.get("run")))
        if run is None:
            raise gr.Error("There is no such run any more.", print_exception=False)
        try:
            values = toml.loads(TrainSettings, toml.text_of(run.job.config_path))
            filled = train.fill(window, flat(values), afresh=True)
        except SettingsError as error:
            raise gr.Error(str(error), title="These settings do not fit", print_exception=False) from None
        return filled | {window.tabs: gr.Tabs(selected="train")}

    window.parts["runs"].choose(load, None, train.outputs(window) | {window.tabs}, **QUIET)
