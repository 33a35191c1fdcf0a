"""The toy CLIP in the doctor's hands: swapped captions and odd pictures are found in sets that were drawn."""

import hashlib
import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from captioners.base import CaptionerError, Place
from captioners.clip import compare
from captioners.clip.compare import Halving, Settings
from dataset.doctor.examine import examine
from dataset.doctor.tagged import tagged
from dataset.doctor.vectors import Vectors, digest_of
from dataset.problem import Problem
from dataset.settings import DatasetSettings
from jobs.events import read_events
from settings.errors import SettingsError
from toy import clip
from toy.draw import Scene, draw_scene

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = DatasetSettings(resolution=64, bucket_step=64)


class Told:
    def __init__(self):
        self.steps, self.problems, self.warnings = [], [], []

    def progress(self, name, done, total):
        self.steps.append((name, done, total))

    def problem(self, problem: Problem):
        self.problems.append(problem)

    def warn(self, message):
        self.warnings.append(message)


@pytest.fixture(scope="module")
def drawn() -> list[tuple[Image.Image, str]]:
    """Pictures that were not taught, of one colour, with their captions."""
    some = (clip.picture(index, 4242) for index in range(200))
    return [(image, scene.caption) for image, scene in some if not scene.second][:40]


def lay(folder: Path, pairs: list[tuple[Image.Image, str]]) -> Path:
    folder.mkdir()
    for number, (image, caption) in enumerate(pairs):
        image.save(folder / f"{number:02d}.png")
        (folder / f"{number:02d}.txt").write_text(caption)
    return folder


def meaning(folder: Path) -> dict[str, list[list[int]]]:
    return {finding.name: [[int(path.stem) for path in case.paths] for case in finding.cases]
            for finding in examine(folder, SETTINGS).findings if finding.name.startswith("meaning.")}  # fmt: skip


def test_swapped_captions_come_first(drawn, tmp_path):
    texts = [caption for _, caption in drawn]
    for one, other in ((0, 1), (2, 3), (10, 20)):
        texts[one], texts[other] = texts[other], texts[one]
    folder = lay(tmp_path / "set", [(image, text) for (image, _), text in zip(drawn, texts)])
    told = Told()
    result = compare.work(Settings(folder=str(folder), batch_size=7), told)
    assert (result["pictures"], result["captions"], result["new"], result["toy"]) == (40, len(set(texts)), 40 + len(
        set(texts)), True)  # fmt: skip
    assert told.problems == [] and "toy CLIP" in told.warnings[0]
    assert sorted(map(sorted, meaning(folder)["meaning.swapped"])) == [[0, 1], [2, 3], [10, 20]]
    assert "meaning.captions" not in meaning(folder)


def test_an_odd_picture_is_the_outlier(tmp_path):
    chance = np.random.default_rng(1)
    scenes = [Scene("star", "red", "blue")] * 24
    scenes[9] = Scene("house", "white", "black")
    pairs = [(draw_scene(scene, chance), scene.caption) for scene in scenes]
    folder = lay(tmp_path / "set", pairs)
    compare.work(Settings(folder=str(folder)), Told())
    assert meaning(folder)["meaning.outliers"] == [[9]]


def test_what_is_there_is_not_made_again(drawn, tmp_path, monkeypatch):
    folder = lay(tmp_path / "set", drawn[:6])
    with monkeypatch.context() as ended, pytest.raises(ZeroDivisionError):
        ended.setattr(compare.Making, "captions", lambda *_: 1 / 0)
        compare.work(Settings(folder=str(folder)), Told())
    again = Told()
    assert compare.work(Settings(folder=str(folder)), again)["new"] == 6
    assert not [step for step in again.steps if step[0] == "look at pictures"]
    monkeypatch.setattr("captioners.clip.model.Clip.__init__", lambda *_: pytest.fail("nothing is missing"))
    (folder / "05.png").rename(folder / "other.png")
    (folder / "05.txt").rename(folder / "other.txt")
    assert compare.work(Settings(folder=str(folder)), Told())["new"] == 0


