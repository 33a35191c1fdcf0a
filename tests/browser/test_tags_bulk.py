"""Many captions at once, walked by a browser: an edit that shows what it would do, and a sweep of one tag by keys."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import HOSTILE, PATIENCE, Visit, comes_true, draw_captioned

expect.set_options(timeout=PATIENCE)
SENTENCE = "A dog sits on the grass by the house."
CAPTIONS = ["sks, cat, red_hat", "sks, cat, blue_hat", "dog, red_hat", SENTENCE, HOSTILE, ""]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return draw_captioned(tmp_path / "many <b>", CAPTIONS)


def captions(folder: Path) -> list[str]:
    files = [folder / f"{number}.txt" for number in range(len(CAPTIONS))]
    return [file.read_text(encoding="utf-8").strip() if file.exists() else "" for file in files]


def written(folder: Path, *wanted: str) -> None:
    comes_true(lambda: captions(folder) == [*wanted])


def test_an_edit_is_shown_before_it_is_done_and_can_be_taken_back(editor: Page, pictures: Path, picture) -> None:
    editor.keyboard.press("b")
    dialog = editor.get_by_role("dialog", name="Edit many captions")
    total, changes = dialog.locator(".lor-bulk-sum"), dialog.locator(".lor-bulk-list li")
    expect(total).to_have_text("First say which tags to add.")
    expect(dialog.locator("#lor-bulk-apply")).to_be_disabled()
    dialog.get_by_label("What to do").select_option("Replace by pattern")
    dialog.get_by_label("Pattern", exact=True).fill("(red|blue)_(hat")
    expect(dialog.locator(".lor-problem").first).to_contain_text("Isn't a regular expression")
    dialog.get_by_label("Pattern", exact=True).fill("(red|blue)_(hat)")
    dialog.get_by_label("Replace by", exact=True).fill(r"\2, \1")
    expect(total).to_have_text("3 captions of 6 will change:")
    expect(changes.first.locator("ins")).to_have_text(["hat", "red"])
    expect(changes.first.locator("del")).to_have_text("red_hat")
    picture("edit-many")
    dialog.get_by_role("button", name="Change 3 captions").click()
    written(pictures, "sks, cat, hat, red", "sks, cat, hat, blue", "dog, hat, red", *CAPTIONS[3:])
    notice = editor.locator(".lor-offer")
    expect(notice).to_contain_text("3 captions changed.")
    notice.get_by_role("button", name="Undo").click()
    written(pictures, *CAPTIONS)

    editor.get_by_label("Filter line").fill("tag:cat")  # and now of those alone
    expect(editor.locator("#tags .lor-cell")).to_have_count(2)
    editor.locator("#tags-bulk").click()
    expect(dialog.get_by_label("Shown (2)")).to_be_checked()
    expect(dialog.get_by_label("Chosen (0)")).to_be_disabled()
    dialog.get_by_label("What to do").select_option("Add tags")
    dialog.get_by_label("Tags", exact=True).fill("new <i>, CAT, do")
    editor.locator(".lor-suggestions").get_by_role("option", name="dog").click()
    dialog.get_by_label("Where").select_option("at")
    dialog.get_by_label("Place").fill("2")
    expect(dialog.locator(".lor-bulk-sum")).to_have_text("2 captions of 2 will change:")
    expect(dialog.locator(".lor-bulk-list li").first).to_contain_text("new <i>")
    dialog.get_by_role("button", name="Change 2 captions").click()
    written(pictures, "sks, new <i>, dog, cat, red_hat", "sks, new <i>, dog, cat, blue_hat", *CAPTIONS[2:])
    editor.locator("#tags-bulk").click()
    expect(dialog.get_by_label("Tags", exact=True)).to_have_value("new <i>, CAT, dog")  # as it was the last time
    expect(dialog.locator(".lor-bulk-sum")).to_have_text("Nothing changes in 2 captions.")


def test_a_sweep_by_keys_is_one_change_and_outlives_the_page(editor: Page, pictures: Path, picture) -> None:
    keys = editor.keyboard
    keys.press("s")
    asking = editor.get_by_role("dialog", name="Sweep one tag")
    asking.get_by_label("Tag", exact=True).fill("red hat")
    asking.get_by_role("button", name="Start").click()
    sweep = editor.get_by_role("dialog", name="Sweep: red_hat")  # as the captions spell it
    state = sweep.locator(".lor-sweep-state")
    expect(state).to_have_text("Has it")
    expect(sweep.locator("mark")).to_have_text("red_hat")
    keys.press("n")
    expect(state).to_have_text("Hasn't it")
    expect(sweep).to_contain_text("2 of 6 · 0 yes · 1 no")
    keys.press("y")
    keys.press("Space")
    keys.press("y")
    keys.press("y")
    keys.press("ArrowLeft")
    expect(state).to_have_text("Yes: gets it")
    keys.press("Space")  # after all as it is
    expect(sweep).to_contain_text("6 of 6 · 2 yes · 1 no")
    expect(sweep.locator("img.lor-sweep-image")).to_have_js_property("complete", True)
    picture("sweep")
    assert captions(pictures) == CAPTIONS
    keys.press("Escape")
    expect(sweep).to_contain_text('2 pictures get "red_hat", 1 loses it')
    sweep.get_by_role("button", name="Write 3 captions").click()
    written(pictures, "sks, cat", "sks, cat, blue_hat, red_hat", CAPTIONS[2], f"{CAPTIONS[3]} red_hat", HOSTILE, "")
    expect(editor.locator(".lor-offer")).to_contain_text("3 captions changed.")
    editor.locator("#tags-undo").click()
    written(pictures, *CAPTIONS)

    def start() -> None:
        editor.locator("#tags-sweep").click()
        editor.get_by_label("Tag", exact=True).fill("dog")
        editor.get_by_label("Of these").select_option("Those without the tag")
        editor.get_by_role("button", name="Start").click()

    start()  # and now the page is left in the middle
    sweep = editor.get_by_role("dialog", name="Sweep: dog")
    expect(sweep).to_contain_text("1 of 4")  # a sentence with the word has it
    editor.keyboard.press("y")
    expect(sweep).to_contain_text("2 of 4 · 1 yes")
    editor.reload()
    editor.wait_for_function("() => window.Loratory?.editCaptions")
    expect(editor.get_by_role("tab", name="Tag editor")).to_be_visible()
    editor.evaluate("path => Loratory.editCaptions({ path })", str(pictures))
    expect(editor.locator("#tags .lor-cell img").first).to_be_visible()
    start()
    expect(sweep).to_contain_text("2 of 4 · 1 yes")
    sweep.get_by_role("button", name="Finish").click()
    sweep.get_by_role("button", name="Write 1 caption").click()
    written(pictures, f"{CAPTIONS[0]}, dog", *CAPTIONS[1:])


def test_both_dialogs_fit_a_telephone(visit: Visit, editor: Page) -> None:
    editor.set_viewport_size({"width": 390, "height": 780})
    editor.locator("#tags-bulk").click()
    dialog = editor.get_by_role("dialog", name="Edit many captions")
    dialog.get_by_label("What to do").select_option("Lower case")
    expect(dialog.locator(".lor-bulk-sum")).to_have_text("Nothing changes in 6 captions.")
    assert dialog.evaluate("node => node.scrollWidth <= node.clientWidth")
    dialog.get_by_role("button", name="Cancel").click()
    editor.locator("#tags-sweep").click()
    editor.get_by_label("Tag", exact=True).fill("sks")
    editor.get_by_role("button", name="Start").click()
    sweep = editor.get_by_role("dialog", name="Sweep: sks")
    expect(sweep.locator(".lor-sweep-state")).to_be_visible()
    assert sweep.evaluate("node => node.scrollWidth <= node.clientWidth && node.scrollHeight <= node.clientHeight")
    sweep.get_by_role("button", name="Yes (Y)").click()
    expect(sweep).to_contain_text("2 of 6 · 1 yes")
