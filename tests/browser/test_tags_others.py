"""The tag editor beside others: programs that change captions, a second browser, a window that goes away."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE, Visit, draw_captioned
from tests.browser.tag_pages import CAPTIONS, cell, on_disk, saved, words

expect.set_options(timeout=PATIENCE)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return draw_captioned(tmp_path / "tags <b>", CAPTIONS)


def test_others_change_captions_too(visit: Visit, editor: Page, pictures: Path) -> None:
    cell(editor, 0).click()
    expect(words(editor)).to_have_value(CAPTIONS[0])
    (pictures / "0.txt").write_text("changed outside, hat")
    expect(words(editor)).to_have_value("changed outside, hat")
    expect(cell(editor, 0)).to_contain_text("changed outside")

    # Both change tags at the same time: both changes count.
    editor.route("**/api/tags/write", lambda route: route.abort())
    visit.expected.append("Failed to load resource")
    words(editor).fill("changed outside, hat, mine")
    expect(editor.locator("#tags .lor-saving")).to_contain_text("no connection")
    (pictures / "0.txt").write_text("changed outside, hat, theirs")
    editor.unroute("**/api/tags/write")
    expect(words(editor)).to_have_value(re.compile("theirs"))
    saved(editor)
    assert set((pictures / "0.txt").read_text().strip().split(", ")) == {"changed outside", "hat", "theirs", "mine"}

    # Sentences can't be merged: all three versions are shown.
    cell(editor, 5).click()
    words(editor).fill("A cat sits on the mat, and it is tired.")
    on_disk(pictures, 5, "A cat sits on the mat, and it is tired.")
    saved(editor)
    editor.route("**/api/tags/write", lambda route: route.abort())
    words(editor).fill("A cat sits on the mat, and it is awake.")
    expect(editor.locator("#tags .lor-saving")).to_contain_text("no connection")
    (pictures / "5.txt").write_text("A dog sits on the mat, and it is tired.")
    editor.unroute("**/api/tags/write")
    dialog = editor.get_by_role("dialog", name="Two versions of one caption")
    expect(dialog).to_contain_text("A cat sits on the mat, and it is tired.")
    expect(dialog.locator("ins")).to_have_text("dog")
    dialog.get_by_role("button", name="Decide later").click()
    editor.get_by_role("button", name="Decide…").click()
    expect(dialog.get_by_label("Yours")).to_have_value("A cat sits on the mat, and it is awake.")
    dialog.get_by_role("button", name="Write this").click()
    on_disk(pictures, 5, "A cat sits on the mat, and it is awake.")
    saved(editor)


def test_the_window_is_restarted_while_someone_writes(visit: Visit, server, editor: Page, pictures: Path) -> None:
    visit.expected += ["Failed to load resource", "fetch"]
    cell(editor, 2).click()
    expect(words(editor)).to_have_value(CAPTIONS[2])
    server.kill()
    words(editor).fill("sks, dog, written meanwhile")
    expect(editor.locator("#tags .lor-saving")).to_contain_text("no connection")
    server.start()
    on_disk(pictures, 2, "sks, dog, written meanwhile")
    saved(editor)
    expect(words(editor)).to_have_value("sks, dog, written meanwhile")
    expect(cell(editor, 2)).to_have_attribute("aria-selected", "true")


def test_words_that_could_not_be_saved_are_offered_again(visit: Visit, editor: Page, pictures: Path) -> None:
    visit.expected.append("Failed to load resource")
    editor.route("**/api/tags/write", lambda route: route.abort())
    cell(editor, 3).click()
    words(editor).fill("sks, dog, not lost")
    expect(editor.locator("#tags .lor-saving")).to_contain_text("Kept in this browser")
    editor.reload()
    editor.unroute("**/api/tags/write")
    visit.open("Tag editor")
    offer = editor.get_by_role("region", name="Words not saved")
    expect(offer).to_contain_text("not lost")
    assert (pictures / "3.txt").read_text() == CAPTIONS[3]
    offer.get_by_role("button", name="Write it").click()
    on_disk(pictures, 3, "sks, dog, not lost")
    expect(offer).to_have_count(0)


def test_two_browsers(chromium, server, editor: Page, pictures: Path) -> None:
    other = Visit(chromium, server.url)
    other.open("Tag editor")
    for page in (editor, other.page):
        cell(page, 0).click()
        expect(words(page)).to_have_value(CAPTIONS[0])
    words(editor).fill("sks, cat, red hat, first")
    on_disk(pictures, 0, "sks, cat, red hat, first")
    expect(words(other.page)).to_have_value("sks, cat, red hat, first")
    words(other.page).fill("sks, cat, first")
    expect(words(editor)).to_have_value("sks, cat, first")
    other.close()
