"""What a person asks of a run in the Runs room: to pause, go on, train longer, and begin another from its weights."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from tests.browser.conftest import PATIENCE, Server, Visit

expect.set_options(timeout=PATIENCE)
PICTURES = 3


def test_pause_go_on_train_longer_and_begin_from_the_weights(visit: Visit, server: Server, pictures: Path) -> None:
    page = visit.page
    page.get_by_label("Folder with pictures", exact=True).fill(str(pictures))
    page.get_by_role("button", name="Open", exact=True).click()
    page.get_by_role("button", name="Use for training").click()
    expect(page.get_by_label("Folder, row 1", exact=True)).to_have_value(str(pictures))
    page.locator("#train-name input").fill("paused")
    run = page.locator(".lor-run")
    with server.held():
        page.locator("#train-name input").press("Control+Enter")
        expect(run).to_contain_text("75 / 160")
        run.get_by_role("button", name="Pause", exact=True).click()
        expect(run).to_contain_text("Everything is saved and nothing runs")
        expect(run.locator(".lor-chip").first).to_have_text("paused")
        expect(run.get_by_role("button", name="Stop and save")).to_have_count(0)

    run.get_by_role("button", name="Resume").click()
    expect(run.locator(".lor-chip").first).to_have_text("finished")
    expect(run).to_contain_text("160 / 160")
    run.get_by_role("button", name="Train longer…").click()
    dialog = page.get_by_role("dialog", name="Train longer")
    field = dialog.get_by_label("epochs in all")
    expect(field).to_have_value("20")
    field.fill("3")
    dialog.get_by_role("button", name="Go on").click()
    visit.told("must be more than 10")
    visit.expected.append("409")
    run.get_by_role("button", name="Train longer…").click()
    dialog.get_by_label("epochs in all").fill("12")
    dialog.get_by_role("button", name="Go on").click()
    visit.told("It goes on to 12 epochs.")
    job = server.jobs()[-1]
    assert "\nepochs = 12\n" in (job / "config.toml").read_text()
    expect(run.locator(".lor-chip").first).to_have_text("finished")

    run.get_by_role("button", name="New run from these weights").click()
    expect(page.locator("#train-name input")).to_have_value("paused")
    page.get_by_role("radio", name="Standard").check()
    expect(page.locator("#train-lora-weights input")).to_have_value(str(job))
