"""The Runs room: what was, is and will be captioned or trained, read by polling: nothing has to stay connected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from gui import learnt, trouble
from gui.captioning import Captioning
from gui.events import QUIET, notice
from gui.training import Training
from gui.widgets import widget
from trainer.command import another_name

if TYPE_CHECKING:
    from gui.window import Window

title = "Runs"
order = 40


def build(window: Window) -> None:
    widget("queue", elem_id="queue")
    window.parts["runs"] = widget("runs", elem_id="runs")


def wire(window: Window, page: gr.Blocks) -> None:
    training, captioning = Training(window), Captioning(window)

    def load(event: gr.EventData) -> dict[Any, Any]:
        """Put a run's settings on the form that they are from; of a training also under another name, so that a new one
        goes on from its weights, or with those changed that made it fail."""
        run = window.runs.find(str(event._data.get("run")))
        if run is None:
            return {window.parts["notice"]: notice("There is no such run any more.", bad=True)}
        if run.job.kind == "captions":
            room, filled = "captions", captioning.load(run.job.config_path)
        else:
            also = learnt.start_from(run.job) if event._data.get("weights") else {}
            also |= {"name": another_name(run.job.name)} if event._data.get("duplicate") else {}
            mended = {str(number): fix["settings"] for number, fix in enumerate(trouble.fixes(run.refresh()))}
            also |= mended.get(str(event._data.get("fix")), {})
            room, filled = "train", training.load(run.job.config_path, also)
        return filled | ({window.tabs: gr.Tabs(selected=room)} if len(filled) > 1 else {})

    window.parts["runs"].choose(load, None, training.outputs | captioning.outputs | {window.tabs}, **QUIET)
