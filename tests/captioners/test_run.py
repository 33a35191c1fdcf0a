"""A captioning job: passes, writing, going on, stopping, too little memory, answers that can't stand."""

import json
import time
from pathlib import Path

import pytest
from PIL import Image

from captioners import asking
from captioners.asking import PATIENCE
from captioners.base import CaptionerError
from captioners.run import Stopped
from dataset.journal import Journal
from jobs import requests
from jobs.failures import out_of_memory
from tests.captioners.fake import Fake, FakeTagger, events, paint

RED = "all of it red"
COLOURS = "red green blue white red green".split()


class OutOfMemoryError(RuntimeError):
    """As torch calls its own."""


class RuntimeException(Exception):
    """As onnxruntime calls its own, which has nothing in common with Python's."""


def test_every_picture_gets_a_caption(runs):
    job = runs.run()
    assert job.state() == "finished"
    assert list(runs.captions()) == [f"{n:02d}_{colour}.txt" for n, colour in enumerate(COLOURS)]
    assert runs.captions()["00_red.txt"] == f"{RED}\n"
    (begun,), (last,) = events(job, "started"), events(job, "finished")
    assert (begun["total"], begun["captioners"], begun["device"], begun["mode"]) == (6, ["fake"], "cpu", "missing")
    assert (last["written"], last["same"], last["kept"], last["failed"]) == (6, 0, 0, 0)
    told = events(job, "caption")
    assert [Path(event["picture"]).name for event in told] == sorted(path.name for path in runs.pictures.glob("*.png"))
    assert told[0]["text"] == RED and told[0]["before"] == "" and told[0]["outcome"] == "written"
    progress = events(job, "progress")[-1]
    assert (progress["done"], progress["total"], progress["written"], progress["pass"]) == (6, 6, 6, 1)
    assert progress["img_s"] > 0 and progress["eta"] == 0
    assert [event["message"] for event in events(job, "warning")] == ["it is a fake"]
    assert Fake.batches == [(4, 0), (2, 0)] and Fake.closed == ["fake"]


def test_what_a_person_wrote_is_left_alone(runs):
    """kohya's BLIP overwrites every caption; wd14-tagger ran its batch again over 81 that were put right by hand."""
    (runs.pictures / "00_red.txt").write_text("by hand\n")
    job = runs.run()
    assert runs.captions()["00_red.txt"] == "by hand\n"
    assert events(job, "started")[0] | {"total": 5, "skipped": 1} == events(job, "started")[0]
    assert events(job, "finished")[0]["written"] == 5


@pytest.mark.parametrize("mode, expected", [
    ("append", f"by hand, plain, {RED}"), ("prepend", f"{RED}, by hand, plain"), ("overwrite", f"{RED}"),
])
def test_modes(runs, mode, expected):
    (runs.pictures / "00_red.txt").write_text("by hand, plain")
    runs.run(write={"mode": mode})
    assert runs.captions()["00_red.txt"] == f"{expected}\n" and runs.captions()["01_green.txt"] == "all of it green\n"


def test_appending_twice_adds_nothing(runs):
    runs.run(write={"mode": "append"})
    before = runs.captions()
    job = runs.run(write={"mode": "append"})
    assert runs.captions() == before and events(job, "finished")[0]["same"] == 6


def test_a_dry_run_writes_nothing_and_shows_what_would_be(runs, capsys):
    (runs.pictures / "00_red.txt").write_text("by hand")
    (runs.pictures / "01_green.txt").write_text("all of it green")
    job = runs.run(write={"mode": "append", "dry_run": True})
    shown = {Path(event["picture"]).stem: event for event in events(job, "caption")}
    assert [shown["00_red"][name] for name in ("text", "before", "outcome")] == [
        f"by hand, {RED}", "by hand", "would write"]
    assert shown["01_green"]["outcome"] == "same"
    log = capsys.readouterr().out
    assert f"00_red.png\n  - by hand\n  + by hand, {RED}\n" in log and "02_blue.png: all of it blue\n" in log
    assert runs.captions() == {"00_red.txt": "by hand", "01_green.txt": "all of it green"}
    assert not (runs.pictures / ".loratory").exists() and events(job, "finished")[0]["actions"] == {}


