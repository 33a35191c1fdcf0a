"""The queue as a page sees and changes it."""

import pytest

from jobs import folder, queue
from jobs.events import EventWriter


@pytest.fixture
def page(page, asked_anew, monkeypatch):
    monkeypatch.setattr(queue, "ensure_runner", lambda: started.append(True))
    page.started = started = []
    return page


@pytest.fixture
def waiting(page):
    found = [folder.create("train", name, "", ["python", "-c", "pass"]) for name in "abc"]
    for job in found:
        queue.submit(job)
    page.started.clear()
    return found


def names(answer):
    assert answer.status_code == 200, answer.text
    return "".join(job["name"] for job in answer.json()["waiting"])


def test_what_waits_where_and_why(page, waiting):
    now = page.get("/api/queue").json()
    assert [job["id"] for job in now["waiting"]] == [job.id for job in waiting]
    assert now["waiting"][0]["why"] == "starts now" and now["waiting"][1]["why"] == "waits behind a"
    assert now["devices"][-1]["id"] == "cpu" and not now["paused"]
    assert now["idle"], "nobody works on it, so the page will say so"
    assert not page.started, "looking changes nothing"
    page.post("/api/queue/tend")
    assert page.started == [True]


def test_the_order_is_changed(page, waiting):
    first, second, third = (f"/api/queue/jobs/{job.id}" for job in waiting)
    assert names(page.post(f"{third}/move/next")) == "cab"
    assert names(page.post(f"{first}/move/down")) == "cba"
    assert names(page.post(f"{first}/move/up")) == "cab"
    assert names(page.post(f"{third}/before", json={"other": waiting[1].id})) == "acb"
    assert names(page.post(f"{first}/before", json={"other": None})) == "cba"
    assert names(page.post(f"{second}/remove")) == "ca"
    assert waiting[1].state() == "queued"
    assert page.post(f"/api/runs/{waiting[1].id}/queue").status_code == 200
    assert names(page.get("/api/queue")) == "cab"


def test_it_is_paused_and_goes_on(page, waiting):
    assert page.post("/api/queue/pause").json()["paused"]
    assert not page.get("/api/queue").json()["idle"] and not page.started
    assert not page.post("/api/queue/continue").json()["paused"] and page.started


def test_what_cannot_be_done_is_refused_with_its_reason(page, waiting):
    EventWriter(waiting[0].events_path).write("finished")
    for what in ("move/up", "remove", "before"):
        answer = page.post(f"/api/queue/jobs/{waiting[0].id}/{what}", json={})
        assert answer.status_code == 409 and "wait" in answer.json()["detail"], what
    assert page.post("/api/queue/jobs/../move/up").status_code in (404, 405)
    assert page.post("/api/queue/jobs/nobody/move/up").status_code == 404
    assert page.post(f"/api/queue/jobs/{waiting[1].id}/move/sideways").status_code == 422
    assert page.get("/api/queue/pause").status_code == 405, "only looking is a GET"
