"""The verb `caption` and the jobs it makes: checks before anything begins, processes of their own, kills, undo."""

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest
from PIL import Image

import jobs.follow
from captioners import captioners, command, run
from captioners.base import CaptionerError
from captioners.config import CaptionConfig, complete
from captioners.weights import Published
from dataset.journal import Journal
from jobs import queue, requests
from jobs.folder import Job
from jobs.process import kill, start
from settings import toml
from settings.errors import SettingsError, check
from tests.captioners.fake import Fake, events, paint


def config(pictures: Path, **values) -> CaptionConfig:
    usual = {"captioners": ["existing"], "trigger": "sks", "source": {"folders": [str(pictures)]},
             "write": {"mode": "append"}, "run": {"device": "cpu"}}
    return check(CaptionConfig, usual | values)


@pytest.fixture
def described(tmp_path) -> Path:
    """Some pictures, each with a caption."""
    folder = paint(tmp_path / 'pictures of "Кот" [1]', ["red", "green", "blue", "white"])
    for path in folder.glob("*.png"):
        path.with_suffix(".txt").write_text(f"{path.stem}, plain\n")
    return folder


def captions(folder: Path) -> list[str]:
    return [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.txt"))]


AFTER = [f"sks, 0{n}_{colour}, plain\n" for n, colour in enumerate(("red", "green", "blue", "white"))]


def test_the_verb_describes_a_folder_and_takes_it_back(described, capsys):
    before = captions(described)
    flags = [str(described), "--captioner", "existing", "--mode", "append", "--trigger", "sks"]
    assert command.main([*flags, "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["written"] == 4 and captions(described) == before
    assert command.main(flags) == 0
    lines = capsys.readouterr().out.splitlines()
    told = json.loads(lines[-1])
    assert (told["ok"], told["state"], told["written"], told["failed"]) == (True, "finished", 4, 0)
    assert "00_red.png: sks, 00_red, plain" in lines and captions(described) == AFTER
    assert command.main([str(described), "--history"]) == 0
    assert "Existing caption (append): 4 files, done" in capsys.readouterr().out
    assert command.main([str(described), "--undo"]) == 0 and captions(described) == before
    assert command.main([str(described), "--redo"]) == 0 and captions(described) == AFTER


def test_settings_come_from_a_file_and_options_count_before_it(described, tmp_path, capsys):
    other = paint(tmp_path / "other", ["red"])
    file = tmp_path / "settings.toml"
    file.write_text(toml.dumps(config(other, trigger="abc")))
    assert command.main(["--config", str(file), str(described), "--trigger", "sks"]) == 0
    assert captions(described) == AFTER and captions(other) == []
    assert command.main(["--config", str(file), "--write.mode", "overwrite"]) in (0, 1)
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["failed"] == 1  # it has no existing caption: the folder was the file's
    assert command.main(["--config", str(tmp_path / "none.toml")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_undo_keeps_and_names_what_was_changed_since(described, capsys):
    command.main([str(described), "--captioner", "existing", "--mode", "append", "--trigger", "sks"])
    (described / "01_green.txt").write_text("by hand since\n")
    capsys.readouterr()
    assert command.main([str(described), "--undo"]) == 1
    assert "01_green.txt" in capsys.readouterr().out
    assert captions(described)[:2] == ["00_red, plain\n", "by hand since\n"]


@pytest.mark.parametrize("arguments, said", [
    (["--captioner", "wd_taggr"], "no captioner 'wd_taggr'"),
    (["--captioner", "existing,existing"], "twice"),
    (["--mode", "add"], "write.mode: must be 'missing'"),
    (["--trigge", "sks"], "--trigger"),
    (["--captioner", "existing"], "write.mode: a picture without a caption has no existing one"),
    (["--captioner", "existing", "--template", "{tags"], "template: has a bracket"),
    (["--captioner", "existing", "--template", "{nobody}"], "does not know {nobody}"),
    (["--captioner", "blip", "--blip.model", "nothing-here"], "blip.model: there is nothing at 'nothing-here'"),
])
def test_mistakes_are_named_before_anything_begins(described, capsys, arguments, said, workspace):
    assert command.main([str(described), *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not (workspace / "jobs").exists() or not list((workspace / "jobs").iterdir())


@pytest.mark.parametrize("place, said", [("nowhere", "no folder"), ("empty", "holds no pictures"), ("a.png", "a file")])
def test_folders_that_are_none(tmp_path, capsys, place, said):
    (tmp_path / "empty").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    flags = ["--captioner", "existing", "--mode", "append"]
    assert command.main([str(tmp_path / place), *flags]) == 2
    assert "source.folders" in (error := capsys.readouterr().err) and said in error


def test_a_folder_that_cannot_be_written_is_told_at_once(described, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(SettingsError, match=r"source\.folders: nothing can be written"):
        command.create(config(described))
    command.create(config(described, write={"mode": "append", "dry_run": True}))


class Large(Fake):
    """A captioner with a model that is not on this machine."""

    name = "large"
    label = "Large"
    published = {"someone/large": Published("llama3.1", 17_000_000_000, ("*.json",))}

    @classmethod
    def weights(cls, settings):
        from captioners.weights import find

        return find("someone/large", cls.published)


@pytest.fixture
def large(runs, monkeypatch):
    monkeypatch.setitem(captioners(), "large", Large)
    monkeypatch.setattr(runs, "tree", complete())
    monkeypatch.setattr(run, "CaptionConfig", runs.tree)
    return runs


def test_a_model_that_is_not_here_is_told_with_size_and_licence_and_how_to_agree(large):
    with pytest.raises(SettingsError, match=r"large: .* not on this machine; 17\.0 GB, licence llama3.*run\.download"):
        large.job(captioners=["large"])
    assert large.job(captioners=["large"], run={"download": True, "device": "cpu"}).state() == "queued"


def test_a_package_that_is_missing_is_named_with_its_install_line(large, monkeypatch):
    monkeypatch.setattr(Large, "packages", ("no_such_package",))
    with pytest.raises(SettingsError, match=r"Large needs the package no_such_package: .* -m pip install no_such"):
        large.job(captioners=["large"])


def test_a_second_model_is_asked_for_too(large, monkeypatch):
    monkeypatch.setattr(Fake, "further", classmethod(lambda cls, settings: [Large.weights(settings)]))
    with pytest.raises(SettingsError, match=r"someone/large is not on this machine"):
        large.job()
    monkeypatch.setattr(command, "fetch", lambda weights, *_: weights)
    with pytest.raises(CaptionerError, match="run.download"):  # it vanished between the click and its turn
        large.run(large.job())


def test_paths_are_kept_as_they_were_meant_where_they_were_typed(described, monkeypatch):
    monkeypatch.chdir(described.parent)
    job = command.create(config(Path(described.name), captioners=["existing"]))
    assert toml.read(CaptionConfig, job.config_path).source.folders == [str(described)]
    kept = command.with_absolute_paths(config(described, blip={"model": "toy/models/sd"}))
    assert kept.blip.model == "toy/models/sd", "the toy world is found from anywhere"
    mine = command.with_absolute_paths(config(described, blip={"model": f"../{described.parent.name}"}))
    assert mine.blip.model == str(described.parent)


def test_the_same_command_again_goes_on_with_its_job(described):
    first = command.prepared(config(described), None)
    assert command.prepared(config(described), None).folder == first.folder
    assert command.prepared(config(described, trigger="other"), None).folder != first.folder
    assert jobs.follow.follow(first, "") == 0
    assert command.prepared(config(described), None).folder != first.folder, "a finished one is done"


def test_a_folder_of_another_job_is_not_used(described, tmp_path):
    command.prepared(config(described), tmp_path / "job")
    assert command.prepared(config(described), tmp_path / "job").folder == tmp_path / "job"
    with pytest.raises(command.JobError, match="other settings"):
        command.prepared(config(described, trigger="x"), tmp_path / "job")


def test_the_window_queues_it_and_retries_what_failed(described, wait_for):
    (described / "02_blue.png").write_bytes(b"no picture")
    job = command.create(config(described))
    queue.submit(job)
    wait_for(lambda: job.state() == "finished")
    assert job.last_event["failed"] == 1 and job.last_event["written"] == 3
    (problem,) = events(job, "problem")
    assert problem["picture"].endswith("02_blue.png") and problem["reason"] and problem["fix"]
    paint(described, ["red", "green", "blue", "white"])
    queue.resume(job)
    wait_for(lambda: len(events(job, "finished")) == 2)
    assert job.last_event["failed"] == 0 and job.last_event["written"] == 4 and captions(described) == AFTER


def test_a_failure_has_a_cause_and_a_fix(described, capsys):
    job = command.create(config(described))
    job.config_path.write_text(job.config_path.read_text().replace('mode = "append"', 'mode = "appendix"'))
    assert jobs.follow.follow(job, "") == 1
    assert job.state() == "failed" and "write.mode" in job.last_event["cause"] and job.last_event["fix"]
    assert "write.mode" in capsys.readouterr().err


@pytest.fixture
def wait_for(workspace):
    """wait_for(condition); processes of this test's jobs end with it."""

    def wait(condition, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not come true"
            time.sleep(0.01)

    yield wait
    for folder in (workspace / "jobs").iterdir() if (workspace / "jobs").exists() else ():
        kill(Job(folder))


@pytest.mark.parametrize("format", ["txt", "metadata.jsonl"])
def test_killed_at_random_there_are_only_old_and_new_captions_and_it_goes_on(tmp_path, wait_for, format):
    names = [f"{number:03d}" for number in range(120)]
    folder = tmp_path / "many"
    folder.mkdir()
    for name in names:
        Image.new("RGB", (8, 8)).save(folder / f"{name}.png")
        (folder / f"{name}.txt").write_text(f"old {name}\n")
    job = command.create(config(folder, write={"mode": "overwrite", "format": format}))
    dice = random.Random(7)
    for _ in range(2):
        pid, already = start(job), len(events(job, "caption"))
        wait_for(lambda already=already: len(events(job, "caption")) > already or job.state() != "running")
        time.sleep(dice.random() * 0.05)
        if job.state() == "running":
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: job.state() == "failed")
        for name in names:
            text = (folder / f"{name}.txt").read_text()
            assert text in {f"old {name}\n", f"sks, old {name}\n"}, "old or new, never half"
        if (table := folder / "metadata.jsonl").exists():
            assert all(json.loads(line)["text"].startswith("sks, old ") for line in table.read_text().splitlines())
    assert jobs.follow.follow(job, "") == 0
    new = [f"sks, old {name}" for name in names]
    if format == "txt":
        assert [text.strip() for text in captions(folder)] == new
    else:
        assert [json.loads(line)["text"] for line in table.read_text().splitlines()] == new
    last = job.last_event
    assert last["written"] + last["same"] == len(names) and last["failed"] == last["kept"] == 0
    left = [path.name for path in folder.iterdir() if path.suffix not in (".png", ".txt", ".jsonl")]
    assert left == [".loratory"], "nothing half-written stays behind"
    journal = Journal(folder)
    for _ in journal.history():
        journal.undo()
    assert [text.strip() for text in captions(folder)] == [f"old {name}" for name in names]
    assert not (folder / "metadata.jsonl").exists()


def test_ctrl_c_asks_it_to_stop(described, monkeypatch, capsys):
    job = command.create(config(described))
    asked = []

    def impatient(_: float) -> None:
        if not asked:
            asked.append(True)
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", impatient)
    monkeypatch.setattr(requests, "ask", lambda folder, wish: asked.append((folder, wish)))
    assert jobs.follow.follow(job, "stopping after these pictures") == 0
    assert (job.folder, "stop") in asked and "stopping after these pictures" in capsys.readouterr().out
