"""Puts the window together: our routes and the Gradio page in one FastAPI app, with the gate around both."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

import fastapi
import gradio as gr

from gui import routes, theme
from gui.front import BARE, Front
from gui.gate import Gate
from gui.login import Login
from gui.routes.static import joined
from gui.sessions import Sessions
from gui.tabs import tabs
from gui.widgets import widget
from gui.window import Window
from jobs.folder import home
from jobs.queue import ensure_runner


def build(password: str = "", hosts: Iterable[str] = (), front: Front = BARE) -> Gate:
    """The whole window as one ASGI app. `password` empty: no login, for loopback only."""
    window = Window(home())
    os.environ["GRADIO_TEMP_DIR"] = str(private(window.home / "cache" / "gradio"))
    if password:
        window.login = Login(password, Sessions(window.home / "sessions.txt", password), front.root)
    page = draw(window)
    window.version = version(page)
    app = fastapi.FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.include_router(routes.router(window))
    gr.mount_gradio_app(
        app,
        page,
        path="/",
        theme=theme.theme(),
        css=theme.style(),
        head=theme.head(window.version),
        show_error=False,
        ssr_mode=False,
        run_history=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        footer_links=[],
        max_file_size="1kb",  # nothing is uploaded through Gradio
        app_kwargs={"openapi_url": None},
        allowed_paths=[],
        root_path=front.root or None,
    )
    ensure_runner()  # runs may wait that were queued before the machine was restarted
    return Gate(app, hosts, window.login, front)


def private(place: Path) -> Path:
    """A folder that nobody else may read: Gradio copies what passes through its components."""
    place.mkdir(parents=True, exist_ok=True)
    place.chmod(0o700)
    return place


def version(page: gr.Blocks) -> str:
    """What a page in a browser must have been drawn by to be understood here: the same fields in the same order, the
    same scripts."""
    config = page.get_config_file()
    wires = [[event["inputs"], event["outputs"]] for event in config["dependencies"]]
    drawn = json.dumps([config["components"], config["layout"], wires, joined()], default=str, sort_keys=True)
    return hashlib.sha256(drawn.encode()).hexdigest()[:16]


def draw(window: Window) -> gr.Blocks:
    """The page. Each file in `gui/tabs` is one tab; those that touch others are wired once all are there."""
    with gr.Blocks(title="Loratory", analytics_enabled=False, fill_width=True) as page:
        widget("header", elem_id="header")
        window.parts["notice"] = widget("notice", elem_id="notice")
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap") as window.tabs:
            for tab in tabs():
                with gr.Tab(tab.title, id=tab.id, elem_id=f"tab-{tab.id}", render_children=True):
                    tab.module.build(window)
        for tab in tabs():
            if hasattr(tab.module, "wire"):
                tab.module.wire(window, page)
    return page
