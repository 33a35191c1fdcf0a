"""Our own pieces of page: a `gr.HTML` that hands its element to a function in one of the scripts beside this file.

The scripts put text into the page as text only, never as markup: file names and captions are strangers' words. They
poll our own routes (`gui/routes`), so nothing of Gradio's has to stay connected.
"""

from __future__ import annotations

import json
from typing import Any

import gradio as gr

# Gradio may be ready before our script is. The names at the end are those of events that Python may listen to.
# What never changes is part of the script: Gradio loses a component's other properties when its value is set before its
# tab is first opened.
START = """
const about = ABOUT;
const start = () =>
  window.Loratory?.NAME ? Loratory.mount("NAME", element, {about, props, watch, trigger}) : setTimeout(start, 20);
start();
["input", "choose", "keep", "undo"];
"""


def widget(name: str, value: Any = None, *, elem_id: str | None = None, classes: str = "", **about: Any) -> gr.HTML:
    """`Loratory.<name>(element, {about, props, watch, trigger})` draws it. `about` are constants; `props.value` is the
    value, which may change."""
    return gr.HTML(
        value=value,
        html_template="<div></div>",  # never changes, so that Gradio never redraws what the script has drawn
        js_on_load=START.replace("NAME", name).replace("ABOUT", json.dumps(about)),
        apply_default_css=False,
        label="as drawn",  # shown nowhere; `Loratory.untilSettled` in base.js sees by it when Gradio is done
        elem_id=elem_id,
        elem_classes=["lor", *classes.split()],
    )
