"""The report of a run: whole in one file, bounded, and harmless whatever it tells of."""

import json
import re
import struct
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from PIL import Image

from gui.figures import results
from gui.report import __main__ as command
from gui.report import page as pages
from gui.report.parts import spread
from gui.run import Run
from gui.thumbnails import Thumbnails
from jobs import find, folder, notes
from jobs.events import EventWriter
from jobs.files import REPOSITORY
from settings import toml
from settings.errors import check
from trainer.config import TrainSettings

HOSTILE = '<script>alert(1)</script>"><img src=http://evil.example/x onerror=alert(2)>'
PLAN = {"sentence": "12 pictures x 10 repeats = 60 steps", "pictures": 12, "repeated": 120, "batch_size": 2,
        "steps_per_epoch": 60, "epochs": 1, "total_steps": 60, "saves": [], "samples": [0, 30],
        "buckets": [[512, 768, 12, 120]]}  # fmt: skip


class Seen(HTMLParser):
    """The tags, attributes and texts of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_data(self, text):
        self.texts.append(text)


@pytest.fixture
def job(workspace):
    values = {"name": "x", "dataset": {"folders": [{"path": "/home/jane/<b>pictures", "repeats": 10}]},
              "preview": {"prompts": [HOSTILE]}, "optimizer": {"name": "lion"}, "metadata": {"trigger": HOSTILE}}
    job = folder.create("train", HOSTILE, toml.dumps(check(TrainSettings, values)), ["python"])
    notes.write(job.folder, text=HOSTILE, tags=["<i>best"], best=True)
    header = json.dumps({"__metadata__": {"ss_tag_frequency": json.dumps({"10_x": {HOSTILE: 12, "red": 3}})}}).encode()
    (job.folder / "x.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    Image.new("RGB", (512, 512), "teal").save(job.samples / "a.png")
    events = EventWriter(job.events_path)
    events.write("started", step=0, total_steps=60, device=HOSTILE, family="sd15", plan=PLAN,
                 versions={"torch": "9.9.9", HOSTILE: "1"})  # fmt: skip
    for step in range(1, 61):
        loss = float("nan") if step == 9 else 0.1
        events.write("step", step=step, epoch=1, loss=loss, loss_average=0.1, lrs={HOSTILE: 1e-4})
    for step in range(0, 60, 3):
        events.write("sample", step=step, index=0, prompt=HOSTILE, seed=HOSTILE, path="samples/a.png")
    events.write("sample", step=0, index=1, prompt="outside", seed=1, path="../../../../etc/hostname")
    events.write("warning", message=HOSTILE)
    events.write("failed", cause=HOSTILE, fix=HOSTILE, traceback=HOSTILE)
    return job


def report(job):
    return pages.page(Run(job).refresh(), job.state(), Thumbnails(folder.home() / "thumbnails"))


def test_nothing_hostile_becomes_markup(job):
    text = report(job)
    seen = Seen(text)
    assert "script" not in seen.tags and "iframe" not in seen.tags
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    assert all(value.startswith("data:image/webp;base64,") for name, value in seen.attributes if name == "src")
    assert not [name for name, _ in seen.attributes if name in ("href", "srcset", "style")]
    assert text.count("Content-Security-Policy") == 1
    assert sum(HOSTILE in part for part in seen.texts) >= 9  # said all the same


def test_what_it_tells(job):
    said = " ".join(Seen(report(job)).texts)
    figures = ("60 of 60", "12 pictures x 10 repeats", "512 x 768: 12", "red (3)")
    for told in (*figures, "★", "lion", "adamw", "9.9.9", "AutoV2"):
        assert told in said, told
    assert "/home/jane" not in said and "<b>pictures, repeats 10" in said
    assert "learning_rate" not in said.replace(HOSTILE, "")  # that is at its default


def test_names_are_left_out_where_the_file_leaves_them_out(job):
    job.config_path.write_text(job.config_path.read_text().replace("private = false", "private = true"))
    said = " ".join(Seen(report(job)).texts)
    assert "pictures, repeats" not in said and "red (3)" not in said and "left out, repeats 10" in said


def test_samples_are_bounded_and_pictures_of_the_run(job):
    text = report(job)
    assert text.count("data:image/webp") == 8 and "Some of 21 samples" in text
    assert len(text) < 200_000
    assert spread([1, 2], 8) == [1, 2] and spread(list(range(100)), 8)[::7] == [0, 99]


def test_a_long_run_makes_no_longer_report(job):
    with job.events_path.open("a") as file:
        file.write('{"kind": "resumed"}\n')
        steps = ({"kind": "step", "step": step, "loss": 0.1 + step % 7} for step in range(61, 20_061))
        file.writelines(json.dumps(step) + "\n" for step in steps)
    assert len(report(job)) < 250_000


def test_a_job_that_has_said_nothing_yet(workspace):
    for kind in ("train", "captions", "strange"):
        text = report(folder.create(kind, "new", "{", ["python"]))
        assert text.startswith(pages.MARK) and "<h1>new</h1>" in text and "<section>" not in text


def test_a_plan_of_another_version_is_left_out(job):
    started = json.loads(job.events_path.read_text().splitlines()[0])
    job.events_path.write_text(json.dumps(started | {"plan": {"pictures": "many", "saves": 3}}) + "\n")
    assert "<h2>Plan" not in report(job) and "<h2>Settings" in report(job)


@pytest.mark.parametrize("name", ["../../x", 'a"b\r\nX-Evil: 1', "猫", ".."])
def test_the_name_of_the_file_is_plain(name, workspace):
    made = pages.file_name(folder.create("train", name, "", ["x"]))
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*-report\.html", made)


def test_from_the_shell(job, tmp_path, capsys):
    assert command.main([job.id]) == 0
    assert capsys.readouterr().out.strip() == str(job.folder / "report.html")
    assert (job.folder / "report.html").read_text().startswith(pages.MARK)
    assert command.main([str(job.folder), "--out", str(tmp_path / "mine.html")]) == 0
    assert command.main([job.name, "--out", str(tmp_path / "mine.html")]) == 0  # a report may be replaced
    (tmp_path / "mine.html").write_text("my own page")
    assert command.main([job.id, "--out", str(tmp_path / "mine.html")]) == 2
    assert (tmp_path / "mine.html").read_text() == "my own page"
    assert command.main(["nothing"]) == 2 and command.main([job.id, "--out", str(tmp_path / "no" / "x.html")]) == 2


def test_a_job_is_found_as_a_person_names_it(job):
    newer = folder.create("train", HOSTILE, "", ["python"])
    assert find.find(job.id) == find.find(str(job.folder)) == job and find.find(HOSTILE) == newer


def test_it_needs_no_window():
    script = "import sys, gui.report.__main__; print(sorted({'gradio', 'torch', 'fastapi'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_the_file_is_the_finished_lora_or_the_newest_checkpoint(job):
    (job.folder / "x-ema.safetensors").write_bytes(b"ema")
    (job.checkpoints / "x-000001.safetensors").write_bytes(b"1")
    assert [path.name for path in results(job)] == ["x.safetensors", "x-ema.safetensors"]
    for path in results(job):
        path.unlink()
    assert [path.name for path in results(job)] == ["x-000001.safetensors"]
    assert "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b" in report(job)
