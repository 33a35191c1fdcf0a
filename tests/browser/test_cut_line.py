"""The line to the window is cut in the middle: nothing typed is lost, an upload goes on, the page comes back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.between import Line
from tests.browser.conftest import PATIENCE, Server, Visit
from tests.browser.test_upload import LOST, photograph

expect.set_options(timeout=PATIENCE)


@pytest.fixture
def line(server: Server) -> Iterator[Line]:
    between = Line(server.port)
    yield between
    between.close()


@pytest.fixture
def far(chromium, line: Line) -> Iterator[Visit]:
    """A page at the other end of the line."""
    visiting = Visit(chromium, line.url)
    visiting.expected += [*LOST, "net::ERR_"]
    yield visiting
    visiting.close()


def test_no_field_is_lost(far: Visit, line: Line, server: Server) -> None:
    page = far.page
    far.open("LoRA training")
    name, trigger = page.locator("#train-name input"), page.locator("#train-metadata-trigger input")
    name.fill("typed before")
    server.learns("train", "name", "typed before")
    page.locator("#train-guide").get_by_label("Expert").check()
    line.cut()
    trigger.fill("sks typed while the line was cut")
    expect(page.locator("#lor-connection")).to_contain_text("lost its connection")
    expect(trigger).to_have_value("sks typed while the line was cut")
    line.mend()
    server.learns("train", "metadata", {"trigger": "sks typed while the line was cut"} | others(server))
    expect(page.locator("#lor-connection")).to_have_count(0)
    page.reload()
    far.open("LoRA training")
    expect(page.locator("#train-name input")).to_have_value("typed before")
    expect(page.locator("#train-metadata-trigger input")).to_have_value("sks typed while the line was cut")


def others(server: Server) -> dict[str, object]:
    """The draft's other metadata."""
    metadata = json.loads((server.home / "drafts" / "train.json").read_text(encoding="utf-8"))["metadata"]
    return {name: value for name, value in metadata.items() if name != "trigger"}


def test_a_window_that_was_killed_is_back_with_what_was_typed_meanwhile(far: Visit, server: Server) -> None:
    far.open("LoRA training")
    server.kill()
    far.page.locator("#train-name input").fill("typed while it was dead")
    expect(far.page.locator("#lor-connection")).to_contain_text("lost its connection")
    server.start()
    server.learns("train", "name", "typed while it was dead")
    expect(far.page.locator("#train-name input")).to_have_value("typed while it was dead")


def test_an_upload_goes_on(far: Visit, line: Line, server: Server, tmp_path: Path) -> None:
    photograph(tmp_path / "noise.png", 2000)  # 12 MB: three parts
    page = far.page
    page.get_by_role("button", name="Upload pictures…").click()
    expect(page.locator("#upload")).to_contain_text("of the disk are free")
    began = line.carried
    line.cut(after=6_000_000)  # in the middle of the second part
    page.locator("#upload-files").set_input_files(tmp_path / "noise.png")
    expect(page.locator("#upload")).to_contain_text("The connection was lost; trying again…")
    line.mend()
    expect(page.locator("#upload")).to_contain_text("It is the open data set now")
    size = (tmp_path / "noise.png").stat().st_size
    assert size < line.carried - began < size + 8_000_000  # no more than the torn part was sent twice
    (made,) = (server.home / "datasets").rglob("noise.png")
    assert made.read_bytes() == (tmp_path / "noise.png").read_bytes()
