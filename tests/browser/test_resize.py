"""Resize & crop as a person uses it: draw what is kept of a picture, paint a mask, look at the dry run, make copies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Page, expect

from dataset import masks
from tests.browser.conftest import HOSTILE, PATIENCE, Server, Visit

expect.set_options(timeout=PATIENCE)
REAL_JOBS = True


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three pictures, blue with a red field on the right, one with a hostile name."""
    folder = tmp_path / "my 'photos' <b>"
    folder.mkdir()
    for stem, size in ((HOSTILE.replace("/", " "), (800, 400)), ("second", (400, 800)), ("third", (600, 600))):
        image = Image.new("RGB", size, (40, 90, 160))
        ImageDraw.Draw(image).rectangle((size[0] // 2, 0, size[0], size[1]), fill=(220, 30, 30))
        image.save(folder / f"{stem}.png")
        (folder / f"{stem}.txt").write_text(f"sks, {HOSTILE}", encoding="utf-8")
    return folder


def enter(visit: Visit, folder: Path) -> Page:
    page = visit.page
    page.fill("#dataset-path", str(folder))
    page.get_by_role("button", name="Open", exact=True).click()
    expect(page.locator("#pictures")).to_contain_text("with a caption")
    page.locator("#page-resize-button").click()
    expect(page.locator(".lor-crop-thumb")).to_have_count(3)
    expect(page.locator("#resize-folder textarea, #resize-folder input").first).to_have_value(str(folder))
    return page


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    page.mouse.move(*end)
    page.mouse.up()


def at(area: dict, x: float, y: float) -> tuple[float, float]:
    return area["x"] + x * area["width"], area["y"] + y * area["height"]


def crops(folder: Path) -> dict:
    path = folder / ".loratory" / "crops.json"
    return json.loads(path.read_text())["crops"] if path.exists() else {}


def next_crop(page: Page, folder: Path, before: list[float] | None) -> list[float]:
    """The crop of second.png once it is another one."""
    for _ in range(PATIENCE // 50):
        if (now := crops(folder).get("second.png")) != before:
            return now
        page.wait_for_timeout(50)
    raise AssertionError("the crop stays as it was")


def test_from_a_folder_to_copies(visit: Visit, pictures: Path, tmp_path: Path, picture) -> None:
    page = enter(visit, pictures)
    page.get_by_role("button", name="512", exact=True).click()
    page.locator("#resize-width input").fill("128")
    page.get_by_role("button", name="second.png, crop").click()
    dialog = page.get_by_role("dialog", name="Crop")
    expect(dialog).to_contain_text("a run would keep this")
    page.wait_for_function("() => [...document.querySelectorAll('.lor-crop-stage img')].every((i) => i.naturalWidth)")
    area = dialog.locator(".lor-crop-stage").bounding_box()

    # a box from nothing, all red; then moved, and zoomed by keyboard
    drag(page, at(area, 0.55, 0.02), at(area, 0.95, 0.5))
    first = next_crop(page, pictures, None)
    assert first[0] > 0.5
    assert abs((first[2] - first[0]) * 400 - (first[3] - first[1]) * 800) < 1  # a square, as is asked for
    frame = dialog.locator(".lor-crop-box").bounding_box()
    drag(page, at(frame, 0.5, 0.5), (at(frame, 0.5, 0.5)[0], at(frame, 0.5, 0.5)[1] + 0.1 * area["height"]))
    moved = next_crop(page, pictures, first)
    assert moved[1] == pytest.approx(first[1] + 0.1, abs=0.02) and moved[0] == pytest.approx(first[0], abs=0.02)
    dialog.locator(".lor-crop-box").focus()
    page.keyboard.press("-")
    drawn = next_crop(page, pictures, moved)
    expect(dialog).to_contain_text("drawn by hand")
    picture("resize-crop")
    dialog.get_by_role("button", name="Close").click()
    assert drawn[2] - drawn[0] < moved[2] - moved[0]

    # undone and done again, also after a reload
    page.get_by_role("button", name="Undo the last crop").click()
    visit.told("Undone: 1 crop.")
    assert crops(pictures)["second.png"] == moved
    page.get_by_role("button", name="Redo the last crop").click()
    visit.told("Done again: 1 crop.")
    page.reload()
    expect(page.locator("#dataset-path")).to_be_enabled()
    page.locator("#page-resize-button").click()
    expect(page.locator(".lor-crop-thumb .lor-crop-box")).to_have_count(1)

    # a mask: the left half is left out
    page.get_by_role("button", name="third.png, crop").click()
    page.get_by_role("button", name="Mask…").click()
    editor = page.get_by_role("dialog", name="Mask of third.png")
    editor.get_by_role("button", name="Leave all out").click()
    editor.get_by_label("Box to learn").check()
    area = editor.locator("canvas").bounding_box()
    drag(page, at(area, 0.5, 0.01), at(area, 0.99, 0.99))
    page.keyboard.press("i")
    page.keyboard.press("Control+z")
    editor.get_by_role("button", name="Save the mask").click()
    visit.told("The mask is saved.")
    mask = Image.open(masks.place(pictures / "third.png"))
    assert mask.size == (600, 600) and (mask.getpixel((100, 300)), mask.getpixel((500, 300))) == (0, 255)
    page.get_by_role("dialog", name="Crop").get_by_role("button", name="Close").click()

    # what would happen, then that it does
    output = pictures.with_name(f"{pictures.name} resized")
    page.get_by_role("button", name="Dry run").click()
    expect(page.locator("#resizing")).to_contain_text("3 copies to make")
    expect(page.locator("#resize-table tbody tr")).to_have_count(3)
    expect(page.locator("#resize-table")).to_contain_text("by hand")
    assert not output.exists()
    page.get_by_role("button", name="Make copies").click()
    expect(page.locator("#resizing")).to_contain_text("3 copies made, 3 captions, 1 mask")
    picture("resize")
    made = sorted(path for path in output.iterdir() if path.suffix == ".jpg")
    assert [Image.open(path).size for path in made] == [(128, 128)] * 3
    red = Image.open(output / "second.jpg").getpixel((64, 64))
    assert red[0] > 190 and red[2] < 60  # only the red side was kept
    assert Image.open(masks.place(output / "third.jpg")).size == (128, 128)

    # the copies are a data set
    page.get_by_role("button", name="Open the copies").click()
    expect(page.locator("#dataset-path")).to_have_value(str(output))
    expect(page.locator("#pictures")).to_contain_text("3")


def test_what_is_wrong_stands_beside_its_field(visit: Visit, pictures: Path) -> None:
    page = enter(visit, pictures)
    page.locator("#resize-output textarea, #resize-output input").first.fill(str(pictures / "inside"))
    page.get_by_role("button", name="Make copies").click()
    expect(page.locator("#resize-output .lor-problem")).to_contain_text("lies inside the folder with your pictures")
    assert not (pictures / "inside").exists()


def test_it_can_be_used_on_a_telephone(chromium, server: Server, pictures: Path) -> None:
    visit = Visit(chromium, server.url, viewport={"width": 390, "height": 844}, color_scheme="dark")
    page = enter(visit, pictures)
    page.get_by_role("button", name="third.png, crop").click()
    dialog = page.get_by_role("dialog", name="Crop")
    expect(dialog).to_contain_text("a run would keep this")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
    assert dialog.bounding_box()["width"] <= 390
    dialog.get_by_role("button", name="Close").click()
    visit.close()
