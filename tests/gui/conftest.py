"""The page, drawn once for all tests that only need its forms, and our routes, registered once: each takes a second."""

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from gui import routes, run, runs
from gui.app import draw
from gui.window import Window
from jobs import folder, queue


@pytest.fixture(scope="package")
def drawn_page(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORATORY_HOME", str(tmp_path_factory.mktemp("home")))
        window = Window(folder.home())
        draw(window)
        return window


@pytest.fixture
def fresh_window(drawn_page, workspace, monkeypatch):
    """The page with a workspace of its own and nothing typed; no runner is started."""
    fresh = Window(folder.home())
    fresh.tabs, fresh.forms, fresh.parts = drawn_page.tabs, drawn_page.forms, drawn_page.parts
    monkeypatch.setattr(queue, "ensure_runner", lambda: None)
    return fresh


@pytest.fixture(scope="package")
def routed(tmp_path_factory):
    """A window that every test has anew, and the routes to it."""
    window = Window(tmp_path_factory.mktemp("home"))
    app = FastAPI()
    app.include_router(routes.router(window))
    return window, app


@pytest.fixture
def window(routed, workspace):
    """A window that knows of nothing but this test's workspace."""
    window, _ = routed
    window.__init__(folder.home())
    return window


@pytest.fixture
def page(window, routed) -> TestClient:
    """What asks it."""
    return TestClient(routed[1])


@pytest.fixture
def asked_anew(monkeypatch):
    """What is known of runs is read at every question, not at most every moment."""
    for module in (run, runs):
        monkeypatch.setattr(module, "FRESH", -1)
