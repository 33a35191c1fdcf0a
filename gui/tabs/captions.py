"""The Captions room: choose a folder and who describes its pictures, watch it go, and take any of it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from captioners import captioners
from captioners.config import CaptionConfig
from gui.captioning import ASKED, FORM, Captioning
from gui.events import QUIET, inputs_of
from gui.form import Choice, Form
from gui.thresholds import sliders, tagger
from gui.widgets import widget
from settings.section import section_help

if TYPE_CHECKING:
    from gui.window import Window

title = "Captions"
order = 20


def build(window: Window) -> None:
    kinds = captioners()
    tiles = [Choice(kind.label, name, section_help(kind.settings), HINTS[kind.says]) for name, kind in kinds.items()]
    titles = {"source": "Pictures", "": "Captioners", "write": "Writing"}
    titles |= {name: kind.label for name, kind in kinds.items()}
    name = kind.name if (kind := tagger()) else ""
    with gr.Row(elem_classes=["lor-split"]):
        with gr.Column(elem_classes=["lor-main"]):
            window.forms[FORM] = Form(CaptionConfig, FORM, {"captioners": tiles}, titles | {"run": "Computing"}, ASKED)
        with gr.Column(elem_classes=["lor-aside", "lor-desk"]):
            with gr.Column(elem_classes=["lor-card"]):
                window.parts["desk"] = widget("desk", elem_id="desk", form=FORM, tagger=name)
                window.parts["caption_command"] = widget("command", elem_id="caption-command")
            window.parts["captioned"] = widget("captioned", elem_id="captioned")
    widget("results", elem_id="results")
    widget("trial", elem_id="trial", form=FORM, tagger=name, sliders=sliders())
    widget("past", elem_id="past")


HINTS = {"tags": "tags", "caption": "sentences"}


def wire(window: Window, page: gr.Blocks) -> None:
    room, form, parts = Captioning(window), window.forms[FORM], window.parts
    page.load(room.fill, None, room.outputs, **QUIET)
    gr.on(inputs_of(form), room.typed, form.fields, room.outputs - form.fields, trigger_mode="always_last", **QUIET)
    parts["desk"].choose(room.act, form.fields, room.answers, **QUIET)
    parts["desk"].keep(room.typed, form.fields, room.outputs - form.fields, **QUIET)  # captions were written
    parts["pictures"].input(lambda: room.fill(), None, room.outputs, **QUIET)  # where no folder was chosen yet
    parts["pictures"].keep(use(room, window), None, room.outputs | {window.tabs}, **QUIET)


def use(room: Captioning, window: Window) -> Any:
    def caption_these(event: gr.EventData) -> dict[Any, Any]:
        """Put the folder that is open in the Dataset room on the form."""
        filled = room.fill({"source.folders": [str(event._data["folder"])]})
        return filled | {window.tabs: gr.Tabs(selected="captions")}

    return caption_these
