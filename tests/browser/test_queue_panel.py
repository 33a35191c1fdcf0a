"""The queue above the runs, and the check before a run is put into it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PATIENCE, Server, Visit, draw_pictures

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Runs of minutes, so that what stands behind one waits for as long as the test looks."""
    running = Server(tmp_path_factory.mktemp("home"), [str(Path(__file__).with_name("fake_window.py")), "4000", "0.1"])
    yield running.start()
    running.stop()


@pytest.fixture
def form(visit: Visit, tmp_path: Path):
    """The training form with pictures on it."""
    page = visit.page
    visit.open("LoRA training")
    page.get_by_role("button", name="Type a path").click()
    page.get_by_label("Folder, row 1", exact=True).fill(str(draw_pictures(tmp_path / "pictures", 3)))
    expect(page.locator("#plan")).to_contain_text("steps")
    return page


def test_runs_are_added_put_in_order_paused_and_removed(visit: Visit, form) -> None:
    page = form
    for name in "abc":
        visit.open("LoRA training")
        page.locator("#train-name input").fill(name)
        page.locator("#train-start").click()
        expect(page.locator(".lor-run-head h2")).to_have_text(name)
    queue = page.get_by_role("region", name="Queue")
    waiting = queue.get_by_role("list", name="Waiting").locator(".lor-queue-what > button")
    expect(waiting).to_have_text(["b", "c"])
    expect(queue.get_by_role("list", name="Devices")).to_contain_text("a")
    expect(page.locator(".lor-header")).to_contain_text("2 waiting")
    queue.get_by_role("button", name="Later: b").click()
    expect(waiting).to_have_text(["c", "b"])
    queue.get_by_role("button", name="Run next: b").click()
    expect(waiting).to_have_text(["b", "c"])
    waiting.nth(1).drag_to(waiting.nth(0))
    expect(waiting).to_have_text(["c", "b"])

    queue.get_by_role("button", name="Pause the queue").click()
    expect(queue).to_contain_text("nothing new starts")
    queue.get_by_role("button", name="Remove from the queue: b").click()
    expect(waiting).to_have_text(["c"])
    line = page.locator(".lor-run-item")
    expect(line.filter(has_text="not queued").locator("b")).to_have_text("b")
    line.nth(2).locator("button").click()
    page.locator(".lor-run").get_by_role("button", name="Stop and save").click()
    expect(line.nth(2)).to_contain_text("stopped")
    expect(waiting).to_have_text(["c"])
    queue.get_by_role("button", name="Continue the queue").click()
    expect(line.nth(0)).to_contain_text("running")
    expect(queue).to_contain_text("Nothing waits.")


def test_a_run_is_checked_first_and_then_queued(visit: Visit, form, server: Server) -> None:
    page, before = form, server.jobs()
    page.locator("#train-name input").fill("bad name!")
    page.get_by_role("button", name="Check first, then start").click()
    expect(page.locator("#train-name .lor-problem")).to_contain_text("use letters")
    assert server.jobs() == before and not page.locator(".lor-preflight progress").count()
    for run in before:  # the check waits for a free device as runs do
        (run / "requests").mkdir(exist_ok=True)
        (run / "requests" / "stop").touch()
    page.locator("#train-name input").fill("checked")
    page.get_by_role("button", name="Check first, then start").click()
    check = page.locator(".lor-preflight")
    expect(check).to_contain_text("The check has passed: 2 steps and a save in")
    expect(check).to_contain_text("1.5 GB at most; the LoRA has 0.3 MB.")
    check.get_by_role("button", name="Open the run").click()
    expect(page.locator(".lor-run-head h2")).to_have_text("checked")
    (new,) = set(server.jobs()) - set(before)
    assert 'name = "checked"' in (new / "config.toml").read_text(encoding="utf-8")
