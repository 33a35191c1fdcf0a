"""The whole window: what Gradio itself would hand out is closed, and scripts never write markup."""

import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from gui.app import build
from gui.tabs import tabs

GUI = Path(__file__).resolve().parents[2] / "gui"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("LORATORY_HOME", str(tmp_path_factory.mktemp("home")))
    with TestClient(build(), base_url="http://127.0.0.1") as client:
        yield client
    patch.undo()


def test_the_page_is_there_and_small(page):
    assert page.get("/").status_code == 200
    assert len(page.get("/config").content) < 1_000_000


@pytest.mark.parametrize(
    "path", ["/openapi.json", "/docs", "/gradio_api/runs", "/monitoring/summary", "/gradio_api/info", "/logout"]
)
def test_doors_that_are_closed(page, path):
    assert page.get(path).status_code in (403, 404)


@pytest.mark.parametrize("path", ["/etc/hostname", str(GUI / "app.py"), str(GUI.parent / ".git" / "config")])
def test_gradio_serves_no_files(page, path):
    assert page.get(f"/gradio_api/file={path}").status_code in (403, 404)


def test_another_site_is_refused(page):
    assert page.post("/api/browse", json={}, headers={"origin": "http://evil.example"}).status_code == 403
    assert page.get("/config", headers={"host": "evil.example"}).status_code == 421


def test_tabs_are_found_in_order():
    assert [tab.title for tab in tabs()] == sorted(
        (tab.title for tab in tabs()), key=lambda title: next(tab.order for tab in tabs() if tab.title == title)
    )
    assert {"Dataset", "LoRA training", "Runs", "Settings"} <= {tab.title for tab in tabs()}


@pytest.mark.parametrize("script", sorted(path.name for path in (GUI / "widgets").glob("*.js")))
def test_scripts_put_text_into_the_page_as_text(script):
    source = (GUI / "widgets" / script).read_text(encoding="utf-8")
    assert not re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|https?://", source)


def test_no_component_that_copies_or_opens_files():
    source = "\n".join(path.read_text(encoding="utf-8") for path in GUI.rglob("*.py"))
    assert not re.findall(
        r"gr\.(Gallery|FileExplorer|DownloadButton|File|Image|Timer|load|LoginButton)\b|share=True", source
    )


def test_no_piece_of_the_page_is_defined_twice():
    """One would quietly take the other's place."""
    sources = [path.read_text(encoding="utf-8") for path in (GUI / "widgets").glob("*.js")]
    pieces = re.compile(r"^\s*(?:L|Loratory)\.(\w+) = \(root", re.MULTILINE)
    names = [name for source in sources for name in pieces.findall(source)]
    assert sorted({name for name in names if names.count(name) > 1}) == []
