"""What the rooms of the window share: the workspace, what was typed, what was looked at, and each other's parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gui.drafts import Drafts
from gui.editing import Editing
from gui.histories import Histories
from gui.history import History
from gui.importing import Imports
from gui.preparation import Preparing
from gui.runs import Runs
from gui.scans import Scans
from gui.thumbnails import Thumbnails
from gui.work import Works

if TYPE_CHECKING:
    import gradio as gr
    from gradio.components import Component

    from gui.form import Form
    from gui.login import Login


@dataclass
class Window:
    """One for each process. The parts are filled while the page is built."""

    home: Path
    tabs: gr.Tabs | None = None
    forms: dict[str, Form] = field(default_factory=dict)
    parts: dict[str, Component] = field(default_factory=dict)
    login: Login | None = None  # None where nobody has to sign in
    version: str = ""  # of the page

    def __post_init__(self) -> None:
        self.drafts = Drafts(self.home / "drafts")
        self.scans = Scans()
        self.histories = Histories()
        self.runs = Runs(self.home)
        self.history = History(self.home, self.runs)
        self.thumbnails = Thumbnails(self.home / "cache" / "thumbnails")
        self.preparing = Preparing()
        self.works = Works()
        self.imports = Imports()
        self.editing = Editing(self.home / "cache" / "albums", self.works)
