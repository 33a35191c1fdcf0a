"""What the page asks about captions: a run's captions as they come, tags under other thresholds, undo and redo."""

import numpy as np
import pytest
from PIL import Image

from captioners import command, wd_tagger
from captioners.config import CaptionConfig
from captioners.run import run as work
from captioners.tags import labels, pixels
from captioners.tags.probabilities import ProbabilityCache, identity, scores
from gui import thresholds
from gui.captioning import FORM
from jobs import folder, queue
from jobs.events import EventWriter
from settings import toml
from settings.errors import check

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def window(window, asked_anew, monkeypatch):
    monkeypatch.setattr(queue, "ensure_runner", lambda: None)
    return window


@pytest.fixture
def pictures(tmp_path):
    made = tmp_path / "pictures"
    made.mkdir()
    for number in range(4):
        Image.new("RGB", (64, 64), (number, 0, 0)).save(made / f"{number}.png")
        (made / f"{number}.txt").write_text(f"{HOSTILE}, tag {number}\n")
    return made


def form(window, pictures, **more):
    window.drafts.save(FORM, {"source": {"folders": [str(pictures)]}, **more})


def made(pictures, **more):
    values = {"source": {"folders": [str(pictures)]}, "captioners": ["existing"], "trigger": "sks"}
    return command.create(check(CaptionConfig, values | {"write": {"mode": "overwrite"} | more}))


def done(pictures, **more):
    """A run that puts a trigger word in front of the captions, really done."""
    job = made(pictures, **more)
    work(job.folder)
    return job


def test_captions_as_they_come(page, window, pictures):
    job = made(pictures)
    events = EventWriter(job.events_path)
    events.write("started", total=4, captioners=["blip"], mode="overwrite", dry_run=False, device="cpu", skipped=1)
    for number in range(3):
        events.write(
            "caption", picture=str(pictures / f"{number}.png"), text=f"new {number}", before=HOSTILE,
            outcome=["written", "same", "kept"][number],
        )  # fmt: skip
    events.write("problem", picture=str(pictures / "2.png"), reason="was changed", fix="run again")
    events.write("problem", picture=str(pictures / "3.png"), reason="<b>", fix="</b>")
    values = {"captioner": "blip", "pass": 2, "passes": 2, "done": 2, "total": 4, "img_s": 2.0, "eta": 1.0}
    events.write("progress", **values, written=1, kept=1, failed=1)
    told = page.get(f"/api/runs/{job.id}").json()
    assert (told["step"], told["total"], told["img_s"], told["eta"]) == (3, 4, 2.0, 1.0)
    assert told["captions"]["written"] == 1 and told["captions"]["failed"] == 1 and told["captions"]["problems"] == 1
    said = page.get(f"/api/captions/{job.id}/said?most=2").json()
    assert said["count"] == 3 and [line["text"] for line in said["lines"]] == ["new 0", "new 1"]
    assert said["lines"][0]["before"] == HOSTILE
    assert page.get(f"/api/pictures/{said['lines'][0]['id']}").headers["content-type"] == "image/webp"
    assert page.get(f"/api/captions/{job.id}/said?only=changed").json()["count"] == 1
    assert page.get(f"/api/captions/{job.id}/said?only=kept").json()["lines"][0]["name"] == "2.png"
    assert [line["text"] for line in page.get(f"/api/captions/{job.id}/newest").json()] == ["new 2", "new 1", "new 0"]
    assert page.get(f"/api/captions/{job.id}/problems").json()["lines"][0]["reason"] == "<b>"
    assert page.get("/api/captions").json() == {"run": job.id}
    assert page.get("/api/runs").json()[0]["kind"] == "captions"


def test_a_training_run_has_no_captions(page, window):
    job = folder.create("train", "run", "", ["python", "-c", "pass"])
    assert page.get(f"/api/captions/{job.id}/said").status_code == 404
    assert page.get(f"/api/runs/{job.id}").json()["captions"] is None
    assert page.get("/api/captions").json() == {"run": None}


def test_undo_and_redo_of_a_run(page, window, pictures):
    job = done(pictures)
    assert (pictures / "1.txt").read_text() == f"sks, {HOSTILE}, tag 1\n"
    assert page.get(f"/api/runs/{job.id}").json()["captions"]["move"] == "undo"
    (pictures / "2.txt").write_text("by hand\n")
    undone = page.post(f"/api/captions/{job.id}/undo").json()
    assert undone["changed"] == 3 and [problem["name"] for problem in undone["kept"]] == ["2.txt"]
    assert (pictures / "1.txt").read_text() == f"{HOSTILE}, tag 1\n"
    assert (pictures / "2.txt").read_text() == "by hand\n"
    assert page.get(f"/api/runs/{job.id}").json()["captions"]["move"] == "redo"
    assert page.post(f"/api/captions/{job.id}/redo").json()["changed"] == 3
    assert (pictures / "1.txt").read_text() == f"sks, {HOSTILE}, tag 1\n"


