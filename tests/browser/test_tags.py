"""The tag editor, walked by a browser: filter, choose, change tags, undo, and come back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE, Visit, draw_captioned
from tests.browser.tag_pages import CAPTIONS, cell, chips, line, on_disk, saved, words

expect.set_options(timeout=PATIENCE)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return draw_captioned(tmp_path / "tags <b>", CAPTIONS)


def test_filter_choose_change_undo_and_come_back(visit: Visit, editor: Page, pictures: Path, picture) -> None:
    editor.get_by_label("Order of the pictures").select_option("Most tokens first")
    expect(cell(editor, 0)).to_have_attribute("aria-label", re.compile(r"^4\.png"))
    editor.get_by_label("Order of the pictures").select_option("In the order of the folders")
    expect(cell(editor, 0)).to_have_attribute("aria-label", re.compile(r"^0\.png"))
    line(editor).fill("tag:cat -tag:blue OR (")
    expect(editor.locator("#tags-filter-note")).to_contain_text("Character 23")
    expect(editor.locator("#tags-filter-note mark")).to_have_count(1)
    line(editor).fill("")
    line(editor).press_sequentially("tag:ca")
    editor.locator(".lor-suggestions").get_by_role("option", name="cat").click()
    expect(editor.locator("#tags .lor-cell")).to_have_count(2)
    expect(editor.locator("#tags-filter-note")).to_contain_text("2 of 6")

    cell(editor, 0).click()
    expect(words(editor)).to_have_value(CAPTIONS[0])
    expect(chips(editor)).to_have_text(["sks", "cat", "red hat"])
    editor.get_by_label("Add a tag", exact=True).fill("smile")
    editor.get_by_label("Add a tag", exact=True).press("Enter")
    expect(words(editor)).to_have_value("sks, cat, red hat, smile")
    editor.locator("#tags .lor-picture").get_by_role("button", name="Remove red hat").click()
    on_disk(pictures, 0, "sks, cat, smile")
    saved(editor)
    expect(chips(editor)).to_have_text(["sks", "cat", "smile"])
    editor.locator("#tags .lor-tagchip").nth(2).drag_to(editor.locator("#tags .lor-tagchip").nth(0))
    on_disk(pictures, 0, "smile, sks, cat")
    editor.locator("#tags .lor-picture").get_by_role("button", name="cat", exact=True).click()
    editor.get_by_label("Edit cat").fill("kitten")
    editor.get_by_label("Edit cat").press("Enter")
    on_disk(pictures, 0, "smile, sks, kitten")
    words(editor).fill("sks, kitten, by hand")
    on_disk(pictures, 0, "sks, kitten, by hand")
    expect(editor.locator("#tags .lor-picture .lor-tagchip-name")).to_have_count(3)
    picture("tags")

    for text in ("smile, sks, kitten", "smile, sks, cat"):
        editor.get_by_role("button", name="Undo", exact=True).click()
        on_disk(pictures, 0, text)
    editor.reload()
    visit.open("Tag editor")
    cell(editor, 0).click()
    expect(words(editor)).to_have_value("smile, sks, cat")
    editor.locator("#tags .lor-pictures").press("Control+Shift+Z")
    on_disk(pictures, 0, "smile, sks, kitten")
    expect(words(editor)).to_have_value("smile, sks, kitten")
    editor.get_by_text("What this caption was before").click()
    editor.locator(".lor-past li").last.get_by_role("button", name="Back to this").click()
    on_disk(pictures, 0, CAPTIONS[0])


def test_several_pictures_share_tags(editor: Page, pictures: Path) -> None:
    cell(editor, 0).click()
    cell(editor, 2).click(modifiers=["Shift"])
    tags = editor.get_by_role("group", name="Tags of the chosen pictures")
    expect(editor.locator("#tags .lor-several")).to_contain_text("3 pictures chosen")
    expect(tags.get_by_role("checkbox", name="sks")).to_have_attribute("aria-checked", "true")
    expect(tags.get_by_role("checkbox", name="cat")).to_have_attribute("aria-checked", "mixed")
    tags.get_by_role("checkbox", name="cat").click()
    expect(tags.get_by_role("checkbox", name="cat")).to_have_attribute("aria-checked", "true")
    on_disk(pictures, 2, "sks, dog, red hat, cat")
    tags.get_by_role("checkbox", name="cat").click()
    expect(tags.get_by_role("checkbox", name="cat")).to_have_attribute("aria-checked", "false")
    on_disk(pictures, 0, "sks, red hat")
    cell(editor, 1).click(modifiers=["Control"])
    expect(editor.locator("#tags .lor-several")).to_contain_text("2 pictures chosen")
    editor.get_by_label("Add a tag to all chosen pictures").fill("new one")
    editor.get_by_label("Add a tag to all chosen pictures").press("Enter")
    on_disk(pictures, 2, "sks, dog, red hat, new one")
    on_disk(pictures, 1, "sks, blue hat")


def test_the_table_filters_renames_and_removes(editor: Page, pictures: Path) -> None:
    table = editor.locator("#tags .lor-tagtable")
    expect(table).to_contain_text("6 tags")
    row = table.locator(".lor-tagrow").filter(has_text="red hat")
    row.click()
    expect(editor.locator("#tags .lor-cell")).to_have_count(2)
    table.locator(".lor-tagrow").filter(has_text="dog").click(modifiers=["Control"])
    expect(line(editor)).to_have_value('tag:"red hat" -tag:dog')
    expect(editor.locator("#tags .lor-cell")).to_have_count(1)
    row.get_by_role("button", name="More about red hat").click()
    detail = editor.get_by_role("region", name="One tag")
    expect(detail.get_by_role("button", name=re.compile("^cat"))).to_contain_text("50 %")
    detail.get_by_label("New name for red hat").fill("green hat")
    detail.get_by_role("button", name="Rename").click()
    editor.get_by_role("button", name="Change 2 captions").click()
    on_disk(pictures, 0, "sks, cat, green hat")
    on_disk(pictures, 2, "sks, dog, green hat")
    expect(table.locator(".lor-tagrow").filter(has_text="green hat")).to_have_count(1)
