"""Dataset, Resize & crop: copies at training sizes, cut by hand or by what matters, with captions and masks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from dataset.resize.plan import folders
from dataset.resize.settings import Settings
from gui.events import QUIET, attempted, inputs_of, notice, stamp
from gui.form import Form
from gui.resizing import FORM
from gui.training import Typed, Updates
from gui.widgets import widget
from jobs.process import JobError
from settings.errors import SettingsError, check, warnings
from settings.section import section_help

if TYPE_CHECKING:
    from gui.window import Window

title = "Resize & crop"
order = 40

SHAPING = ("folder", "mode", "width", "height", "upscale", "bucket_step", "bucket_min", "bucket_max")
"""What the shapes of crops depend on: when one changes, the page asks for its pictures anew."""


def build(window: Window) -> None:
    widget("note", section_help(Settings))
    with gr.Row(elem_classes=["lor-split"]):
        with gr.Column(elem_classes=["lor-main"]):
            window.forms[FORM] = Form(Settings, FORM, titles={"": "Sizes and files"}, without=["dry_run"])
        with gr.Column(elem_classes=["lor-aside", "lor-desk"]):
            window.parts["resizing"] = widget("resizing", elem_id="resizing", form=FORM)
    widget("resizeTable", elem_id="resize-table")
    widget("crops", elem_id="crops")


def wire(window: Window, page: gr.Blocks) -> None:
    answers = Page(window)
    form, parts = window.forms[FORM], window.parts
    page.load(answers.fill, None, answers.outputs, **QUIET)
    parts["pictures"].input(answers.opened, None, answers.outputs, **QUIET)
    gr.on(inputs_of(form), answers.typed, form.fields, answers.answers, trigger_mode="always_last", **QUIET)
    parts["resizing"].choose(answers.begin, form.fields, answers.answers | {parts["notice"]}, **QUIET)


class Page:
    """Answers to this page's clicks."""

    def __init__(self, window: Window):
        self._window = window
        self._form = window.forms[FORM]
        self.answers = {self._form.guide, window.parts["resizing"]}
        self.outputs = self._form.fields | self.answers

    def fill(self) -> Updates:
        now = self._window.drafts.load(FORM)
        if not now.get("folder"):
            now = self._led(now, str(self._window.drafts.load("dataset").get("path") or ""))
        return self._form.show(now) | self._told(self._state(now))

    def opened(self, event: gr.EventData) -> Updates:
        """The folder that was just opened is the one that is meant."""
        now = self._led(self._window.drafts.load(FORM), str(event._data["folder"]))
        self._window.drafts.save(FORM, now)
        return self._form.show(now) | self._told(self._state(now))

    def typed(self, values: Typed) -> Updates:
        now = self._form.typed(values)
        self._window.drafts.save(FORM, now)
        return self._told(self._state(now))

    def begin(self, values: Typed, event: gr.EventData) -> Updates:
        """The buttons: {"dry": whether only to tell}."""
        now = self._form.typed(values)
        self._window.drafts.save(FORM, now)
        try:
            settings = self._form.read(values)
            folders(settings)
            wish = settings.model_dump(mode="json") | {"dry_run": bool(event._data.get("dry"))}
            return self._told(self._state(now), {"job": self._window.works.start(FORM, wish)})
        except SettingsError as error:
            return self._told(attempted(self._state(now) | {"problems": error.problems}))
        except (JobError, OSError) as error:
            return {self._window.parts["notice"]: notice(f"It could not be started: {error}", bad=True)}

    def _led(self, now: dict[str, Any], path: str) -> dict[str, Any]:
        """The folder, and a place for the copies beside it unless a person has chosen one."""
        before = str(now.get("folder") or "")
        if path and now.get("output") in (None, "", proposed(before)):
            now = now | {"output": proposed(path)}
        return now | {"folder": path or before}

    def _state(self, now: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {"problems": {}, "warnings": {}, "attempt": 0}
        found["shape"] = [now.get(name) for name in SHAPING]
        found["hidden"] = self._form.hidden(Settings().model_dump(mode="json") | now)
        try:
            settings = check(Settings, now)
            found["warnings"] = warnings(settings)
            folders(settings)
        except SettingsError as error:
            found["problems"] = error.problems
        return found

    def _told(self, state: dict[str, Any], more: dict[str, Any] | None = None) -> Updates:
        value = {"shape": state["shape"]} | (more or {}) | stamp()
        return {self._form.guide: state | stamp(), self._window.parts["resizing"]: value}


def proposed(folder: str) -> str:
    """Where copies of a folder's pictures might go."""
    if not folder.strip():
        return ""
    path = Path(folder.strip())
    return str(path.with_name(f"{path.name} resized")) if path.name else ""
