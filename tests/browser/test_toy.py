"""The whole way with the toy model and the real trainer: from the demo's pictures to a LoRA file.

LORATORY_PICTURES=1 trains the demo as long as its preset says and takes the README's pictures on the way.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import ROOT, Server, Visit

TAKES_PICTURES = os.environ.get("LORATORY_PICTURES") == "1"
LONG = 600_000  # ms; a run on two busy cores

pytestmark = [
    pytest.mark.skipif(not (ROOT / "toy" / "models" / "sd").is_dir(), reason="the toy model is not there"),
    pytest.mark.long,
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("home"), ["-m", "gui"]).start()
    yield running
    running.stop()


def test_the_demo_by_hand(visit: Visit, server: Server, tmp_path: Path, picture) -> None:
    page = visit.page
    visit.open("LoRA training")
    page.get_by_label("Preset", exact=True).select_option("ours/toy/demo")
    page.get_by_role("button", name="Load", exact=True).click()
    expect(page.locator("#train-model-base input")).to_have_value("toy/models/sd")

    visit.open("Dataset")
    page.get_by_role("button", name="Use the demo pictures").click()
    expect(page.locator(".lor-grid figure")).to_have_count(20)
    page.wait_for_function(
        "() => [...document.querySelectorAll('.lor-grid img')].slice(0, 8).every((i) => i.naturalWidth)"
    )
    picture("dataset")
    visit.open("Training folders")
    target = tmp_path / "prepared data"
    for field, text in {"trigger": "sks", "class_words": "creature", "destination": str(target)}.items():
        page.locator(f"#prepare-{field} input").fill(text)
    page.locator("#prepare-repeats input").fill("1")
    page.get_by_role("button", name="Prepare training data").click()
    expect(page.locator("#preparation")).to_contain_text("Done.")
    page.get_by_role("button", name="Copy info to respective fields").click()

    expect(page.get_by_label("Folder, row 1", exact=True)).to_have_value(str(target / "img"))
    expect(page.locator("#plan")).to_contain_text("20 pictures x 50 epochs / batch 4 =")
    picture("training")
    if not TAKES_PICTURES:
        page.get_by_label("Standard").check()
        page.locator("#train-run-max_steps input").fill("4")
        page.locator("#train-preview-steps input").fill("4")
        expect(page.locator("#plan")).to_contain_text("4 steps")
    page.get_by_role("button", name="Start training").click()

    run = page.locator(".lor-run")
    expect(run.get_by_role("heading", name="creature")).to_be_visible()
    expect(run.locator(".lor-samples img").first).to_be_visible(timeout=LONG)
    page.reload()
    visit.open("Runs")
    expect(run).to_contain_text("Finished in", timeout=LONG)
    expect(run.get_by_role("link", name="Download", exact=True).first).to_be_visible()
    page.wait_for_function("() => [...document.querySelectorAll('.lor-samples img')].every((i) => i.naturalWidth)")
    picture("runs")

    job = server.jobs()[-1]
    assert (job / "creature.safetensors").stat().st_size > 10_000
    assert (target / "model" / "creature.safetensors").read_bytes() == (job / "creature.safetensors").read_bytes()
