"""Foreign settings on their way onto the training form: looked at first, filled in when a person agrees, and taken back
with one press."""

from __future__ import annotations

import secrets
import tempfile
import threading
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component

from gui.events import notice, stamp
from settings.flags import flat
from settings.section import Section
from trainer.imports.reading import read
from trainer.imports.report import Report

if TYPE_CHECKING:
    from gui.training import Training
    from gui.window import Window

Typed = dict[Component, Any]  # Gradio looks the names in an answer's signature up, so they are here at run time
Updates = dict[Component, Any]
KEPT = 8  # reports that wait for a yes
BEFORE = "train before import"  # the draft that undoing goes back to


class Imports:
    """The last few reports, by an id for the page, so that what fills the form is what the report has shown."""

    def __init__(self) -> None:
        self._reports: OrderedDict[str, Report] = OrderedDict()
        self._lock = threading.Lock()

    def look(self, path: Path) -> dict[str, Any]:
        """A report on a file, for the page. Raises ImportProblem."""
        report = read(path)
        id = secrets.token_hex(8)
        with self._lock:
            self._reports[id] = report
            while len(self._reports) > KEPT:
                self._reports.popitem(last=False)
        return {"id": id} | report.told()

    def look_at(self, name: str, data: bytes) -> dict[str, Any]:
        """The same for what a browser has sent: a whole file, or of a LoRA its header. Raises ImportProblem."""
        suffix = Path(name).suffix.lower()
        with tempfile.TemporaryDirectory(prefix="loratory-import-") as folder:
            path = Path(folder) / f"file{suffix if suffix in ('.json', '.toml', '.safetensors') else '.txt'}"
            path.write_bytes(data)
            return self.look(path)

    def values(self, id: str) -> dict[str, Any] | None:
        """Settings by path, as a form takes them; None for a report that is no longer known."""
        report = self._reports.get(id)
        return {path: plain(value) for path, value in report.values.items()} if report else None


def plain(value: Any) -> Any:
    """Rows of sections as tables."""
    return [item.model_dump(mode="json") if isinstance(item, Section) else item for item in value] \
        if isinstance(value, list) else value


class Importing:
    """The answers to the two buttons."""

    def __init__(self, window: Window, training: Training):
        self._window, self._training = window, training

    def fill(self, values: Typed, event: gr.EventData) -> Updates:
        found = self._window.imports.values(str(event._data.get("id")))
        parts = self._window.parts
        if found is None:
            return {parts["notice"]: notice("That report is gone: look at the file again.", bad=True)}
        before = self._window.forms["train"].typed(values)
        self._window.drafts.save(BEFORE, before)
        self._window.drafts.save("train", before)  # the newest of what is personal stays
        updates = self._training.fill(found, afresh=True)
        return updates | {parts["import"]: {"undo": True} | stamp(), parts["notice"]: notice("Imported.")}

    def undo(self) -> Updates:
        before = self._window.drafts.load(BEFORE)
        self._window.drafts.save("train", before)
        updates = self._training.fill(flat(before))
        parts = self._window.parts
        return updates | {parts["import"]: {"undo": False} | stamp(), parts["notice"]: notice("As it was before.")}
