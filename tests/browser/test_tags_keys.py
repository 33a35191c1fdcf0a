"""The tag editor by keyboard alone, with strangers' words, and with ten thousand pictures."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import HOSTILE, PATIENCE, Server, Visit, draw_captioned
from tests.browser.tag_pages import CAPTIONS, cell, line, on_disk, words

expect.set_options(timeout=PATIENCE)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return draw_captioned(tmp_path / "tags <b>", CAPTIONS)


def test_by_keyboard_alone(editor: Page, pictures: Path) -> None:
    editor.locator("#tags .lor-pictures").focus()
    keys = editor.keyboard
    for key in ("Home", "ArrowRight", "x", "+", "+"):
        keys.press(key)
    expect(cell(editor, 1)).to_have_class(re.compile("excluded"))
    expect(cell(editor, 1).locator(".lor-stars")).to_have_text("★★")
    keys.press("Enter")
    keys.type("typed")
    keys.press("Enter")
    on_disk(pictures, 1, "sks, cat, blue hat, typed")
    keys.press("Control+Enter")
    expect(words(editor)).to_have_value(CAPTIONS[2])
    editor.locator("#tags .lor-pictures").focus()
    keys.press("Control+a")
    expect(editor.locator("#tags .lor-cell[aria-selected=true]")).to_have_count(6)
    keys.press("Escape")
    expect(editor.locator("#tags .lor-cell[aria-selected=true]")).to_have_count(0)
    keys.press("/")
    expect(line(editor)).to_be_focused()
    keys.type("untagged")
    keys.press("Enter")
    expect(editor.locator("#tags .lor-cell")).to_have_count(1)
    line(editor).blur()
    keys.press("?")
    expect(editor.get_by_role("dialog", name="Keyboard shortcuts")).to_contain_text("The filter line")
    keys.press("Escape")


def test_strangers_words_stay_words_and_long_captions_are_marked(editor: Page) -> None:
    cell(editor, 4).click()
    expect(words(editor)).to_have_value(HOSTILE)
    expect(cell(editor, 4)).to_contain_text("onerror")
    editor.locator("#tags .lor-tagrow").filter(has_text="onerror").click()
    expect(editor.locator("#tags .lor-cell")).to_have_count(1)
    assert editor.locator("#tags img[src=x], #tags .lor-tagrow b").count() == 0

    # What a text encoder doesn't read is marked.
    words(editor).fill(", ".join(f"number {number}" for number in range(60)))
    expect(editor.locator("#tags .lor-tokens")).to_contain_text("of 75 tokens")
    expect(editor.locator("#tags .lor-behind mark")).to_contain_text("number 59")
    expect(editor.locator("#tags .lor-tagchip.cut").last).to_contain_text("number 59")
    editor.get_by_label("How much the text encoder reads").select_option("t5-512")
    expect(editor.locator("#tags .lor-tokens")).to_contain_text("of 512 tokens")
    expect(editor.locator("#tags .lor-behind mark")).to_have_count(0)


def test_ten_thousand_pictures(visit: Visit, server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    Image.new("RGB", (48, 48), "teal").save(folder / "00000.png")
    for number in range(10_000):
        if number:
            os.link(folder / "00000.png", folder / f"{number:05}.png")
        (folder / f"{number:05}.txt").write_text(f"sks, {'cat' if number % 2 else 'dog'}, number {number}")
    page = visit.page
    page.evaluate("path => Loratory.editCaptions({ path })", str(folder))
    expect(page.locator("#tags .lor-cell img").first).to_be_visible()
    expect(page.locator("#tags")).to_contain_text("10,000 pictures")
    assert page.locator("#tags .lor-cell").count() < 60
    box = page.locator("#tags .lor-pictures")
    box.evaluate("node => { node.scrollTop = node.scrollHeight; }")
    expect(page.locator("#tags .lor-cell").last).to_contain_text("number 9999")
    begun = server.computed()
    cell(page, 0).click()
    expect(words(page)).not_to_have_value("")
    page.locator("#tags .lor-tagrow").filter(has_text="cat").first.click()
    expect(page.locator("#tags-filter-note")).to_contain_text("5,000 of 10,000")
    assert server.computed() - begun < 3  # of a core, and not on the clock: others may be at work on this machine
    assert page.locator("#tags .lor-cell").count() < 60
