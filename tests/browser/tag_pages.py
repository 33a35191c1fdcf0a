"""What is where on the tag editor's page, for the tests that walk it."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import HOSTILE, Visit, comes_true

CAPTIONS = ["sks, cat, red hat", "sks, cat, blue hat", "sks, dog, red hat", "sks, dog", HOSTILE, ""]


def enter(visit: Visit, folder: Path) -> None:
    visit.page.evaluate("path => Loratory.editCaptions({ path })", str(folder))
    expect(visit.page.locator("#tags .lor-cell img").first).to_be_visible()


def cell(page: Page, number: int):
    return page.locator("#tags .lor-cell").nth(number)


def line(page: Page):
    return page.get_by_label("Filter line")


def words(page: Page):
    return page.get_by_label("Text", exact=True)


def chips(page: Page):
    return page.locator("#tags .lor-picture .lor-tagchip-name")


def saved(page: Page) -> None:
    expect(page.locator("#tags .lor-saving")).to_have_text("Saved")


def on_disk(folder: Path, number: int, text: str) -> None:
    path = folder / f"{number}.txt"
    comes_true(lambda: path.exists() and path.read_text(encoding="utf-8").strip() == text)
