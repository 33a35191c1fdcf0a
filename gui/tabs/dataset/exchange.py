"""Dataset, Import & export: pictures from this browser, data sets from and for other programs, balanced repeats."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from dataset.exchange.balance import Unclear, balance, rows
from dataset.exchange.formats import formats
from dataset.exchange.settings import ExportSettings, ImportSettings
from gui.events import QUIET, notice
from gui.training import Training, Updates
from gui.widgets import widget
from settings.section import Section, label, section_help, settings

if TYPE_CHECKING:
    from gui.window import Window

title = "Import & export"
order = 50


def build(window: Window) -> None:
    with gr.Row(elem_classes=["lor-split"]):
        with gr.Column(elem_classes=["lor-main"]):
            widget("upload", elem_id="upload")
            widget("importing", elem_id="importing", **about(ImportSettings, "read"))
        with gr.Column(elem_classes=["lor-main"]):
            widget("exporting", elem_id="exporting", **about(ExportSettings, "write"))
            window.parts["balance"] = widget("balance", elem_id="balance")


def wire(window: Window, page: gr.Blocks) -> None:
    training = Training(window)

    def balanced() -> Updates:
        """The concepts as rows of the training form, each with its repeats: nothing on disk is renamed."""
        try:
            concepts = balance(Path(str(window.drafts.load("dataset").get("path") or "")))
        except Unclear as error:
            return {window.parts["notice"]: notice(str(error), bad=True)}
        filled = training.fill({"dataset.folders": rows(concepts)})
        said = notice("The folders stand in LoRA training with these repeats.")
        return filled | {window.tabs: gr.Tabs(selected="train"), window.parts["notice"]: said}

    window.parts["balance"].choose(balanced, None, training.outputs | {window.tabs}, **QUIET)


def about(section: type[Section], able: str) -> dict[str, Any]:
    """What a script needs to draw the settings of a section as fields, and the formats that can be read or written."""
    known = {name: module for name, module in formats().items() if hasattr(module, able)}
    return {"help": section_help(section), "fields": [described(setting) for setting in settings(section)],
            "formats": [shown(module) for module in known.values()],
            "layouts": [shown(module) for module in formats().values() if hasattr(module, "write")]}


def described(setting: Any) -> dict[str, Any]:
    kind = "switch" if setting.type is bool else "number" if setting.type in (int, float) else "text"
    return {"name": setting.path, "label": label(setting), "help": setting.help, "kind": kind,
            "default": setting.default, "choices": list(setting.choices), "pick": setting.ui.kind,
            "when": setting.ui.when.partition("=")[2].split("|") if setting.ui.when else [],
            "quick": setting.ui.level == "quick", "step": setting.ui.step,
            "minimum": setting.minimum, "maximum": setting.maximum}


def shown(module: Any) -> dict[str, str]:
    needs = module.needs() if hasattr(module, "needs") else ""
    return {"name": module.name, "label": module.label, "help": module.help, "needs": needs}
