"""Our routes: what a page may ask for, and that nothing else can be had."""

import asyncio
import io
import json
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from gui.figures import figures
from jobs import folder, queue
from jobs.events import EventWriter
from settings import presets, toml
from trainer import command
from trainer.config import TrainSettings


@pytest.fixture
def pictures(tmp_path):
    made = tmp_path / "pictures <b>"
    made.mkdir()
    for number in range(3):
        Image.new("RGB", (512, 256 + 128 * number), "red").save(made / f"{number}.png")
    (made / "0.txt").write_text("<script>alert(1)</script>")
    (made / "evil.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>")
    (made / "evil.html").write_text("<script>alert(1)</script>")
    return made


@pytest.fixture
def run(window):
    job = folder.create("train", "run", "name = 'x'\n", ["python", "-c", "pass"])
    events = EventWriter(job.events_path)
    Image.new("RGB", (64, 64)).save(job.samples / "a.png")
    (job.folder / "run.safetensors").write_bytes(bytes(range(256)) * 10)
    (job.checkpoints / "run-000010.safetensors").write_bytes(b"10")
    (job.checkpoints / "run-000009.safetensors").write_bytes(b"9")
    job.log_path.write_text("first\nsecond\n")
    events.write("class_images", folder="/some/where", count=3)
    events.write("sample", step=0, index=0, prompt="<b>", seed=1, path="samples/a.png")
    events.write("sample", step=1, index=0, prompt="<b>", seed=1, path="../../../../../../etc/hostname")
    events.write("sample", step=2, index=0, prompt="<b>", seed=1, path="config.toml")
    events.write("checkpoint", step=10, path="checkpoints/run-000010.safetensors")
    events.write("failed", cause="<i>cause</i>", fix="fix", traceback="trace")
    return job


def test_a_run_tells_where_its_class_images_are(page, run):
    assert page.get(f"/api/runs/{run.id}").json()["class_images"] == "/some/where"


def test_a_folder_is_shown_and_remembered(page, pictures):
    shown = page.post("/api/dataset", json={"path": str(pictures)}).json()
    assert (shown["pictures"], shown["captioned"]) == (3, 1)
    assert sum(count for *_, count in shown["buckets"]) == 3
    assert {problem["name"] for problem in shown["problems"]} >= {"evil.svg"}
    assert page.get("/api/dataset").json() == shown
    picture = page.get(f"/api/pictures/{shown['items'][0]['id']}?side=256")
    assert picture.headers["content-type"] == "image/webp"
    assert picture.headers["cache-control"].startswith("private")


def test_a_folder_that_is_not_there(page, tmp_path):
    shown = page.post("/api/dataset", json={"path": str(tmp_path / "none")}).json()
    assert shown["pictures"] == 0 and "no such folder" in shown["problems"][0]["reason"]
    assert page.post("/api/dataset", json={"path": " "}).status_code == 400


def test_the_sizes_follow_the_training_form(page, window, pictures):
    window.drafts.save("train", {"dataset": {"resolution": 256, "folders": "nonsense"}})
    assert page.post("/api/dataset", json={"path": str(pictures)}).json()["resolution"] == 256
    window.drafts.save("train", {"dataset": {"resolution": 0}})
    assert page.get("/api/dataset").json()["resolution"] == 512


@pytest.mark.parametrize("wrong", ["x", "..%2f..%2fetc%2fpasswd", "0.png", "%00"])
def test_pictures_are_asked_for_by_id(page, pictures, wrong):
    page.post("/api/dataset", json={"path": str(pictures)})
    assert page.get(f"/api/pictures/{wrong}").status_code == 404


def test_a_picture_that_has_gone(page, pictures):
    shown = page.post("/api/dataset", json={"path": str(pictures)}).json()
    for path in pictures.glob("*.png"):
        path.unlink()
    assert page.get(f"/api/pictures/{shown['items'][0]['id']}").status_code == 404


def test_a_run_in_all_its_parts(page, run):
    shown = page.get(f"/api/runs/{run.id}").json()
    assert shown["state"] == "failed" and shown["end"]["cause"] == "<i>cause</i>"
    names = [file["name"] for file in shown["files"] if file["kind"] != "record"]
    assert names == ["run.safetensors", "checkpoints/run-000010.safetensors", "checkpoints/run-000009.safetensors"]
    assert shown["files"][1]["step"] == 10
    assert shown["samples"]["steps"] == [0, 1, 2]
    assert page.get(f"/api/runs/{run.id}/log").json()["lines"] == ["first", "second"]
    assert page.get(f"/api/runs/{run.id}/log?offset=6").json()["lines"] == ["second"]
    assert page.get(f"/api/runs/{run.id}/settings").json() == {"text": "name = 'x'\n"}
    assert page.get("/api/runs").json()[0]["id"] == run.id


