"""What the trainer sees, opened from the viewer of a picture."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import HOSTILE, PATIENCE, Server, Visit, draw_pictures

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = draw_pictures(tmp_path_factory.mktemp("pictures") / "set", 3, side=100)
    first = next(made.glob("*0000.png"))
    first.with_suffix(".txt").write_text(f"sks cat, {HOSTILE}, " + "very long words, " * 30, encoding="utf-8")
    return made


def test_the_dialog(visit: Visit, server: Server, pictures: Path, picture) -> None:
    page = visit.page
    page.get_by_label("Folder with pictures", exact=True).fill(str(pictures))
    page.get_by_role("button", name="Open", exact=True).click()
    page.locator(".lor-grid figure button").first.click()
    page.get_by_role("button", name="What the trainer sees").click()
    dialog = page.get_by_role("dialog", name="What the trainer sees")
    expect(dialog.locator(".lor-seen-turns li")).to_have_count(10)
    expect(dialog).to_contain_text("64 × 64")
    expect(dialog).to_contain_text("in none of the folders on the training form")
    expect(dialog.locator(".lor-seen-cut").first).to_be_visible()
    first = dialog.locator(".lor-seen-tokens").first
    expect(first).to_contain_text(HOSTILE)
    assert first.locator(".lor-token:not(.unseen)").count() == 75
    page.wait_for_function("() => document.querySelector('.lor-seen-crop').naturalWidth === 64")
    box = dialog.locator(".lor-seen-box").bounding_box()
    whole = dialog.locator(".lor-seen-frame").bounding_box()
    assert box["width"] / whole["width"] == pytest.approx(0.64, abs=0.03)  # 64 of 100 pixels
    picture("seen")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.locator("dialog.lor-viewer")).to_be_visible()
