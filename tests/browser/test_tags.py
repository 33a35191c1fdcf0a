"""The tag editor, walked by a browser: filter, choose, change tags, undo, come back, and meet others at one caption."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
from conftest import HOSTILE, PATIENCE, Visit
from PIL import Image, ImageDraw
from playwright.sync_api import Page, expect

expect.set_options(timeout=PATIENCE)
CAPTIONS = ["sks, cat, red hat", "sks, cat, blue hat", "sks, dog, red hat", "sks, dog", HOSTILE, ""]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "tags <b>"
    folder.mkdir()
    for number, text in enumerate(CAPTIONS):
        picture = Image.new("RGB", (96 + 8 * number, 96), (40 * number, 90, 160))
        ImageDraw.Draw(picture).ellipse((8, 8, 88, 88), fill="orange")
        picture.save(folder / f"{number}.png")
        if text:
            (folder / f"{number}.txt").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def editor(visit: Visit, pictures: Path) -> Page:
    enter(visit, pictures)
    return visit.page


def enter(visit: Visit, folder: Path) -> None:
    visit.page.evaluate("path => Loratory.editCaptions({ path })", str(folder))
    expect(visit.page.locator("#tags .lor-cell img").first).to_be_visible()


def cell(page: Page, number: int):
    return page.locator("#tags .lor-cell").nth(number)


def line(page: Page):
    return page.get_by_label("Filter line")


def words(page: Page):
    return page.get_by_label("Text", exact=True)


def chips(page: Page) -> list[str]:
    return page.locator("#tags .lor-picture .lor-tagchip-name").all_inner_texts()


def saved(page: Page) -> None:
    expect(page.locator("#tags .lor-saving")).to_have_text("Saved")


def on_disk(folder: Path, number: int, text: str) -> None:
    path, deadline = folder / f"{number}.txt", time.monotonic() + 20
    while not (path.exists() and path.read_text(encoding="utf-8").strip() == text) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert path.read_text(encoding="utf-8").strip() == text


def test_filter_choose_change_undo_and_come_back(visit: Visit, editor: Page, pictures: Path, picture) -> None:
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
    assert chips(editor) == ["sks", "cat", "red hat"]
    editor.get_by_label("Add a tag", exact=True).fill("smile")
    editor.get_by_label("Add a tag", exact=True).press("Enter")
    expect(words(editor)).to_have_value("sks, cat, red hat, smile")
    editor.locator("#tags .lor-picture").get_by_role("button", name="Remove red hat").click()
    on_disk(pictures, 0, "sks, cat, smile")
    saved(editor)
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


def test_ten_thousand_pictures(visit: Visit, tmp_path: Path) -> None:
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
    begun = time.monotonic()
    cell(page, 0).click()
    expect(words(page)).not_to_have_value("")
    clicked = time.monotonic() - begun
    begun = time.monotonic()
    page.locator("#tags .lor-tagrow").filter(has_text="cat").first.click()
    expect(page.locator("#tags-filter-note")).to_contain_text("5,000 of 10,000")
    filtered = time.monotonic() - begun
    print(f"a click is answered in {1000 * clicked:.0f} ms, a filter in {1000 * filtered:.0f} ms")
    assert clicked < 3 and filtered < 3
    assert page.locator("#tags .lor-cell").count() < 60
