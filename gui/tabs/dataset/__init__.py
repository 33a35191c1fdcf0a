"""The Dataset room: the pictures of a folder, and what can be done with them before they are described and trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

from gui.tabs import tabs

if TYPE_CHECKING:
    from gui.window import Window

title = "Dataset"
order = 10


def build(window: Window) -> None:
    with gr.Tabs(elem_id="dataset-pages", overflow_behavior="wrap"):
        for page in tabs(__name__):
            with gr.Tab(page.title, id=page.id, elem_id=f"page-{page.id}", render_children=True):
                page.module.build(window)


def wire(window: Window, page: gr.Blocks) -> None:
    for tab in tabs(__name__):
        if hasattr(tab.module, "wire"):
            tab.module.wire(window, page)
