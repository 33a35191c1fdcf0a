"""The window behind a proxy that serves it below a path: signing in, every room, a saved token, signing out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.between import Prefixed
from tests.browser.conftest import PATIENCE, Server, Visit, draw_pictures

expect.set_options(timeout=PATIENCE)
PASSWORD = "a password for the test"
CANARY = "hf_CANARY0123456789abcdef"
WINDOW = [str(Path(__file__).with_name("fake_window.py")), "20", "0.05"]


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    options = ["--root-path", "/studio", "--behind-proxy", "--allow-host", "studio.localhost"]
    running = Server(tmp_path_factory.mktemp("home"), [*WINDOW, *options], LORATORY_TOKEN=PASSWORD).start()
    yield running
    running.stop()


@pytest.fixture
def proxy(behind: Server) -> Iterator[Prefixed]:
    between = Prefixed(behind.port)
    yield between
    between.close()


def sign_in(page: Page, url: str) -> None:
    page.goto(url)
    page.get_by_label("Access token").fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text("That is not the token.")
    page.get_by_label("Access token").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("tab", name="Dataset", exact=True)).to_be_visible()


def test_every_room_below_a_path(chromium, behind: Server, proxy: Prefixed, tmp_path: Path) -> None:
    with chromium.new_context() as context:
        context.set_default_timeout(PATIENCE)
        sign_in(context.new_page(), proxy.url)
        state = context.storage_state()
    visit = Visit(chromium, proxy.url, storage_state=state)  # what is asked of elsewhere than below the path fails it
    page = visit.page
    page.locator("#dataset-path").fill(str(draw_pictures(tmp_path / "pictures", 2)))
    page.locator("#dataset-path").press("Enter")
    picture = page.locator("#pictures img").first
    expect(picture).to_be_visible()
    page.wait_for_function("() => document.querySelector('#pictures img')?.naturalWidth > 0")
    visit.open("Tag editor")
    page.wait_for_function("() => document.querySelector('#tags img')?.naturalWidth > 0")
    visit.open("LoRA training")
    page.locator("#train-name input").fill("below a path")
    expect(page.locator("#plan")).not_to_be_empty()
    visit.open("Runs")
    visit.open("Settings")
    keep_a_token(visit, behind)
    page.get_by_role("button", name="Sign out", exact=True).first.click()
    expect(page.get_by_label("Access token")).to_be_visible()
    visit.expected.append("401")
    assert set(proxy.outside) <= {"/manifest.json", "/favicon.ico"}
    visit.close()


def keep_a_token(visit: Visit, behind: Server) -> None:
    """It is kept, and neither the page nor the browser has it any more."""
    page = visit.page
    field = page.get_by_label("HF_TOKEN not set")
    field.fill(CANARY)
    field.press("Enter")
    expect(page.get_by_label("HF_TOKEN saved ✓")).to_have_value("")
    assert CANARY in (behind.home / "secrets.json").read_text()
    page.reload()
    visit.open("Settings")
    expect(page.get_by_label("HF_TOKEN saved ✓")).to_have_value("")
    browser = "[document.documentElement.outerHTML, {...localStorage}, {...sessionStorage}, document.cookie]"
    assert CANARY not in page.evaluate(f"JSON.stringify({browser})")
    page.get_by_role("button", name="Remove HF_TOKEN").click()
    expect(page.get_by_label("HF_TOKEN not set")).to_be_visible()
    assert CANARY not in (behind.home / "secrets.json").read_text()