def test_several_captioners_go_over_the_pictures_one_after_the_other_and_are_joined(runs):
    job = runs.run(captioners=["fake_tagger", "fake"], trigger="sks",
                   template="{trigger}, {fake}, {tags}, rated {rating}, {name} of {directory}")
    assert runs.captions()["00_red.txt"] == "sks, all of it red, red, plain, rated safe, 00_red of pictures\n"
    assert Fake.loads == Fake.closed == ["fake_tagger", "fake"]  # one model in memory at a time
    seen = sorted(Fake.seen[6:], key=lambda picture: picture.path)
    assert [picture.tags for picture in seen] == [f"{colour}, plain" for colour in COLOURS]
    assert [event["text"] for event in events(job, "said")][:1] == ["red, plain"]
    assert len(events(job, "caption")) == 6 and len(events(job, "said")) == 6


def test_without_a_template_all_of_it_with_the_trigger_in_front_of_what_was_there(runs):
    (runs.pictures / "00_red.txt").write_text("by hand")
    runs.run(captioners=["fake_tagger", "fake"], trigger="sks", write={"mode": "append"})
    assert runs.captions()["00_red.txt"] == f"sks, by hand, red, plain, {RED}\n"
    runs.run(captioners=["fake_tagger", "fake"], trigger="sks", write={"mode": "append"})
    assert runs.captions()["00_red.txt"] == f"sks, by hand, red, plain, {RED}\n"  # kohya_ss repeats its prefix


def test_the_run_can_be_undone_and_done_again(runs):
    (runs.pictures / "00_red.txt").write_bytes(b"by hand\r\n")
    job = runs.run(write={"mode": "overwrite"})
    (action,) = events(job, "finished")[0]["actions"].values()
    journal = Journal(runs.pictures)
    (entry,) = journal.history()
    assert (entry.id, entry.state, entry.files, entry.label) == (action, "done", 6, "Fake (overwrite)")
    assert journal.undo().changed == 6
    assert [path.read_bytes() for path in runs.pictures.glob("*.txt")] == [b"by hand\r\n"]
    journal.redo()
    assert runs.captions()["00_red.txt"] == f"{RED}\n"


def test_a_caption_that_is_changed_during_the_run_is_kept_and_named(runs, monkeypatch):
    def meddle(batch, attempt):
        (runs.pictures / "02_blue.txt").write_text("quicker")

    monkeypatch.setattr(Fake, "behave", staticmethod(meddle))
    job = runs.run(write={"mode": "overwrite"})
    assert runs.captions()["02_blue.txt"] == "quicker"
    assert [Path(event["picture"]).stem for event in events(job, "problem")] == ["02_blue"]
    assert events(job, "finished")[0] | {"written": 5, "kept": 1, "failed": 0} == events(job, "finished")[0]


def test_several_folders_and_those_inside_them(runs, tmp_path):
    other = paint(tmp_path / "other", ["blue"])
    paint(runs.pictures / "inner", ["white"])
    paint(runs.pictures / ".loratory" / "hidden", ["white"])
    job = runs.run(source={"folders": [str(runs.pictures), str(other), str(runs.pictures / "inner")]})
    assert events(job, "started")[0]["total"] == 8 and (runs.pictures / "inner" / "00_white.txt").exists()
    assert set(events(job, "finished")[0]["actions"]) == {str(runs.pictures), str(other)}
    (runs.pictures / "inner" / "00_white.txt").unlink()
    flat = runs.run(source={"folders": [str(runs.pictures)], "recursive": False}, write={"mode": "overwrite"})
    assert events(flat, "started")[0]["total"] == 6


@pytest.mark.parametrize("only, stems", [
    (["*_red.png"], ["00_red", "04_red"]), (["0?_BLUE.png", "01_green.png"], ["01_green", "02_blue"]), (["*/x"], None),
])
def test_a_selection_of_pictures(runs, only, stems):
    source = {"folders": [str(runs.pictures)], "only": only}
    if stems is None:
        with pytest.raises(ValueError, match=r"source\.only"):
            runs.job(source=source)
        return
    job = runs.run(source=source)
    assert [Path(event["picture"]).stem for event in events(job, "caption")] == stems