def test_new_words_lie_beside_the_lora_or_are_all_that_a_run_has_made(page, run, window):
    def shown():
        files = page.get(f"/api/runs/{run.id}").json()["files"]
        return [(file["name"], file["kind"]) for file in files if file["kind"] != "record"]

    for place, name in ((run.folder, "run-sks"), (run.checkpoints, "run-000010-sks")):
        (place / "embeddings").mkdir()
        (place / "embeddings" / f"{name}.safetensors").write_bytes(b"word")
    kept = ("checkpoints/embeddings/run-000010-sks.safetensors", "checkpoint")
    assert shown()[:2] == [("run.safetensors", "lora"), ("embeddings/run-sks.safetensors", "embedding")]
    assert kept in shown() and page.get(f"/api/runs/{run.id}/files/{kept[0]}").content == b"word"
    assert figures(window.runs.find(run.id))["LoRA"].startswith("run.safetensors")
    for lora in [*run.folder.glob("*.safetensors"), *run.checkpoints.glob("*.safetensors")]:
        lora.unlink()
    assert shown() == [("embeddings/run-sks.safetensors", "embedding"), kept]
    assert figures(window.runs.find(run.id))["Embedding"].startswith("run-sks.safetensors")
    (run.folder / "embeddings" / "run-sks.safetensors").unlink()
    assert figures(window.runs.find(run.id))["Embedding"].startswith("run-000010-sks")


def test_files_are_attachments_and_come_in_parts(page, run):
    address = f"/api/runs/{run.id}/files/run.safetensors"
    whole = page.get(address)
    assert whole.headers["content-disposition"].startswith("attachment") and len(whole.content) == 2560
    part = page.get(address, headers={"range": "bytes=256-259"})
    assert part.status_code == 206 and part.content == bytes([0, 1, 2, 3])


@pytest.mark.parametrize(
    "wrong",
    ["job.json", "../../drafts/train.json", "..%2f..%2f..%2fetc%2fpasswd", "/etc/passwd", "samples/a.png", ".lock", ""],
)
def test_only_listed_files(page, run, wrong):
    assert page.get(f"/api/runs/{run.id}/files/{wrong}").status_code in (404, 405)


def test_a_link_out_of_the_job_is_not_followed(page, run, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (run.folder / "link.safetensors").symlink_to(tmp_path / "secret")
    assert page.get(f"/api/runs/{run.id}/files/link.safetensors").status_code == 404


def test_folders_for_other_programs_come_as_zips(page, run, tmp_path):
    made = run.folder / "run-peft" / "unet"
    made.mkdir(parents=True)
    (made / "adapter_config.json").write_text("{}")
    (made / "adapter_model.safetensors").write_bytes(bytes(3_000_000))
    (tmp_path / "secret").write_text("secret")
    (made / "link.json").symlink_to(tmp_path / "secret")
    assert {"name": "run-peft", "bytes": 3_000_002, "kind": "folder"} in page.get(f"/api/runs/{run.id}").json()["files"]
    reply = page.get(f"/api/runs/{run.id}/folders/run-peft")
    assert "run-peft.zip" in reply.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(reply.content)) as found:
        assert found.namelist() == ["run-peft/unet/adapter_config.json", "run-peft/unet/adapter_model.safetensors"]
        assert found.read(found.namelist()[1]) == bytes(3_000_000) and found.testzip() is None
    for wrong in ("checkpoints", "run", "..%2fother"):
        assert page.get(f"/api/runs/{run.id}/folders/{wrong}").status_code == 404


def test_samples_are_pictures_of_this_run(page, run):
    assert page.get(f"/api/runs/{run.id}/samples/0/0").headers["content-type"] == "image/png"
    assert page.get(f"/api/runs/{run.id}/samples/0/0?side=64").headers["content-type"] == "image/webp"
    for step in (1, 2, 3):
        assert page.get(f"/api/runs/{run.id}/samples/{step}/0").status_code == 404


def test_what_a_person_asks_of_a_run(page, run):
    assert page.post(f"/api/runs/{run.id}/save").status_code == 200
    assert (run.folder / "requests" / "save").exists()
    assert page.post(f"/api/runs/{run.id}/format-the-disk").status_code == 422
    assert page.get(f"/api/runs/{run.id}/stop").status_code == 405
    assert page.post("/api/runs/none/stop").status_code == 404


def test_a_run_is_paused_and_told_so(page, run, asked_anew):
    assert page.post(f"/api/runs/{run.id}/pause").status_code == 200
    assert page.get(f"/api/runs/{run.id}").json()["asked"] == ["pause"]
    EventWriter(run.events_path).write("paused", step=7)
    shown = page.get(f"/api/runs/{run.id}").json()
    assert (shown["state"], shown["step"], shown["end"]["kind"]) == ("paused", 7, "paused")


