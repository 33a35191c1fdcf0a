"""A run and its window on a hard day: everything that can be asked of a run, the window killed meanwhile, and a run
that failed and is mended by what it says itself."""

from __future__ import annotations

import os
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.conftest import GONE, PATIENCE, Server, Visit

expect.set_options(timeout=PATIENCE)
PICTURES = 3
RUNS = (12_000, 0.1)  # nobody has to hurry: every part of the walk begins before they end


def test_start_save_sample_pause_continue_kill_reopen_stop_resume(visit: Visit, server: Server, pictures: Path) -> None:
    page, run = visit.page, visit.page.locator(".lor-run")
    page.get_by_label("Folder with pictures", exact=True).fill(str(pictures))
    page.get_by_role("button", name="Open", exact=True).click()
    page.get_by_role("button", name="Use for training").click()
    expect(page.get_by_label("Folder, row 1", exact=True)).to_have_value(str(pictures))
    page.locator("#train-name input").fill("hard_day")
    page.get_by_role("button", name="Start training").click()
    expect(run).to_contain_text("/ 12,000")
    (job,) = server.jobs()

    run.get_by_role("button", name="Save now").click()
    expect(run).to_contain_text("1 checkpoint on the way")
    run.get_by_role("button", name="Sample now").click()
    expect(run.locator(".lor-samples thead th")).to_have_count(3)  # prompt, before, now
    run.get_by_role("button", name="Pause", exact=True).click()
    expect(run).to_contain_text("Everything is saved and nothing runs")
    run.get_by_role("button", name="Resume").click()
    expect(run.locator(".lor-chip").first).to_have_text("running")
    expect(run.get_by_role("button", name="Pause", exact=True)).to_be_enabled()

    visit.expected += GONE
    server.kill()
    expect(page.locator("#lor-connection")).to_contain_text("Runs go on")
    said = (job / "events.jsonl").stat().st_size
    server.start()
    page.goto(server.url)
    visit.open("Runs")
    expect(run.locator(".lor-chip").first).to_have_text("running")
    assert (job / "events.jsonl").stat().st_size > said, "nobody who trains has noticed"

    run.get_by_role("button", name="Stop and save").click()
    expect(run).to_contain_text("; saved.")
    run.get_by_role("button", name="Resume").click()
    expect(run.locator(".lor-chip").first).to_have_text("running")
    run.get_by_role("button", name="Stop and save").click()
    expect(run).to_contain_text("; saved.")
    kinds = [line for line in (job / "events.jsonl").read_text().splitlines() if '"started"' in line]
    assert len(kinds) == 3 and '"step": 0' in kinds[0] and '"step": 0' not in kinds[1] + kinds[2], "each went on"


def test_a_failed_run_is_mended_by_one_press_and_told_by_another(visit: Visit, server: Server, monkeypatch) -> None:
    from jobs import folder
    from jobs.events import EventWriter
    from settings import toml
    from settings.errors import check
    from trainer.config import TrainSettings

    monkeypatch.setenv("LORATORY_HOME", str(server.home))
    config = check(TrainSettings, {"name": "too_large", "run": {"epochs": 77}, "model": {"base": "someone/some-model"}})
    job = folder.create("train", "too_large", toml.dumps(config), ["python", "-c", "pass"])
    fix = {"says": "gradient checkpointing (saves about 3.1 GB)", "settings": {"memory.gradient_checkpointing": True}}
    said = {"cause": "The card is <b>too small</b>.", "fix": "Cheapest first.", "traceback": f"in {Path.home()}/x"}
    EventWriter(job.events_path).write("failed", **said, fixes=[fix])
    page, run = visit.page, visit.page.locator(".lor-run")
    visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit.open("Runs")
    page.locator(".lor-run-line", has_text="too_large").click()
    expect(run.get_by_role("alert")).to_contain_text("The card is <b>too small</b>.")
    run.get_by_role("button", name="Copy report").click()
    visit.told("Copied.")
    report = page.evaluate("() => navigator.clipboard.readText()")
    assert "epochs = 77" in report and "too small" in report and "in ~/x" in report and os.sep in report

    run.get_by_role("button", name="Put on the form: gradient checkpointing").click()
    expect(page.locator("#train-name input")).to_have_value("too_large")
    page.get_by_role("radio", name="Expert").check()
    expect(page.get_by_label("Gradient checkpointing", exact=True)).to_be_checked()
    expect(page.locator("#train-run-epochs input")).to_have_value("77")
