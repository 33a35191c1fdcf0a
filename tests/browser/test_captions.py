"""The Captions room with the toy captioners: from a folder to captions and back, several in one run, a stop."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

from jobs import process
from tests.browser.caption_pages import LONG, MODELS, TOYS, captions, choose, enter, finished, first, four, toy
from tests.browser.conftest import PATIENCE, ROOT, Server, Visit, comes_true

expect.set_options(timeout=PATIENCE)
REAL_JOBS = True

pytestmark = pytest.mark.skipif(not (MODELS / "wd_tagger").is_dir(), reason="the toy tagger is not there")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return four(tmp_path / "my 'cat' <b>")


def test_from_a_folder_to_captions_and_back(visit: Visit, server: Server, pictures: Path, picture) -> None:
    page = visit.page
    page.get_by_label("Folder with pictures", exact=True).fill(str(pictures))
    page.get_by_role("button", name="Open", exact=True).click()
    page.get_by_role("button", name="Caption these pictures").click()
    expect(page.get_by_label("Folders", exact=True)).to_have_value(str(pictures))
    expect(page.locator("#desk")).to_contain_text("3 pictures without a caption get one")
    choose(page, "wd_tagger")
    expect(page.locator("#desk")).to_contain_text("Comes with Loratory")
    before = captions(pictures)

    page.get_by_role("button", name="Test on one picture").click()
    expect(page.locator("#trial .lor-tag").first).to_be_visible(timeout=LONG)
    expect(page.locator("#trial")).to_contain_text("It would be captioned")
    assert captions(pictures) == before

    page.get_by_role("button", name="Caption 3 pictures").click()
    finished(page)
    expect(page.locator("#captioned .lor-strip .lor-result")).to_have_count(3)
    expect(page.locator("#results .lor-result")).to_have_count(3)
    page.wait_for_function("() => [...document.querySelectorAll('.lor-strip img')].every((i) => i.naturalWidth)")
    expect(page.locator("#desk")).to_contain_text("All of them have a caption already")
    after = captions(pictures)
    assert len(after) == 4 and before.items() <= after.items()
    assert all("creature" in text for name, text in after.items() if name not in before)
    picture("captions")

    page.locator("#past").get_by_role("button", name="Undo").click()
    visit.told("3 files as before.")
    assert captions(pictures) == before
    page.reload()
    visit.open("Captions")
    page.locator("#past").get_by_role("button", name="Redo").click()
    visit.told("3 files done again.")
    assert captions(pictures) == after


def test_several_captioners_in_one_run(visit: Visit, pictures: Path) -> None:
    """As many of the toy captioners as are there, joined by a template."""
    there = [name for name in TOYS if (ROOT / toy(name)).is_dir()]
    page = enter(visit, pictures)
    page.locator("#captions-guide").get_by_label("Expert").check()
    choose(page, *there)
    if "clip_interrogate" in there:  # it begins with what BLIP has said
        page.locator("#captions-clip_interrogate-caption_model input").fill("")
    page.locator("#captions-trigger input").fill("sks")
    page.locator("#captions-template input").fill("{trigger}, {blip}, {wd_tagger}")
    page.get_by_role("button", name="Caption 3 pictures").click()
    finished(page)
    new = [text for name, text in captions(pictures).items() if name != first(pictures).stem]
    assert len(new) == 3 and all(text.startswith("sks, a ") and "cat ears" in text for text in new)
    page.get_by_role("button", name="Open in Runs").click()
    run = page.locator(".lor-run")
    expect(run.locator(".lor-result")).to_have_count(3)
    expect(run).to_contain_text("had one already")
    expect(run.locator("canvas:visible")).to_have_count(0)
    run.get_by_role("button", name="Load these settings into the form").first.click()
    expect(page.locator("#captions-trigger input")).to_be_visible()
    expect(page.locator(".lor-tile.chosen")).to_have_count(len(there))


@contextlib.contextmanager
def suspended(job: Path) -> Iterator[None]:
    at_work = process.processes(job)
    for one in at_work:
        one.suspend()
    try:
        yield
    finally:
        for one in at_work:
            one.resume()


def test_a_long_run_is_stopped_and_goes_on(visit: Visit, server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(60):
        Image.new("RGB", (64, 64), (number, 2 * number, 90)).save(folder / f"{number:02}.png")
    page = enter(visit, folder)
    choose(page, "blip" if (MODELS / "blip").is_dir() else "wd_tagger")
    page.get_by_role("button", name="Caption 60 pictures").click()
    comes_true(lambda: captions(folder), LONG)
    with suspended(server.jobs()[-1]):  # it would be at its end before a busy page has shown that it began
        expect(page.locator("#captioned")).to_contain_text("of 60 pictures")
        page.locator("#captioned").get_by_role("button", name="Stop", exact=True).click()
        visit.told("It stops after these pictures.")
    expect(page.locator("#captioned")).to_contain_text("Stopped after", timeout=LONG)
    done = captions(folder)
    assert len(done) < 60
    page.locator("#captioned").get_by_role("button", name="Resume").click()
    finished(page)
    assert len(captions(folder)) == 60 and done.items() <= captions(folder).items()
