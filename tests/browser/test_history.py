"""The history of runs: searched, noted, duplicated, compared, thrown into the bin and put back, kept as a report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from jobs import notes
from jobs.folder import Job, create
from settings import toml
from settings.errors import check
from tests.browser.conftest import HOSTILE, PATIENCE, Server, Visit, comes_true
from trainer.config import TrainSettings

expect.set_options(timeout=PATIENCE)
FAKE = Path(__file__).with_name("fake_trainer.py")


def trained(home: Path, name: str, steps: int, **values: object) -> Job:
    """A run that the stand-in has trained."""
    config = check(TrainSettings, {"name": "x", **values})
    place = home / "jobs" / f"2026-{name[:3].strip('<')}-{steps}"
    job = create("train", name, toml.dumps(config), ["python"], at=place)
    command = [sys.executable, FAKE, job.folder, "--steps", str(steps), "--pause", "0"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (job.folder / "process.json").write_text(json.dumps({"pid": os.getpid(), "born": "before"}))
    return job


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    trained(home, "kater", 40, optimizer={"name": "lion"})
    trained(home, "mia", 80, lora={"denoiser": {"rank": 24}})
    notes.write(trained(home, HOSTILE, 20).folder, text=HOSTILE, tags=["<b>bold"])
    running = Server(home, [str(FAKE.with_name("fake_window.py")), "40", "0.05"]).start()
    yield running
    running.stop()


def line(visit: Visit, name: str):
    return visit.page.locator(".lor-run-item").filter(has_text=name)


def test_search_notes_and_tags(visit: Visit, server: Server) -> None:
    page = visit.page
    visit.open("Runs")
    expect(page.locator(".lor-run-item")).to_have_count(3)
    line(visit, "mia").locator(".lor-run-line").click()
    expect(page.locator(".lor-run-head h2")).to_have_text("mia")
    page.get_by_label("Notes").fill("too <b>dark</b>")
    page.get_by_label("Notes").blur()
    page.get_by_label("Add a tag").fill("person")
    page.get_by_label("Add a tag").press("Enter")
    page.get_by_role("button", name="☆ Best").click()
    expect(page.get_by_role("button", name="★ Best")).to_have_attribute("aria-pressed", "true")
    expect(line(visit, "mia")).to_contain_text("too <b>dark</b>")
    (mia,) = (job for job in server.jobs() if "mia" in job.name)
    comes_true(lambda: notes.read(mia) == notes.Notes("too <b>dark</b>", ("person",), True))

    search = page.get_by_label("Search runs")
    for words, found in (("DARK", "mia"), ("optimizer.name=lion", "kater"), ("finished onerror", "onerror")):
        search.fill(words)
        expect(page.locator(".lor-run-item")).to_have_count(1)
        expect(page.locator(".lor-run-item")).to_contain_text(found)
    search.fill("nothing has this")
    expect(page.get_by_text("No run fits.")).to_be_visible()
    search.fill("")
    page.get_by_text("Filter and order").click()
    page.get_by_label("Tag", exact=True).select_option("★")
    expect(page.locator(".lor-run-item")).to_have_count(1)
    page.reload()
    visit.open("Runs")
    expect(page.get_by_label("Notes")).to_have_value("too <b>dark</b>")


def test_runs_beside_each_other(visit: Visit, server: Server) -> None:
    page = visit.page
    visit.open("Runs")
    for name in ("mia", "kater", "onerror"):
        line(visit, name).get_by_role("checkbox").check()
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.get_by_role("heading", name="3 runs beside each other")).to_be_visible()
    expect(page.get_by_role("row", name="Steps", exact=False).first).to_contain_text("80 of 80")
    shown = page.locator("tr.differs")
    expect(shown).to_have_count(2)
    expect(shown.filter(has_text="optimizer.name")).to_contain_text("lion")
    page.get_by_label("show all").check()
    expect(page.locator(".lor-compared tbody tr").nth(100)).to_be_attached()
    expect(page.get_by_role("img", name="Loss, smoothed")).to_be_visible()
    chart = page.locator("figure.lor-chart").filter(has_text="Loss, smoothed")
    expect(chart.locator("table tr").first).to_contain_text("mia")
    samples = page.get_by_role("region", name="Samples beside each other")
    expect(samples.locator("img")).to_have_count(6)
    page.get_by_label("Samples of").select_option("20")
    expect(samples).to_contain_text("step 20")
    expect(samples.locator("img")).to_have_count(6)  # two prompts, all three had drawn at step 20
    samples.get_by_role("button").first.click()
    dialog = page.get_by_role("dialog", name="Samples beside each other")
    expect(dialog.locator("img")).to_have_count(3)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Back", exact=True).click()
    expect(page.get_by_label("Notes")).to_be_visible()


def test_duplicate_with_changes(visit: Visit) -> None:
    page = visit.page
    visit.open("Runs")
    line(visit, "mia").locator(".lor-run-line").click()
    page.get_by_role("button", name="Duplicate with changes").click()
    expect(page.locator("#train-name input")).to_have_value("mia-2")
    page.get_by_role("radio", name="Standard").check()
    expect(page.locator("#train-lora-denoiser-rank input")).to_have_value("24")


def test_into_the_bin_and_back_and_a_report(visit: Visit, server: Server) -> None:
    page = visit.page
    visit.expected.append("404")  # what the page asks about a run in the moment in which it goes
    visit.open("Runs")
    line(visit, "onerror").locator(".lor-run-line").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Report").click()
    told = Path(download.value.path()).read_text(encoding="utf-8")
    assert download.value.suggested_filename.endswith("-report.html") and "&lt;img src=x onerror=alert(1)&gt;" in told
    assert "<img src=x" not in told and told.count("data:image/webp") == 10

    page.get_by_role("button", name="Move to the bin").click()
    expect(page.get_by_text("It is in the bin, whole.")).to_be_visible()
    expect(page.locator(".lor-run-item")).to_have_count(2)
    page.get_by_role("button", name="Put it back").click()
    expect(page.locator(".lor-run-item")).to_have_count(3)
    expect(page.locator(".lor-run-head h2")).to_contain_text("onerror")
    for name in ("onerror", "kater"):
        line(visit, name).locator(".lor-run-line").click()
        expect(page.locator(".lor-run-head h2")).to_contain_text(name)
        page.get_by_role("button", name="Move to the bin").click()
        expect(page.get_by_text("It is in the bin, whole.")).to_be_visible()
    page.get_by_role("button", name="Bin (2)").click()
    dialog = page.get_by_role("dialog", name="Bin")
    dialog.get_by_role("button", name="Put kater back").click()
    expect(dialog.locator("li")).to_have_count(1)
    dialog.get_by_role("button", name="Empty the bin").click()
    question = page.get_by_role("dialog", name="Delete 1 run for good?")
    expect(question).to_contain_text("KB")
    question.get_by_role("button", name="Delete").click()
    expect(dialog).to_contain_text("It is empty.")
    dialog.get_by_role("button", name="Close").click()
    expect(page.locator(".lor-run-item")).to_have_count(2)
    assert sorted(job.name[5:8] for job in server.jobs()) == ["kat", "mia"]
    assert list((server.home / "bin").iterdir()) == []
