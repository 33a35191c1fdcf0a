"""Comparing pictures with captions from the doctor's page: choices, consent, and the work that is begun."""

import pytest
from PIL import Image

from captioners.clip import compare
from jobs import process


@pytest.fixture
def window(window, tmp_path):
    made = tmp_path / "pictures"
    made.mkdir()
    Image.new("RGB", (64, 64)).save(made / "a.png")
    (made / "a.cap").write_text("a caption")
    window.drafts.save("dataset", {"path": str(made)})
    window.drafts.save("train", {"dataset": {"caption_extension": ".cap"}})
    return window


@pytest.fixture
def started(monkeypatch):
    """Jobs that would have been started."""
    jobs = []
    monkeypatch.setattr(process, "start", jobs.append)
    return jobs


def test_the_choices_and_what_they_take(page):
    found = page.get("/api/doctor-models").json()
    assert found["chosen"] == "toy/models/clip" and found["running"] is None
    large = found["models"][0]
    assert large["size"] == "1.7 GB" and large["licence"] == "apache-2.0" and not large["here"]
    assert [one["model"] for one in found["models"] if one["here"]] == ["toy/models/clip"]


def test_it_is_begun_on_the_open_folder_and_can_be_watched(page, window, started, tmp_path):
    found = page.post("/api/doctor-models", json={"model": "toy/models/clip"})
    assert found.status_code == 200 and [job.id for job in started] == [found.json()["id"]]
    assert page.get("/api/doctor-models").json()["running"] == found.json()["id"]
    assert compare.main(["--job", str(started[0].folder)]) == 0
    report = page.get(f"/api/work/{found.json()['id']}").json()
    assert report["kind"] == "compare" and report["end"]["kind"] == "finished"
    assert (report["end"]["pictures"], report["end"]["captions"]) == (1, 1)  # by the form's caption extension


def test_a_download_needs_a_yes(page, started):
    wish = {"model": "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"}
    refused = page.post("/api/doctor-models", json=wish)
    assert refused.json()["id"] is None and "605 MB, licence mit" in refused.json()["download"]
    assert started == []
    assert page.get("/api/doctor-models").json()["chosen"] == wish["model"]
    assert page.post("/api/doctor-models", json=wish | {"download": True}).status_code == 200 and len(started) == 1


def test_what_is_no_model_or_no_folder_is_said(page, window, started):
    assert "model" in page.post("/api/doctor-models", json={"model": "../../etc"}).json()["problems"]
    window.drafts.save("dataset", {})
    assert "folder" in page.post("/api/doctor-models", json={}).json()["problems"]
    assert started == []
