"""Dataset, Training folders: copies of the pictures in kohya's folders, and the training form filled from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gradio as gr

from dataset.prepare import PrepareSettings, fields
from gui.events import QUIET, attempted, inputs_of, stamp
from gui.form import Form
from gui.training import Training, Typed, Updates
from gui.widgets import widget
from settings.errors import SettingsError, check
from settings.section import section_help

if TYPE_CHECKING:
    from gui.window import Window

title = "Training folders"
order = 90


def build(window: Window) -> None:
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
    answers = Page(window)
    form, parts = window.forms["prepare"], window.parts
    page.load(answers.fill, None, form.fields, **QUIET)
    parts["pictures"].input(answers.opened, None, form.fields, **QUIET)
    gr.on(inputs_of(form), answers.typed, form.fields, form.guide, trigger_mode="always_last", **QUIET)
    parts["look"].click(answers.look, form.fields, {form.guide, parts["preparation"]}, **QUIET)
    parts["prepare"].click(answers.prepare, form.fields, {form.guide, parts["preparation"]}, **QUIET)
    parts["copy"].click(answers.copy, form.fields, answers.training.outputs | {form.guide, window.tabs}, **QUIET)


class Page:
    """Answers to this page's clicks."""

    def __init__(self, window: Window):
        self._window = window
        self._form = window.forms["prepare"]
        self.training = Training(window)

    def fill(self) -> Updates:
        return self._form.show(self._window.drafts.load("prepare"))

    def opened(self, event: gr.EventData) -> Updates:
        """The folder that was just opened is the nearest guess for what will be prepared."""
        now = self._window.drafts.load("prepare")
        if not now.get("source"):
            now["source"] = str(event._data["folder"])
            self._window.drafts.save("prepare", now)
        return self._form.show(now)

    def typed(self, values: Typed) -> dict[str, Any]:
        now = self._form.typed(values)
        self._window.drafts.save("prepare", now)
        try:
            check(PrepareSettings, now)
        except SettingsError as error:
            return {"problems": error.problems} | stamp()
        return {"problems": {}} | stamp()

    def look(self, values: Typed) -> Updates:
        return self._attempt(values, self._window.preparing.look)

    def prepare(self, values: Typed) -> Updates:
        return self._attempt(values, self._window.preparing.begin)

    def copy(self, values: Typed) -> Updates:
        """Fill the training form from the prepared folders."""
        try:
            settings = self._form.read(values)
        except SettingsError as error:
            return {self._form.guide: attempted({"problems": error.problems})}
        filled = self.training.fill(fields(settings) | self._words(settings))
        return filled | {self._window.tabs: gr.Tabs(selected="train")}

    def _attempt(self, values: Typed, action: Callable[[PrepareSettings], None]) -> Updates:
        """Try it, and put what is wrong beside its field."""
        try:
            action(self._form.read(values))
        except SettingsError as error:
            return {self._form.guide: attempted({"problems": error.problems})}
        return {self._form.guide: {"problems": {}}, self._window.parts["preparation"]: stamp()}

    def _words(self, settings: PrepareSettings) -> dict[str, Any]:
        """The trigger word for the fields of the training form that want one and are still empty."""
        draft = self._window.drafts.load("train")
        subject = " ".join(f"{settings.trigger} {settings.class_words}".split())
        wanted = {"metadata.trigger": ("metadata", "trigger"), "preview.prompts": ("preview", "prompts")}
        return {path: subject for path, (group, name) in wanted.items() if not (draft.get(group) or {}).get(name)}
