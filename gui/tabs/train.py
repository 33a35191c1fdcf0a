"""The LoRA training room: every option as one form, the plan that follows from it, and the button that starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

from gui.events import QUIET, inputs_of
from gui.form import Choice, Form
from gui.importing import Importing
from gui.training import Training
from gui.widgets import widget
from trainer.config import TrainSettings
from trainer.config.prior import KINDS
from trainer.families import families

if TYPE_CHECKING:
    from gui.window import Window

title = "LoRA training"
order = 30

# What is drawn below the fields of a group: {name of the sketch: (group, title)}.
SKETCHES = {"rate": ("schedule", "Learning rate"), "noise": ("noise", "How often each timestep is trained")}


def build(window: Window) -> None:
    choices = {"model.family": [Choice(family.label, name) for name, family in families().items()]}
    choices["prior.kind"] = [Choice(label, kind) for kind, label in KINDS.items()]
    with gr.Row(elem_classes=["lor-split"]):
        with gr.Column(elem_classes=["lor-main"]):
            window.parts["presets"] = widget("presets", elem_id="presets")
            window.parts["import"] = widget("import_settings", elem_id="import")
            window.forms["train"] = Form(TrainSettings, "train", choices)
            window.parts["model"] = widget("basemodel", elem_id="model-about", field="train-model-base")
            for name, (group, what) in SKETCHES.items():
                with window.forms["train"].groups[group]:
                    about = {"sketch": name, "title": what}
                    drawn = widget("sketch", elem_id=f"train-sketch-{name}", classes="lor-field wide", **about)
                    window.parts[f"sketch {name}"] = drawn
        with gr.Column(elem_classes=["lor-aside"]), gr.Column(elem_classes=["lor-card", "lor-plan-card"]):
            gr.HTML("<h2>Plan</h2>", apply_default_css=False, js_on_load=None)
            window.parts["plan"] = widget("plan", elem_id="plan", form="train", part="above")
            window.parts["start"] = gr.Button("Start training", variant="primary", elem_id="train-start")
            window.parts["check"] = gr.Button("Check first, then start", elem_id="train-check")
            window.parts["preflight"] = widget("preflight", elem_id="preflight")
            with gr.Row(elem_classes=["lor-buttons"]):
                window.parts["stop"] = gr.Button("Stop and save", elem_id="train-stop")
                window.parts["print"] = gr.Button("Show command", elem_id="train-command")
            window.parts["figures"] = widget("plan", elem_id="figures", form="train", part="below")
            window.parts["command"] = widget("command", elem_id="command")


def wire(window: Window, page: gr.Blocks) -> None:
    training, form, parts = Training(window), window.forms["train"], window.parts
    answers = training.outputs - form.fields
    page.load(training.fill, None, training.outputs, **QUIET)
    typed = answers | {form.one("model.family")}
    gr.on(inputs_of(form), training.typed, form.fields, typed, trigger_mode="always_last", **QUIET)
    parts["start"].click(training.start, form.fields, answers | {parts["runs"], window.tabs}, **QUIET)
    parts["check"].click(training.check, form.fields, answers | {parts["preflight"]}, **QUIET)
    parts["stop"].click(training.stop, None, parts["notice"], **QUIET)
    parts["print"].click(training.command, form.fields, answers | {parts["command"]}, **QUIET)
    parts["presets"].choose(training.load_preset, form.fields, training.outputs, **QUIET)
    parts["model"].choose(training.take, form.fields, training.outputs, **QUIET)
    importing = Importing(window, training)
    parts["import"].choose(importing.fill, form.fields, training.outputs | {parts["import"]}, **QUIET)
    parts["import"].undo(importing.undo, None, training.outputs | {parts["import"]}, **QUIET)
    parts["presets"].keep(training.keep_preset, form.fields, {parts["presets"], parts["notice"]}, **QUIET)
