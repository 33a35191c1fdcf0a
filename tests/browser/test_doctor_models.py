"""The doctor with a model: captions that were swapped are found, swapped back with a click, and not found again."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PATIENCE, Server, Visit
from toy import clip

expect.set_options(timeout=2 * PATIENCE)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures") / "swapped"
    folder.mkdir()
    drawn = (clip.picture(index, 4242) for index in range(60))
    some = [(image, scene.caption) for image, scene in drawn if not scene.second][:16]
    for number, (image, _) in enumerate(some):
        image.resize((256, 256)).save(folder / f"{number:02d}.png")
        (folder / f"{number:02d}.txt").write_text(some[number ^ 1 if number < 2 else number][1])
    return folder


def test_swapped_captions(visit: Visit, server: Server, pictures: Path, picture) -> None:
    page = visit.page
    page.get_by_label("Folder with pictures", exact=True).fill(str(pictures))
    page.get_by_role("button", name="Open", exact=True).click()
    expect(page.locator(".lor-grid figure")).to_have_count(16)
    page.locator("#page-doctor-button").click()
    page.get_by_text("Compare pictures with captions by a model").click()
    expect(page.locator("#doctor-clip-model")).to_have_value("toy/models/clip")
    page.locator("#doctor-clip").click()
    said = "16 pictures and 16 captions compared by the toy CLIP"
    expect(page.locator("#doctor")).to_contain_text(said, timeout=6 * PATIENCE)  # torch takes its time to load
    finding = page.locator("#doctor .lor-finding[data-finding='meaning.swapped']")
    expect(finding).to_contain_text("1 pair of pictures")
    finding.locator("summary").press("Enter")
    finding.get_by_role("checkbox").first.check()
    picture("doctor_models")
    before = [(pictures / f"0{number}.txt").read_text().strip() for number in (0, 1)]
    finding.get_by_role("button", name="Swap their captions…").click()
    page.get_by_role("dialog").get_by_role("button", name="Swap their captions", exact=True).click()
    expect(finding).to_have_count(0)
    assert [(pictures / f"0{number}.txt").read_text().strip() for number in (1, 0)] == before
