"""The Dataset room: look at the pictures, and lay them out for training or use them where they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from dataset.prepare import PrepareSettings, fields
from gui.events import QUIET, inputs_of
from gui.form import Form
from gui.tabs import train
from gui.widgets import widget
from jobs.files import REPOSITORY
from settings.errors import SettingsError, check
from settings.section import section_help

if TYPE_CHECKING:
    from gui.window import Window

title = "Dataset"
order = 10
DEMO = REPOSITORY / "toy" / "images"


def build(window: Window) -> None:
    demo = next((str(folder.relative_to(REPOSITORY)) for folder in (DEMO / "train", DEMO) if folder.is_dir()), "")
    window.parts["pictures"] = widget("pictures", elem_id="pictures", demo=demo)
    with gr.Column(elem_classes=["lor-card", "lor-prepare"]):
        gr.HTML("<h2>Prepare training data</h2>", apply_default_css=False, js_on_load=None)
        widget("note", section_help(PrepareSettings))
        window.forms["prepare"] = Form(PrepareSettings, "prepare", whole=False)
        with gr.Row(elem_classes=["lor-buttons"]):
            window.parts["look"] = gr.Button("Preview", elem_id="prepare-preview")
            window.parts["prepare"] = gr.Button("Prepare training data", variant="primary", elem_id="prepare-start")
            window.parts["copy"] = gr.Button("Copy info to respective fields", elem_id="prepare-copy")
        window.parts["preparation"] = widget("preparation", elem_id="preparation")


def wire(window: Window, page: gr.Blocks) -> None:
    form, parts = window.forms["prepare"], window.parts

    def hydrate() -> dict[Any, Any]:
        return form.show(window.drafts.load("prepare"))

    def typed(values: dict[Any, Any]) -> dict[str, Any]:
        window.drafts.save("prepare", form.typed(values))
        return state(form.typed(values))

    def look(values: dict[Any, Any]) -> dict[Any, Any]:
        return attempt(values, lambda settings: window.preparing.look(settings))

    def begin(values: dict[Any, Any]) -> dict[Any, Any]:
        return attempt(values, lambda settings: window.preparing.begin(settings))

    def attempt(values: dict[Any, Any], action: Any) -> dict[Any, Any]:
        """Try it, and put what is wrong beside its field."""
        try:
            action(form.read(values))
        except SettingsError as error:
            return {form.guide: train.attempted({"problems": error.problems})}
        return {form.guide: {"problems": {}}, parts["preparation"]: train.stamp()}

    def copy(values: dict[Any, Any]) -> dict[Any, Any]:
        """Fill the training form from the prepared folders."""
        try:
            settings = form.read(values)
        except SettingsError as error:
            return {form.guide: train.attempted({"problems": error.problems})}
        return train.fill(window, fields(settings) | words(window, settings)) | {window.tabs: gr.Tabs(selected="train")}

    def use_in_place(event: gr.EventData) -> dict[Any, Any]:
        folder = {"path": str(event._data["folder"]), "repeats": event._data.get("repeats")}
        return train.fill(window, {"dataset.folders": [folder]}) | {window.tabs: gr.Tabs(selected="train")}

    filled = train.outputs(window) | {window.tabs}
    page.load(hydrate, None, form.fields, **QUIET)
    gr.on(inputs_of(form), typed, form.fields, form.guide, trigger_mode="always_last", **QUIET)
    parts["look"].click(look, form.fields, {form.guide, parts["preparation"]}, **QUIET)
    parts["prepare"].click(begin, form.fields, {form.guide, parts["preparation"]}, **QUIET)
    parts["copy"].click(copy, form.fields, filled | {form.guide}, **QUIET)
    parts["pictures"].choose(use_in_place, None, filled, **QUIET)


def state(values: dict[str, Any]) -> dict[str, Any]:
    """What the form shows of a half-filled state."""
    try:
        check(PrepareSettings, values)
    except SettingsError as error:
        return {"problems": error.problems}
    return {"problems": {}}


def words(window: Window, settings: PrepareSettings) -> dict[str, Any]:
    """The trigger word for the fields of the training form that want one and are still empty."""
    draft = window.drafts.load("train")
    subject = " ".join(f"{settings.trigger} {settings.class_words}".split())
    filled = {}
    if not (draft.get("metadata") or {}).get("trigger"):
        filled["metadata.trigger"] = subject
    if not (draft.get("preview") or {}).get("prompts"):
        filled["preview.prompts"] = subject
    return filled
