"""The form of the Captions room: a moved threshold, what is missing, options of the chosen, the command."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.caption_pages import LONG, MODELS, captions, choose, enter, finished, four, tile
from tests.browser.conftest import HOSTILE, PATIENCE, Server, Visit, draw_pictures

expect.set_options(timeout=PATIENCE)
REAL_JOBS = True

pytestmark = pytest.mark.skipif(not (MODELS / "wd_tagger").is_dir(), reason="the toy tagger is not there")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return four(tmp_path / "my 'cat' <b>")


def test_a_moved_threshold_shows_other_tags_at_once(visit: Visit, pictures: Path) -> None:
    page = enter(visit, pictures)
    choose(page, "wd_tagger")
    page.get_by_role("button", name="Caption 3 pictures").click()
    finished(page)
    page.get_by_role("button", name="Next").click()
    chosen = page.locator("#trial .lor-tag.chosen")
    expect(chosen.filter(has_text="cat_ears")).to_have_count(1)
    page.get_by_label("General threshold", exact=True).and_(page.locator("[type=range]")).fill("1")
    expect(chosen.filter(has_text="cat_ears")).to_have_count(0)
    expect(page.locator("#trial .lor-tag").filter(has_text="cat_ears")).to_have_count(1)
    expect(page.locator("#captions-wd_tagger-general_threshold input")).to_have_value("1")
    expect(chosen.filter(has_text="creature")).to_have_count(1)

    before = captions(pictures)
    page.locator("#trial").get_by_role("button", name="Show what would change").click()
    expect(page.locator("#captioned")).to_contain_text("Nothing was written.", timeout=LONG)
    expect(page.locator("#results del").filter(has_text="cat ears").first).to_be_visible()
    expect(page.locator("#results")).to_contain_text(HOSTILE)
    assert captions(pictures) == before
    page.locator("#captioned").get_by_role("button", name="Write these 4 captions").click()
    expect(page.locator("#captioned")).not_to_contain_text("Nothing was written", timeout=LONG)
    finished(page)
    assert set(captions(pictures).values()) == {"creature (toy world)\n"}
    page.locator("#captioned").get_by_role("button", name="Undo").click()
    visit.told("4 files as before.")
    assert captions(pictures) == before


def test_strangers_words_stay_words(visit: Visit, tmp_path: Path) -> None:
    visit.expected.append("404")  # broken.jpg has no thumbnail
    folder = draw_pictures(tmp_path / HOSTILE, 3)
    page = enter(visit, folder)
    for box in page.locator(".lor-tile.chosen input").all():
        box.uncheck()
    tile(page, "Existing caption").check()
    page.locator("#captions-trigger input").fill("<i>sks</i>, >_<")
    page.locator("#captions-write-mode input").click()
    page.get_by_role("option", name="overwrite").click()
    expect(page.locator("#desk")).to_contain_text("captions are replaced")
    page.get_by_role("button", name="Show what would change").first.click()
    expect(page.locator("#captioned")).to_contain_text("Nothing was written.", timeout=LONG)
    expect(page.locator("#results ins").first).to_have_text("<i>sks</i>")
    expect(page.locator("#results")).to_contain_text(HOSTILE)
    page.get_by_role("radio", name="Failed").check()
    expect(page.locator("#results")).to_contain_text("broken.jpg")
    assert page.locator("img[src=x], #results i").count() == 0


def test_what_is_missing_is_said_and_nothing_comes_unasked(visit: Visit, server: Server, pictures: Path) -> None:
    page = visit.page
    visit.open("Captions")
    jobs = server.jobs()
    page.locator("#captions-start").click()
    expect(page.locator("#captions-source-folders .lor-problem")).to_contain_text("choose a folder")
    page.get_by_label("Folders", exact=True).fill(str(pictures))
    expect(page.locator("#captions-source-folders .lor-problem")).to_have_count(0)
    expect(page.locator("#desk")).to_contain_text("Not on this machine")
    page.locator("#captions-start").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("licence")
    dialog.get_by_role("button", name="Cancel").click()
    assert server.jobs() == jobs
    page.locator("#desk").get_by_role("combobox").select_option("toy/models/wd_tagger")
    expect(page.locator("#captions-wd_tagger-model input")).to_have_value("toy/models/wd_tagger")


def test_only_the_chosen_captioners_options_are_shown(visit: Visit, pictures: Path) -> None:
    page = enter(visit, pictures)
    expect(page.locator("#captions-group-wd_tagger")).to_be_visible()
    expect(page.locator("#captions-group-blip")).to_be_hidden()
    tile(page, "BLIP").check()
    expect(page.locator("#captions-group-blip")).to_be_visible()
    expect(page.locator(".lor-tile.chosen").nth(1)).to_contain_text("2.")
    page.reload()
    visit.open("Captions")
    expect(page.locator("#captions-group-blip")).to_be_visible()
    tile(page, "BLIP").uncheck()
    expect(page.locator("#captions-group-blip")).to_be_hidden()


def test_a_click_in_a_room_that_has_just_opened_counts(visit: Visit, server: Server) -> None:
    """Gradio puts all that a room was drawn with into it once more, some frames after it can be seen."""
    visit.page.evaluate("""() => new Promise((done) => {
      new MutationObserver((_, observer) => {
        const box = document.querySelector("#captions-captioners .lor-tile:nth-of-type(2) input");
        if (!box || box.disabled || box.closest("[inert]")) return;
        observer.disconnect(); box.click(); done();
      }).observe(document, { subtree: true, childList: true, attributes: true });
      document.getElementById("tab-captions-button").click();
    })""")
    server.learns("captions", "captioners", ["wd_tagger", "blip"])
    expect(visit.page.locator("#captions-group-blip")).to_be_visible()
    expect(tile(visit.page, "BLIP")).to_be_checked()


def test_the_command(visit: Visit, pictures: Path) -> None:
    page = enter(visit, pictures)
    choose(page, "wd_tagger")
    page.get_by_role("button", name="Show command").click()
    dialog = page.get_by_role("dialog", name="Caption without the window")
    expect(dialog).to_contain_text("launch.py caption")
    expect(dialog).to_contain_text("--captioner wd_tagger --mode missing --wd_tagger.model=toy/models/wd_tagger")
