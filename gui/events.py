"""How Gradio's events are used here: without its queue, so that a lost connection leaves none open, and as no API."""

from __future__ import annotations

import time
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


def stamp() -> dict[str, float]:
    """Makes a widget's value another one than before, so that its script hears of it. A form's script hears by it that
    what was typed has arrived, and says it again until then."""
    return {"at": time.time()}


def attempted(now: dict[str, Any]) -> dict[str, Any]:
    """A form's state, shown loudly: somebody pressed the button."""
    return now | {"attempt": time.time()}


def notice(text: str, bad: bool = False) -> dict[str, Any]:
    """A line that comes up for some seconds: the value of the page's `notice`. (Gradio's own need its queue.)"""
    return {"text": text, "bad": bad} | stamp()