def test_a_broken_picture_is_told_and_the_others_go_on(drawn, tmp_path):
    folder = lay(tmp_path / "set", drawn[:4])
    data = bytearray((folder / "02.png").read_bytes())
    data[len(data) // 2 :] = os.urandom(len(data) - len(data) // 2 - 12) + data[-12:]  # whole by its ends
    (folder / "02.png").write_bytes(data)
    told = Told()
    compare.work(Settings(folder=str(folder)), told)
    assert [problem.path.name for problem in told.problems] == ["02.png"]
    with closing(Vectors()) as kept:
        (model,) = kept.models()
        assert len(kept.known(model.key, [digest_of(caption) for _, caption in drawn[:4]])) == len(
            {caption for _, caption in drawn[:4]})  # fmt: skip
        assert model.name == "the toy CLIP"


def test_batches_are_halved_where_memory_runs_out():
    sizes, warned = [], []

    def encode(part):
        sizes.append(len(part))
        if len(part) > 3:
            raise RuntimeError("CUDA out of memory")
        return np.array([[number] for number in part])

    halving = Halving(encode, 16, warned.append)
    assert [int(row[0]) for row in halving(list(range(20)))] == list(range(20))
    assert sizes == [16, 8, 4, 2, *[2] * 9] and len(warned) == 3
    with pytest.raises(RuntimeError):
        Halving(lambda part: 1 / 0 if not part else encode([0] * 9), 1, warned.append)([1])
    with pytest.raises(ZeroDivisionError):
        Halving(lambda part: 1 / 0, 4, warned.append)([1, 2])


def test_a_graphics_card_is_left_to_a_run(drawn, tmp_path, monkeypatch):
    folder = lay(tmp_path / "set", drawn[:1])
    asked = []
    monkeypatch.setattr(compare, "place", lambda computing: asked.append(computing.device) or Place())
    monkeypatch.setattr(compare.folder, "jobs", lambda: [SimpleNamespace(state=lambda: "running")])
    told = Told()
    compare.work(Settings(folder=str(folder)), told)
    assert asked == ["cpu"] and "on the processor" in told.warnings[0]


def test_no_model_is_downloaded_that_nobody_agreed_to(drawn, tmp_path):
    folder = lay(tmp_path / "set", drawn[:1])
    wish = {"folder": str(folder), "model": "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"}
    with pytest.raises(SettingsError) as refused:
        compare.begin(wish)
    assert "605 MB, licence mit" in refused.value.problems["download"]
    with pytest.raises(CaptionerError, match="605 MB"):
        compare.work(Settings(**wish), Told())
    for wrong in ({"folder": ""}, {"folder": str(folder / "no")}, {"folder": str(folder), "model": "no model"}):
        with pytest.raises(SettingsError):
            compare.begin(wrong)


def test_the_job_of_the_window_and_the_command(drawn, tmp_path):
    folder = lay(tmp_path / "set", drawn[:12])
    (folder / "00.txt").write_text(drawn[1][1])
    (folder / "01.txt").write_text(drawn[0][1])
    job = compare.begin({"folder": str(folder)})
    assert compare.main(["--job", str(job.folder)]) == 0
    events, _ = read_events(job.events_path)
    assert [event["kind"] for event in events if event["kind"] != "progress"] == ["started", "warning", "finished"]
    assert events[-1]["new"] > 12 and events[-1]["model"] == "the toy CLIP"
    command = [sys.executable, "-m", "dataset.command", "check", str(folder), "--clip", "--json"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    found = {finding["name"]: finding for finding in json.loads(result.stdout)["findings"]}
    assert sorted(found["meaning.swapped"]["cases"][0]["paths"]) == ["00.png", "01.png"]
    command[-2:] = ["--clip", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 2 and "--download" in result.stderr and result.stdout == ""


def test_what_a_tagger_saw_is_found_by_the_names_of_its_tags(tmp_path):
    from captioners.base import Picture
    from captioners.wd_tagger import WdTagger

    image = draw_scene(Scene("star", "red", "blue"), np.random.default_rng(1))
    path = lay(tmp_path / "set", [(image, "a star")]) / "00.png"
    options = WdTagger.settings(model="toy/models/wd_tagger")
    tagger = WdTagger(options, Place())
    tagger.load(tagger.weights(options), lambda *_: None)
    tagger.say([tagger.prepare(Picture(path, image))])
    tagger.close()
    digest = hashlib.sha256(path.read_bytes()).digest()
    found = tagged([digest, b"x" * 32], ["Star", "house", "no such tag"])
    assert found.name == "toy/models/wd_tagger" and found.seen[digest]["star"] > 0.5
    assert found.seen[digest].get("house", 0) < 0.5 and list(found.seen) == [digest]
