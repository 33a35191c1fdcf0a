"""The way through the window: look at pictures, prepare them, train, watch, and find it all again after the worst."""

from __future__ import annotations

from pathlib import Path

import httpx
from playwright.sync_api import expect

from tests.browser.conftest import GONE, HOSTILE, PATIENCE, Server, Visit, draw_pictures

expect.set_options(timeout=PATIENCE)
PICTURES = 12


def test_the_walk(visit: Visit, server: Server, pictures: Path, tmp_path: Path, picture) -> None:
    page = visit.page
    page.get_by_label("Folder with pictures", exact=True).fill(str(pictures))
    page.get_by_role("button", name="Open", exact=True).click()
    expect(page.locator(".lor-grid figure")).to_have_count(12)
    expect(page.locator("#pictures")).to_contain_text("left out")
    expect(page.locator(".lor-problem-list")).to_contain_text("broken.jpg")
    expect(page.locator(".lor-grid")).to_contain_text(HOSTILE)
    page.wait_for_function("() => document.querySelector('.lor-grid img').naturalWidth > 0")
    picture("dataset")

    visit.open("Training folders")
    expect(page.locator("#prepare-source input")).to_have_value(str(pictures))
    target = tmp_path / "prepared"
    for field, text in {"trigger": "sks", "class_words": "cat", "destination": str(target)}.items():
        page.locator(f"#prepare-{field} input").fill(text)
    page.locator("#prepare-repeats input").fill("4")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#preparation")).to_contain_text("12 pictures for img/4_sks cat")
    assert not target.exists()
    page.get_by_role("button", name="Prepare training data").click()
    expect(page.locator("#preparation")).to_contain_text("Done.")
    assert len(list((target / "img" / "4_sks cat").glob("*.png"))) == 12
    page.get_by_role("button", name="Copy info to respective fields").click()

    expect(page.get_by_label("Folder, row 1", exact=True)).to_have_value(str(target / "img"))
    expect(page.locator("#train-metadata-trigger input")).to_have_value("sks cat")
    page.locator("#train-name input").fill("walk")
    page.locator("#train-dataset-resolution input").fill("64")
    page.locator("#train-run-epochs input").fill("3")
    expect(page.locator("#plan")).to_contain_text("144 steps")
    picture("training")

    page.reload()
    visit.open("LoRA training")
    expect(page.locator("#train-name input")).to_have_value("walk")
    expect(page.locator("#train-run-epochs input")).to_have_value("3")
    expect(page.locator("#plan")).to_contain_text("144 steps")
    run, step = page.locator(".lor-run"), page.locator(".lor-run .lor-fact").first
    with server.held():
        page.get_by_role("button", name="Start training").click()
        expect(run.get_by_role("heading", name="walk")).to_be_visible()
        expect(run).to_contain_text("75 / 160")
        expect(run.locator(".lor-samples img").first).to_be_visible()
        page.get_by_role("button", name="Sample now").click()
        visit.told("It draws samples after this step.")
        server.kill()
    server.start()
    visit.expected += GONE
    page.goto(server.url)
    visit.open("Runs")
    expect(run).to_contain_text("Finished in")
    expect(step).to_contain_text("160 / 160")
    curves = httpx.get(f"{server.url}/api/runs/{server.jobs()[-1].name}/curves").json()
    assert curves["loss"]["steps"][0] == 1 and curves["loss"]["steps"][-1] == 160
    assert page.evaluate("() => [...document.querySelectorAll('.lor-run canvas')].every((c) => c.width > 100)")
    expect(run.locator(".lor-chart table").first).to_contain_text("160")
    with page.expect_download() as download:
        run.get_by_role("link", name="Download", exact=True).first.click()
    assert download.value.suggested_filename == "fake.safetensors"
    run.locator(".lor-log").last.evaluate("(log) => log.scrollTop")
    expect(run.get_by_role("log").first).to_contain_text("<i>loss</i>")
    picture("runs")

    run.get_by_role("button", name="Load these settings into the form").first.click()
    expect(page.locator("#train-name input")).to_be_visible()
    expect(page.locator("#train-name input")).to_have_value("walk")


def test_stop_and_resume(visit: Visit, server: Server, pictures: Path) -> None:
    page = visit.page
    page.get_by_label("Folder with pictures", exact=True).fill(str(pictures))
    page.get_by_role("button", name="Open", exact=True).click()
    page.get_by_label("Repeats", exact=True).first.fill("2")
    page.get_by_role("button", name="Use for training").click()
    expect(page.get_by_label("Folder, row 1", exact=True)).to_have_value(str(pictures))
    expect(page.get_by_label("Repeats, row 1", exact=True)).to_have_value("2")
    page.locator("#train-name input").fill("stopped")
    run = page.locator(".lor-run")
    with server.held():
        page.locator("#train-name input").press("Control+Enter")
        expect(run.get_by_role("heading", name="stopped")).to_be_visible()
        expect(run).to_contain_text("75 / 160")
        run.get_by_role("button", name="Stop and save").click()
        expect(run).to_contain_text("Stopped at step 75; saved.")
    expect(run).to_contain_text("1 checkpoint on the way")
    run.get_by_role("button", name="Resume").click()
    expect(run).to_contain_text("Finished in")


def test_two_thousand_pictures(chromium, server: Server, tmp_path: Path) -> None:
    folder = draw_pictures(tmp_path / "many", 2000, side=16)
    visit = Visit(chromium, server.url)
    page = visit.page
    page.get_by_label("Folder with pictures", exact=True).fill(str(folder))
    page.get_by_role("button", name="Open", exact=True).click()
    expect(page.locator(".lor-grid figure")).to_have_count(2000)
    assert len(list((server.home / "cache" / "thumbnails").glob("*/*.webp"))) < 400  # only what is in sight was made
    page.get_by_label("Filter pictures").fill("picture 1999")
    expect(page.locator(".lor-grid figure")).to_have_count(1)
    page.locator(".lor-grid .lor-thumb").click()
    expect(page.get_by_role("dialog")).to_contain_text("picture 1999.png")
    page.keyboard.press("Escape")
    visit.close()