def test_a_dry_run_is_written_as_it_was_shown(page, window, pictures):
    job = done(pictures, dry_run=True)
    assert (pictures / "1.txt").read_text() == f"{HOSTILE}, tag 1\n"
    assert page.get(f"/api/captions/{job.id}/said?only=changed").json()["count"] == 4
    new = folder.Job(job.folder.with_name(page.post(f"/api/captions/{job.id}/write").json()["run"]))
    assert not toml.read(CaptionConfig, new.config_path).write.dry_run and new.state() == "queued"
    assert (new.folder / "answers" / "existing.jsonl").read_bytes() == (
        job.folder / "answers" / "existing.jsonl"
    ).read_bytes()
    work(new.folder)
    assert (pictures / "1.txt").read_text() == f"sks, {HOSTILE}, tag 1\n"
    assert page.post(f"/api/captions/{job.id}/undo").status_code == 409


def test_the_history_of_the_folders_on_the_form(page, window, pictures, tmp_path):
    done(pictures)
    form(window, pictures)
    (line,) = page.get("/api/journal").json()
    (entry,) = line["entries"]
    assert line["folder"] == str(pictures) and entry["files"] == 4 and entry["state"] == "done"
    step = {"folder": line["folder"], "action": entry["id"], "what": "undo"}
    assert page.post("/api/journal", json=step).json()["changed"] == 4
    assert page.get("/api/journal").json()[0]["entries"][0]["state"] == "undone"
    assert page.post("/api/journal", json=step | {"what": "redo"}).json()["changed"] == 4
    assert page.post("/api/journal", json=step | {"folder": str(tmp_path)}).status_code == 404
    assert page.post("/api/journal", json=step | {"action": "../../x"}).status_code == 409
    assert page.post("/api/journal", json=step | {"what": "rm"}).status_code == 422


def test_nothing_is_undone_while_captions_are_written(page, window, pictures, monkeypatch):
    job = done(pictures)
    monkeypatch.setattr(window.runs, "state", lambda job: "running")
    refused = page.post(f"/api/captions/{job.id}/undo")
    assert refused.status_code == 409 and "stop it first" in refused.json()["detail"]


@pytest.fixture
def tagged(window, pictures, tmp_path):
    """A model that was never run, and what it would have seen in all pictures but the last."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.onnx").write_bytes(b"no model")
    rows = ["tag_id,name,category,count", "1,safe,9,1", "2,>_<,0,1", f"3,{HOSTILE},0,1", "4,miku,4,1", "5,tree,0,1"]
    (model / "selected_tags.csv").write_text("\n".join(rows))
    listed = labels.read(model / "selected_tags.csv")
    cache = ProbabilityCache(wd_tagger.cache_folder())
    seen = np.array([0.9, 0.8, 0.5, 0.9, 0.2], np.float32)
    digests = cache.digests([pictures / f"{number}.png" for number in range(3)])
    key = identity([model / "model.onnx", model / "selected_tags.csv"], pixels.VERSION)
    cache.put(key, {digest: scores(seen, listed) for digest in digests.values()})
    cache.close()
    form(window, pictures, wd_tagger={"model": str(model), "general_threshold": 0.4})
    return model


def test_a_moved_threshold_is_answered_without_a_model(page, window, pictures, tagged):
    first = window.thumbnails.id_of(pictures / "0.png")
    told = page.post("/api/thresholds", json={"picture": first}).json()
    assert (told["pictures"], told["known"], told["tags"]) == (4, 3, 9)
    assert told["limits"]["general"] == 0.4 and told["limits"]["character"] == 0.85
    tags = {name: (score, category, chosen) for name, score, category, chosen in told["picture"]["tags"]}
    assert tags[">_<"] == (0.8, "general", True) and tags["miku"][1:] == ("character", True) and not tags["tree"][2]
    assert told["picture"]["text"] == f"miku, >_<, {HOSTILE}"
    moved = page.post("/api/thresholds", json={"values": {"general_threshold": 0.6}, "picture": first}).json()
    assert moved["picture"]["text"] == "miku, >_<" and moved["tags"] == 6
    assert ["miku", 3] in moved["most"]
    last = window.thumbnails.id_of(pictures / "3.png")
    assert page.post("/api/thresholds", json={"picture": last}).json()["picture"] is None
    assert page.post("/api/thresholds", json={"values": {"general_threshold": 7}}).status_code == 400
    assert page.post("/api/thresholds", json={"values": {"nothing": 0.5}}).status_code == 400


def test_while_captioners_are_chosen_there_may_be_none(page, window, pictures, tagged):
    window.drafts.save(FORM, window.drafts.load(FORM) | {"captioners": []})
    first = window.thumbnails.id_of(pictures / "0.png")
    assert page.post("/api/thresholds", json={"picture": first}).json()["known"] == 3


def test_the_sliders_are_the_taggers_thresholds():
    fields = [slider["field"] for slider in thresholds.sliders()]
    assert fields[:2] == ["general_threshold", "character_threshold"] and "rating_threshold" not in fields
    assert set(wd_tagger.limits(wd_tagger.Tagging())) == {slider["category"] for slider in thresholds.sliders()}


def test_a_model_that_is_not_here_has_nothing_to_tell(page, window, pictures, monkeypatch):
    from captioners import weights

    monkeypatch.setattr(weights, "cached", lambda *_: None)
    form(window, pictures)
    told = page.post("/api/thresholds", json={"picture": window.thumbnails.id_of(pictures / "0.png")}).json()
    assert told["known"] == 0 and told["picture"] is None and told["limits"]["general"] > 0
