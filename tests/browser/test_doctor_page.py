"""The doctor's page: examine, mend after a look at what would happen, take it back, the bin, and the report."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import HOSTILE, PATIENCE, Visit
from tests.dataset.doctor.test_hashes import drawn
from tests.dataset.test_deeds import contents

expect.set_options(timeout=PATIENCE)
REAL_JOBS = True


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "4_sks"
    folder.mkdir()
    name = "hostile" if os.name == "nt" else HOSTILE
    for number, stem in enumerate([name, "one", "two", "three"]):
        drawn(number, (160, 160)).save(folder / f"{stem}.png")
        (folder / f"{stem}.txt").write_text(f"sks, {HOSTILE}, {stem}", encoding="utf-8")
    (folder / "one.txt").write_text("sks, one\nsecond line", encoding="utf-8")
    (folder / "two.txt").write_text("a cat", encoding="utf-8")
    with Image.open(folder / "three.png") as image:
        image.resize((120, 120)).save(folder / "three small.png")
    (folder / "three small.txt").write_text("sks, small", encoding="utf-8")
    (folder / "cut.png").write_bytes(b"no picture")
    return folder


def examine(visit: Visit, folder: Path) -> Page:
    page = visit.page
    page.get_by_label("Folder with pictures", exact=True).fill(str(folder))
    page.get_by_role("button", name="Open", exact=True).click()
    page.locator("#page-doctor-button").click()
    expect(page.locator("#doctor")).to_contain_text(str(folder))
    page.get_by_label("Resolution").fill("128")
    page.get_by_label("Trigger word").fill("sks")
    page.get_by_role("button", name="Examine").click()
    expect(page.locator(".lor-finding").first).to_be_visible()
    return page


def finding(page: Page, name: str) -> Locator:
    one = page.locator(f"[data-finding='{name}']")
    if one.get_attribute("open") is None:
        one.locator("summary").press("Enter")  # a click misses it where pictures above take their place meanwhile
    expect(one).to_have_attribute("open", "")
    return one


def mend(page: Page, name: str, button: str) -> Locator:
    """Until the preview is there; the dialog."""
    finding(page, name).get_by_role("button", name=button).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("It can be taken back.")
    return dialog


def test_examine_mend_undo_and_the_bin(visit: Visit, pictures: Path, picture) -> None:
    before = contents(pictures)
    page = examine(visit, pictures)
    expect(page.locator("#doctor")).to_contain_text("5 pictures")
    assert page.locator("[data-finding]").evaluate_all("all => all.map((one) => one.className.split(' ').pop())") == \
        sorted(page.locator("[data-finding]").evaluate_all("all => all.map((one) => one.className.split(' ').pop())"),
               key=("serious", "warning", "note").index)
    picture("doctor")

    dialog = mend(page, "captions.lines", "Write them on one line…")
    expect(dialog.locator("ins").first).to_be_visible()
    dialog.get_by_label("Of several lines").select_option("keep the first")
    expect(dialog.locator("ins")).to_have_text("one")
    dialog.get_by_label("Of several lines").select_option("join all")
    expect(dialog.locator("ins").last).to_have_text("second line")
    assert contents(pictures) == before
    dialog.get_by_role("button", name="Write them on one line").click()
    expect(page.locator(".lor-report.done")).to_contain_text("1 file changed")
    expect(page.locator("[data-finding='captions.lines']")).to_have_count(0)
    assert (pictures / "one.txt").read_text() == "sks, one, second line\n"
    page.locator(".lor-report.done").get_by_role("button", name="Undo").click()
    expect(page.locator("[data-finding='captions.lines']")).to_have_count(1)
    assert contents(pictures) == before

    group = finding(page, "duplicates.near")
    expect(group.locator("input[type=radio]").first).to_be_checked()
    group.get_by_role("radio").nth(1).check()
    mend(page, "duplicates.near", "Move the others to the bin…").get_by_role(
        "button", name="Move the others to the bin").click()
    expect(page.locator("#doctor-bin summary")).to_have_text("Bin: 1 thing")
    assert not (pictures / "three.png").exists() and not (pictures / "three.txt").exists()

    page.reload()
    page.locator("#page-doctor-button").click()
    expect(page.locator("#doctor-bin summary")).to_have_text("Bin: 1 thing")
    page.locator("#doctor-bin summary").press("Enter")
    expect(page.locator("#doctor-bin")).to_have_attribute("open", "")
    expect(page.locator("#doctor-bin")).to_contain_text("with three.txt")
    page.locator("#doctor-bin").get_by_role("button", name="Put back", exact=True).click()
    expect(page.locator("[data-finding='duplicates.near']")).to_have_count(1)
    assert contents(pictures) == before


def test_what_is_fine_is_put_aside_and_told_again(visit: Visit, pictures: Path) -> None:
    page = examine(visit, pictures)
    finding(page, "captions.trigger").get_by_role("button", name="Mark as fine").click()
    expect(page.locator("[data-finding='captions.trigger']")).to_have_count(0)
    page.get_by_text("You found 1 thing to be fine").click()
    page.locator("[data-fine='captions.trigger']").get_by_role("button", name="Tell me again").click()
    expect(page.locator("[data-finding='captions.trigger']")).to_have_count(1)
    assert page.locator("img[src=x]").count() == 0


def test_nothing_is_mended_unless_it_is_chosen_and_the_report_is_saved(visit: Visit, pictures: Path) -> None:
    page = examine(visit, pictures)
    left_out = finding(page, "files.left_out")
    button = left_out.get_by_role("button", name="Move them to the bin…")
    expect(button).to_be_disabled()
    left_out.get_by_label("Choose cut.png").check()
    expect(left_out).to_contain_text("1 of 1 chosen")
    button.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("cut.png goes to the bin")
    dialog.get_by_role("button", name="Cancel").click()
    assert (pictures / "cut.png").exists()
    with page.expect_download() as saving:
        page.get_by_role("link", name="Report to keep").click()
    text = Path(saving.value.path()).read_text(encoding="utf-8")
    assert saving.value.suggested_filename == "report on 4_sks.html" and "<img src=x" not in text
    with page.expect_download() as saving:
        page.get_by_role("link", name="Sums of all files").click()
    assert "  two.txt\n" in Path(saving.value.path()).read_text(encoding="utf-8")
