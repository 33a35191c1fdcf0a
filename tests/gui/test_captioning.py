"""The captions form's answers: what it means, what is asked before anything leaves or comes, and what is started."""

import argparse
import shlex
import types

import pytest
from PIL import Image

from captioners import command, weights
from captioners.blip import Blip
from captioners.config import CaptionConfig
from gui import captioning as module
from gui import scans
from gui.captioning import Captioning, in_words
from jobs import folder
from settings import flags, toml
from settings.errors import check


@pytest.fixture
def room(fresh_window):
    return Captioning(fresh_window)


@pytest.fixture
def pictures(tmp_path):
    made = tmp_path / "pictures"
    made.mkdir()
    for number in range(4):
        Image.new("RGB", (64, 64)).save(made / f"{number}.png")
    (made / "0.txt").write_text("a <b>, >_<\n")
    return made


def on_form(room, updates):
    """What the page would send after these updates."""
    return {field: update["value"] for field, update in updates.items() if field in room._form.fields}


def answer(room, updates, name):
    return updates[room._parts[name]]


def press(room, values, **wish):
    return room.act(values, types.SimpleNamespace(_data=wish))


def test_an_empty_form_says_what_is_missing(room):
    said = answer(room, room.fill(), "desk")
    assert said["pictures"] is None and list(said["problems"]) == ["source.folders"] and said["attempt"] == 0


def test_the_folder_that_is_open_in_the_dataset_room_is_there_already(room, pictures):
    room._window.drafts.save("dataset", {"path": str(pictures)})
    updates = room.fill()
    assert room._form.typed(on_form(room, updates))["source"]["folders"] == [str(pictures)]
    assert answer(room, updates, "desk")["pictures"]["count"] == 4
    room.fill({"source.folders": [str(pictures.parent)]})
    assert room._form.typed(on_form(room, room.fill()))["source"]["folders"] == [str(pictures.parent)]


def test_what_is_meant(room, pictures):
    said = answer(room, room.fill({"source.folders": [str(pictures)], "captioners": ["existing"]}), "desk")
    assert (said["pictures"]["count"], said["pictures"]["captioned"]) == (4, 1)
    assert said["pictures"]["first"][0]["caption"] == "a <b>, >_<"
    assert said["mode"] == "missing" and said["problems"] == {}


def test_only_the_sections_of_the_chosen_are_shown(room):
    hidden = answer(room, room.fill({"captioners": ["existing"]}), "desk")["hidden"]
    assert "wd_tagger.model" in hidden and "blip.model" in hidden
    assert not any(path.startswith("existing.") for path in hidden)


def test_captions_changed_outside_are_seen_at_once(room, pictures):
    values = on_form(room, room.fill({"source.folders": [str(pictures)], "captioners": ["existing"]}))
    (pictures / "1.txt").write_text("new")
    assert answer(room, room.typed(values), "desk")["pictures"]["captioned"] == 2


def test_a_run_is_started_with_what_stands_on_the_form(room, pictures):
    values = on_form(
        room, room.fill({"source.folders": [str(pictures)], "captioners": ["existing"], "write.mode": "append"})
    )
    started = press(room, values, what="start")
    job = folder.jobs()[0]
    config = toml.read(CaptionConfig, job.config_path)
    assert answer(room, started, "captioned")["run"] == job.id and job.kind == "captions" and job.state() == "queued"
    assert config.captioners == ["existing"] and config.write.mode == "append" and not config.write.dry_run
    press(room, values, what="look")
    assert toml.read(CaptionConfig, folder.jobs()[0].config_path).write.dry_run


def test_applying_thresholds_replaces_what_is_there(room, pictures):
    values = on_form(room, room.fill({"source.folders": [str(pictures)], "captioners": ["existing"]}))
    press(room, values, what="apply")
    assert toml.read(CaptionConfig, folder.jobs()[0].config_path).write.mode == "overwrite"
    press(room, values, what="apply", dry=True)
    assert toml.read(CaptionConfig, folder.jobs()[0].config_path).write.dry_run


def test_applying_thresholds_asks_nobody_else_again(room, pictures):
    values = {"source.folders": [str(pictures)], "captioners": ["existing", "wd_tagger"], "write.mode": "append"}
    values = on_form(room, room.fill(values | {"wd_tagger.model": str(pictures)}))
    press(room, values, what="start")
    before = folder.jobs()[0]
    for name in ("existing", "wd_tagger"):
        (before.folder / "answers").mkdir(exist_ok=True)
        (before.folder / "answers" / f"{name}.jsonl").write_text(name)
    room._window.runs.changed()
    press(room, values, what="apply")
    said = folder.jobs()[0].folder / "answers"
    assert [(path.name, path.read_text()) for path in said.iterdir()] == [("existing.jsonl", "existing")]
    other = room.fill({"existing.remove": ["x"]})
    room._window.runs.changed()
    press(room, on_form(room, other), what="apply")
    assert not (folder.jobs()[0].folder / "answers").exists()


