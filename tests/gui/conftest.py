"""The page, drawn once for all tests that only need its forms: drawing it takes a second."""

import pytest

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