def test_a_run_is_made_longer_and_goes_on(page, run, asked_anew, monkeypatch):
    monkeypatch.setattr(command, "plan", lambda config, begun: SimpleNamespace(total_steps=10 * config.run.epochs))
    monkeypatch.setattr(queue, "ensure_runner", lambda: None)
    (run.folder / "process.json").write_text('{"pid": 1, "born": "long ago"}')
    EventWriter(run.events_path).write("finished", steps=20, seconds=1)
    run.config_path.write_text(toml.dumps(TrainSettings(run={"epochs": 2})))
    assert page.get(f"/api/runs/{run.id}/length").json() == {"by": "epochs", "now": 2}
    for less in (1, 2):
        answer = page.post(f"/api/runs/{run.id}/extend", json={"to": less})
        assert answer.status_code == 409 and "more than 2" in answer.json()["detail"]
    assert run.state() == "finished"
    assert page.post(f"/api/runs/{run.id}/extend", json={"to": "many"}).status_code == 422
    assert page.post(f"/api/runs/{run.id}/extend", json={"to": 5}).status_code == 200
    assert run.state() == "queued" and queue.queued(folder.home()) == [run]
    assert page.get(f"/api/runs/{run.id}/length").json()["now"] == 5
    assert page.get(f"/api/runs/{run.id}").json()["total"] == 50
    assert page.get(f"/api/runs/{run.id}").json()["end"] == {}


def test_a_waiting_run_cannot_be_resumed(page, window):
    job = folder.create("train", "waiting", "", ["python", "-c", "pass"])
    answer = page.post(f"/api/runs/{job.id}/resume")
    assert answer.status_code == 409 and "queued" in answer.json()["detail"]


def test_browsing_shows_names_only(page, pictures):
    shown = page.post("/api/browse", json={"path": str(pictures.parent), "kind": "folder"}).json()
    assert pictures.name in [entry["name"] for entry in shown["entries"]]
    inside = page.post("/api/browse", json={"path": str(pictures)}).json()
    assert inside["entries"] == [] and inside["note"] == "3 pictures here"
    assert [place["name"] for place in shown["places"]][0] == "Home"


@pytest.mark.parametrize("typed", ["", "  ", "/no/such/folder", "~", "x\0y", "\\\\server\\share", "a" * 5000])
def test_browsing_anything_that_was_typed(page, typed):
    answer = page.post("/api/browse", json={"path": typed, "kind": "model"})
    assert answer.status_code == 200 and Path(answer.json()["path"]).is_dir()


def test_model_files_are_offered_and_others_not(page, tmp_path):
    for name in ("a.safetensors", "b.ckpt", "c.txt"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "sd").mkdir()
    (tmp_path / "sd" / "model_index.json").write_text("{}")
    shown = page.post("/api/browse", json={"path": str(tmp_path), "kind": "model"}).json()["entries"]
    listed = {entry["name"]: entry["hint"] for entry in shown}
    assert listed["sd"] == "diffusers model" and {"a.safetensors", "b.ckpt"} <= listed.keys() and "c.txt" not in listed


def test_presets_are_listed_and_only_ones_own_deleted(page, window):
    presets.save(window.home / "presets", "sd15", "mine", TrainSettings(name="x"), "For <me>")
    listed = {preset["key"]: preset for preset in page.get("/api/presets").json()}
    assert listed["yours/sd15/mine"]["description"] == "For <me>"
    ours = next(key for key, preset in listed.items() if preset["builtin"])
    assert page.post("/api/presets/delete", json={"key": ours}).status_code == 400
    assert page.post("/api/presets/delete", json={"key": "yours/sd15/mine"}).status_code == 200
    assert page.post("/api/presets/delete", json={"key": "yours/sd15/mine"}).status_code == 404


def test_what_the_settings_room_tells(page, window):
    assert page.get("/api/about").json()["workspace"] == str(window.home)


def test_the_script_is_whole_and_ours(page):
    script = page.get("/static/loratory.js").text
    assert script.index("window.Loratory") < script.index("Loratory.form")
    assert page.get("/static/logo.svg").headers["content-type"] == "image/svg+xml"
    for wrong in ("base.js", "../app.py", "%2e%2e%2fapp.py"):
        assert page.get(f"/static/{wrong}").status_code == 404


def test_no_answer_has_a_number_that_json_lacks(page, run):
    EventWriter(run.events_path).write("step", step=1, loss=float("nan"), lr=float("inf"))
    for address in ("", "/curves"):
        assert json.loads(page.get(f"/api/runs/{run.id}{address}").text, parse_constant=pytest.fail)


def test_a_log_that_grows_while_it_is_sent_is_as_long_as_was_announced(page, run):
    run.log_path.write_bytes(b"x" * 1_000_000)
    announced, came = [], []

    async def send(message: dict) -> None:
        announced.extend(int(value) for name, value in message.get("headers", ()) if name == b"content-length")
        came.append(len(message.get("body", b"")))
        with run.log_path.open("ab") as log:
            log.write(b"y" * 100)

    async def receive() -> dict:
        await asyncio.sleep(60)  # nobody goes away
        return {}

    scope = {"type": "http", "method": "GET", "path": f"/api/runs/{run.id}/files/log.txt", "headers": [],
             "query_string": b"", "asgi": {"spec_version": "2.4"}}
    asyncio.run(page.app(scope, receive, send))
    assert announced == [1_000_000] == [sum(came)]