def test_brackets_in_names_are_no_patterns(runs):
    Image.new("RGB", (8, 8)).save(runs.pictures / "a[1].png")
    job = runs.run(source={"folders": [str(runs.pictures)], "only": ["a[1].png"]})
    assert (runs.pictures / "a[1].txt").exists() and events(job, "started")[0]["total"] == 1


def test_pictures_of_the_same_name_do_not_overwrite_each_others_caption(runs):
    Image.new("RGB", (8, 8)).save(runs.pictures / "00_red.webp")
    job = runs.run(write={"mode": "overwrite"})
    (problem,) = events(job, "problem")
    assert problem["picture"].endswith("00_red.webp") and "share" in problem["reason"]
    assert runs.captions()["00_red.txt"] == f"{RED}\n"


@pytest.mark.parametrize("format, file", [("caption", "00_red.caption"), ("metadata.jsonl", "metadata.jsonl"),
                                          ("meta_cap.json", "meta_cap.json")])
def test_other_formats(runs, format, file):
    job = runs.run(write={"format": format})
    assert RED in (runs.pictures / file).read_text() and not runs.captions()
    assert events(job, "finished")[0]["written"] == 6
    again = runs.run(write={"format": format})
    assert events(again, "started")[0] | {"total": 0, "skipped": 6} == events(again, "started")[0]
    assert Fake.loads == ["fake"]  # with nothing to do no model is loaded


@pytest.mark.parametrize("error", [
    OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), MemoryError(),
    RuntimeException("[ONNXRuntimeError] : 6 : Failed to allocate memory for requested buffer of size 9437184"),
    RuntimeError("std::bad_alloc: bad allocation"),
])
def test_too_little_memory_halves_the_batch_and_goes_on(runs, monkeypatch, error):
    def behave(batch, attempt):
        if len(batch) > 1:
            raise error

    monkeypatch.setattr(Fake, "behave", staticmethod(behave))
    job = runs.run()
    assert Fake.batches == [(4, 0), (2, 0), (1, 0), *[(1, 0)] * 5] and len(runs.captions()) == 6
    messages = [event["message"] for event in events(job, "warning")]
    assert "not enough memory for 4 pictures at once; going on with 2" in messages
    assert "not enough memory for 2 pictures at once; going on with 1" in messages


def test_a_picture_that_is_too_much_even_alone_is_named_and_the_others_go_on(runs, monkeypatch):
    def behave(batch, attempt):
        if "02_blue.png" in [name for name, _ in batch]:
            raise MemoryError

    monkeypatch.setattr(Fake, "behave", staticmethod(behave))
    job = runs.run()
    assert len(runs.captions()) == 5 and "02_blue.txt" not in runs.captions()
    (problem,) = events(job, "problem")
    assert "memory" in problem["reason"] and problem["picture"].endswith("02_blue.png")
    assert events(job, "finished")[0]["failed"] == 1


def test_an_error_that_comes_with_every_picture_ends_the_run(runs, monkeypatch):
    def behave(batch, attempt):
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(Fake, "behave", staticmethod(behave))
    with pytest.raises(RuntimeError, match="shapes"):
        runs.run()
    assert not out_of_memory(RuntimeError("shapes")) and Fake.closed == ["fake"]


def test_an_answer_that_cannot_stand_is_asked_for_once_more(runs, monkeypatch):
    monkeypatch.setattr(Fake, "word", staticmethod(lambda colour, attempt: "" if not attempt else f"at last {colour}"))
    runs.run()
    assert Fake.batches == [(4, 0), (4, 1), (2, 0), (2, 1)]
    assert runs.captions()["00_red.txt"] == "at last red\n"


def test_an_answer_that_cannot_stand_twice_is_not_written_and_can_be_retried(runs, monkeypatch):
    refusal = "I'm sorry, I can't help with that."
    monkeypatch.setattr(Fake, "word", staticmethod(lambda colour, _: refusal if colour == "red" else colour))
    job = runs.run()
    assert set(runs.captions()) == {"01_green.txt", "02_blue.txt", "03_white.txt", "05_green.txt"}
    assert [event["reason"] for event in events(job, "problem")] == [f"the answer is a refusal, twice ({refusal})"] * 2
    monkeypatch.setattr(Fake, "word", staticmethod(lambda colour, _: f"now {colour}"))
    Fake.batches.clear()
    runs.run(job)
    assert Fake.batches == [(2, 0)], "only the failures are asked again"
    assert runs.captions()["00_red.txt"] == "now red\n" and runs.captions()["02_blue.txt"] == "blue\n"
    last = events(job, "finished")[-1]
    assert (last["written"], last["failed"]) == (6, 0)