def test_a_test_is_about_one_picture_and_leaves_nothing(room, pictures):
    values = on_form(room, room.fill({"source.folders": [str(pictures)], "captioners": ["existing"]}))
    second = answer(room, room.typed(values), "desk")["pictures"]["first"][1]["id"]
    press(room, values, what="test", picture=second)
    config = toml.read(CaptionConfig, folder.jobs()[0].config_path)
    assert config.source.only == ["1.png"] and config.write.dry_run
    press(room, values, what="test", picture="no such id")
    assert toml.read(CaptionConfig, folder.jobs()[0].config_path).source.only == ["0.png"]
    for job in folder.jobs():
        job.events_path.write_text('{"time": 1, "kind": "finished"}\n')
    room._window.runs.changed()
    press(room, values, what="test", picture=second)
    assert len(folder.jobs()) == 1


def test_what_is_wrong_starts_nothing_and_is_said_loudly(room):
    refused = press(room, on_form(room, room.fill({"captioners": ["existing"]})), what="start")
    said = answer(room, refused, "desk")
    assert "source.folders" in said["problems"] and said["attempt"] > 0 and folder.jobs() == []


def test_a_download_is_asked_for_with_size_and_licence(room, pictures, monkeypatch):
    model = next(iter(Blip.published))
    monkeypatch.setattr(weights, "cached", lambda *_: None)
    values = {"source.folders": [str(pictures)], "captioners": ["blip"], "blip.model": model}
    values = on_form(room, room.fill(values))
    asked = answer(room, press(room, values, what="start"), "desk")["ask"]
    (question,) = asked["questions"]
    assert question["model"] == model and question["bytes"] > 1e8 and question["licence"]
    assert asked["wish"] == {"what": "start"} and folder.jobs() == []
    line = answer(room, room.typed(values), "desk")["models"][0]["models"][0]
    assert not line["here"] and line["bytes"] == question["bytes"]
    press(room, values, what="start", agreed=[next(iter(Blip.published))])
    assert toml.read(CaptionConfig, folder.jobs()[0].config_path).run.download


def test_consent_is_for_this_once(room, pictures, monkeypatch):
    monkeypatch.setattr(weights, "cached", lambda *_: None)
    values = {"source.folders": [str(pictures)], "captioners": ["blip"], "blip.model": next(iter(Blip.published))}
    values = on_form(room, room.fill(values))
    press(room, values, what="start", agreed=[next(iter(Blip.published))])
    assert "ask" in answer(room, press(room, values, what="start"), "desk")


def test_a_host_is_named_before_any_picture_is_sent(room, pictures):
    values = {"source.folders": [str(pictures)], "captioners": ["endpoint"], "endpoint.model": "x"}
    values = on_form(room, room.fill(values | {"endpoint.url": "https://example.com/v1"}))
    assert answer(room, room.typed(values), "desk")["models"][0]["host"] == "example.com"
    (question,) = answer(room, press(room, values, what="start"), "desk")["ask"]["questions"]
    assert question["id"] == "example.com" and question["kind"] == "host" and folder.jobs() == []
    assert "ask" in answer(room, press(room, values, what="start", agreed=["example.org"]), "desk")
    press(room, values, what="start", agreed=["example.com"])
    assert toml.read(CaptionConfig, folder.jobs()[0].config_path).endpoint.agreed_host == "example.com"


def test_a_model_that_is_none_is_said_beside_the_captioner(room, pictures):
    said = answer(room, room.fill({"captioners": ["blip"], "blip.model": "not a model"}), "desk")
    assert "not a model" in said["models"][0]["problem"]


def test_the_settings_of_a_run_come_back(room, pictures):
    values = {"source.folders": [str(pictures)], "captioners": ["existing"], "write.mode": "append", "trigger": "sks"}
    press(room, on_form(room, room.fill(values)), what="look")
    room.fill({"trigger": "other", "captioners": ["blip"]})
    typed = room._form.typed(on_form(room, room.load(folder.jobs()[0].config_path)))
    assert typed["trigger"] == "sks" and typed["captioners"] == ["existing"]
    assert "dry_run" not in typed["write"]


def test_the_command_means_the_same(pictures):
    values = {"source": {"folders": [str(pictures)]}, "captioners": ["existing", "blip"], "trigger": "-x <b>"}
    values |= {"write": {"mode": "prepend"}, "existing": {"remove": ["a b", "*c"]}, "blip": {"model": "toy/models/x"}}
    config = check(CaptionConfig, values)
    words = shlex.split(in_words(config)["run"])[3:]
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--captioner", action="append", default=[])
    parser.add_argument("--mode")
    parser.add_argument("--config")
    parser.add_argument("--dry-run", action="store_true")
    flags.add_flags(parser, CaptionConfig)
    options, given = flags.parse(parser, CaptionConfig, words)
    assert command.settings_of(options, given) == config


@pytest.mark.parametrize("typed", ["a" * 5000, "x\0y", "~nobody/x", "//", "$(touch x)", "--job", "\n", "\ud800"])
@pytest.mark.parametrize("path", ["blip.model", "source.folders", "template", "name", "trigger"])
def test_anything_may_be_typed_anywhere(room, pictures, typed, path, monkeypatch):
    monkeypatch.setattr(scans, "MOST", 1000)  # // is a whole disk, and that of whoever runs this
    values = {"source.folders": [str(pictures)], "captioners": ["blip"]}
    values |= {path: [typed] if path == "source.folders" else typed}
    updates = room.fill(values)
    assert answer(room, updates, "desk")["attempt"] == 0
    assert press(room, on_form(room, updates), what="command")
    assert len(str(answer(room, updates, "desk")["problems"])) < 12_000


def test_a_name_with_signs_of_patterns_means_itself():
    assert module.literal("a*b?.png") == "a?b?.png"
