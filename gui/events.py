"""How Gradio's events are used here: without its queue, so that a lost connection leaves none open, and as no API."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gradio as gr

if TYPE_CHECKING:
    from gui.form import Form

# An event left open when the connection drops makes Gradio reload the page; these are single short requests.
QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


def inputs_of(form: Form) -> list[Callable]:
    """A person typing or clicking in any field of a form. Values set by us do not count.

    Gradio's own `Textbox.input` hears only key presses, not pasting, so `widgets/form.js` listens to the browser's
    events; choosing from a list makes none of those, and our own table of rows tells by itself."""
    chosen = [field.input for field in form.fields if isinstance(field, (gr.Dropdown, gr.HTML))]
    return [form.guide.input, *chosen]