def test_taggers_are_not_judged(runs, monkeypatch):
    runs.run(captioners=["fake_tagger"])
    assert FakeTagger.batches == [(4, 0), (2, 0)] and runs.captions()["00_red.txt"] == "red, plain\n"


@pytest.mark.parametrize("error, said", [
    (CaptionerError("it was too blue"), "it was too blue"),
    (ValueError("aspect ratio must be smaller than 200"), "ValueError: aspect ratio must be smaller than 200"),
])
def test_what_fails_for_one_picture_goes_on_with_the_next(runs, monkeypatch, error, said):
    def behave(batch, attempt):
        if "02_blue.png" in [name for name, _ in batch]:
            raise error

    monkeypatch.setattr(Fake, "behave", staticmethod(behave))
    job = runs.run()
    assert len(runs.captions()) == 5
    assert [event["reason"] for event in events(job, "problem")] == [f"Fake can't describe it: {said}"]


def test_a_captioner_that_refuses_every_picture_is_given_up(runs, monkeypatch):
    def behave(batch, attempt):
        raise CaptionerError("nobody answers at http://127.0.0.1:1")

    monkeypatch.setattr(Fake, "behave", staticmethod(behave))
    with pytest.raises(CaptionerError, match="nobody answers"):
        runs.run()
    assert Fake.batches.count((1, 0)) == PATIENCE


def test_stop_ends_after_the_batch_and_going_on_asks_for_the_rest(runs, monkeypatch):
    job = runs.job()
    monkeypatch.setattr(Fake, "behave", staticmethod(lambda batch, attempt: requests.ask(job.folder, "stop")))
    runs.run(job)
    assert job.state() == "stopped" and len(runs.captions()) == 4 and job.last_event["written"] == 4
    monkeypatch.setattr(Fake, "behave", staticmethod(lambda batch, attempt: None))
    runs.run(job)
    assert job.state() == "finished" and len(runs.captions()) == 6 and job.last_event["written"] == 6
    assert Fake.batches == [(4, 0), (2, 0)], "nothing was asked twice"


@pytest.mark.parametrize("wrapped", [False, True])
def test_stop_is_heard_while_a_model_is_downloaded_or_loaded(runs, monkeypatch, wrapped):
    job = runs.job()

    def load(self, weights, progress):
        requests.ask(job.folder, "stop")
        try:
            progress("download", 1, 100)
        except Stopped as error:
            if wrapped:  # as a library may do it
                raise CaptionerError("the download broke off") from error
            raise

    monkeypatch.setattr(Fake, "load", load)
    runs.run(job)
    assert job.state() == "stopped" and not requests.waiting(job.folder) and Fake.closed == ["fake"]


def test_a_job_that_broke_off_between_passes_goes_on_where_it_was(runs, monkeypatch):
    def behave(batch, attempt):
        if "04_red.png" in [name for name, _ in batch]:
            raise KeyboardInterrupt

    job = runs.job(captioners=["fake_tagger", "fake"], template="{existing}, {tags}, {caption}",
                   write={"mode": "overwrite"})
    (runs.pictures / "00_red.txt").write_text("by hand")
    monkeypatch.setattr(Fake, "behave", staticmethod(behave))
    monkeypatch.setattr(FakeTagger, "behave", staticmethod(lambda batch, attempt: None))
    with pytest.raises(KeyboardInterrupt):
        runs.run(job)
    assert len(runs.captions()) == 4 and runs.captions()["00_red.txt"] == f"by hand, red, plain, {RED}\n"
    with (job.folder / "answers" / "fake.jsonl").open("a") as file:
        file.write('{"picture": "torn')  # as a kill leaves it
    Fake.batches.clear()
    monkeypatch.setattr(Fake, "behave", staticmethod(lambda batch, attempt: None))
    runs.run(job)
    assert Fake.batches == [(2, 0)] and Fake.loads == ["fake_tagger", "fake", "fake"]
    assert runs.captions()["00_red.txt"] == f"by hand, red, plain, {RED}\n", "{existing} is what was there at first"
    assert len(runs.captions()) == 6


def test_a_picture_that_changed_since_is_asked_about_again(runs, monkeypatch):
    job = runs.job()
    monkeypatch.setattr(Fake, "behave", staticmethod(lambda batch, attempt: requests.ask(job.folder, "stop")))
    runs.run(job)
    monkeypatch.setattr(Fake, "behave", staticmethod(lambda batch, attempt: None))
    Journal(runs.pictures).undo()
    Image.new("RGB", (99, 99), (0, 0, 255)).save(runs.pictures / "00_red.png")
    Fake.batches.clear()
    runs.run(job)
    assert runs.captions()["00_red.txt"] == "all of it blue\n" and len(runs.captions()) == 6
    assert Fake.batches == [(3, 0)], "the others' answers still count, though their captions were undone"


def test_a_table_that_was_not_yet_written_when_the_job_was_killed_is_written_then(runs, monkeypatch):
    job = runs.run(write={"format": "metadata.jsonl"})
    table = runs.pictures / "metadata.jsonl"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:2]))
    Fake.batches.clear()
    runs.run(job)
    assert len([json.loads(line) for line in table.read_text().splitlines()]) == 6 and not Fake.batches


def test_progress_is_told_at_most_twice_a_second(runs, monkeypatch):
    monkeypatch.setattr(Fake, "batch_size", 1)
    job = runs.run()
    assert 1 <= len(events(job, "progress")) <= 4


def test_pictures_are_prepared_while_the_model_is_busy():
    """With one worker and one picture at once, the next is ready when the model has finished with this one."""
    ready: list[Path] = []

    def prepare(path: Path) -> Path:
        ready.append(path)
        return path

    paths = [Path(str(number)) for number in range(50)]
    deadline = time.monotonic() + 10
    for done, batch in enumerate(asking.prepared(iter(paths), prepare, 1, lambda: 1)):
        assert [path for path, _ in batch] == [paths[done]]
        while len(ready) < min(done + 2, 50) and time.monotonic() < deadline:
            time.sleep(0.001)  # the model thinks
        assert min(done + 2, 50) <= len(ready) <= done + 3, "ahead, but not all of them at once"


def test_a_trigger_alone_is_no_description(runs, monkeypatch):
    monkeypatch.setattr(FakeTagger, "of", lambda *_: asking.Said(""))
    job = runs.run(captioners=["fake_tagger"], trigger="sks")
    assert not runs.captions() and events(job, "finished")[0]["failed"] == 6
    assert events(job, "progress")[-1]["done"] == 6


def test_a_template_that_comes_to_nothing_writes_nothing(runs):
    job = runs.run(template="{existing}")
    assert not runs.captions() and events(job, "problem")[0]["reason"] == "nothing was said of it"


def test_a_caption_that_cannot_be_written_is_named_and_retried(runs):
    folder = runs.pictures / "00_red.txt"  # where the caption should go there is a folder
    folder.mkdir()
    job = runs.run()
    (problem,) = events(job, "problem")
    assert problem["picture"].endswith("00_red.png") and "written" in problem["reason"] and problem["fix"]
    folder.rmdir()
    Fake.batches.clear()
    runs.run(job)
    assert runs.captions()["00_red.txt"] == f"{RED}\n" and not Fake.batches and job.last_event["failed"] == 0


def test_what_models_say_is_text_and_nothing_else(runs, monkeypatch):
    said = "<img src=x onerror=alert(1)> {trigger} >_< \u202e\nsecond line\x00"
    monkeypatch.setattr(Fake, "word", staticmethod(lambda colour, _: said))
    job = runs.run(template="{trigger}, {caption}", trigger="sks")
    assert runs.captions()["00_red.txt"] == "sks, <img src=x onerror=alert(1)> {trigger} >_< \u202e second line\n"
    assert events(job, "caption")[0]["text"].startswith("sks, <img")
