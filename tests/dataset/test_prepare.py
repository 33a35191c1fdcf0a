import json
import os
import shutil

import pytest
from PIL import Image

from dataset import prepare as module
from dataset.prepare import PrepareError, PrepareSettings, copying, fields, prepare, preview
from dataset.scan import scan
from dataset.settings import Folder
from settings.errors import SettingsError, check


@pytest.fixture
def source(tmp_path):
    """Two pictures with captions, one below with the same name, one broken file."""
    root = tmp_path / "my photos"
    (root / "more").mkdir(parents=True)
    for name, colour in (("a.png", "red"), ("b.jpg", "blue"), ("more/a.png", "lime")):
        Image.new("RGB", (16, 16), colour).save(root / name)
    (root / "a.txt").write_text("a red square")
    (root / "a.caption").write_text("red")
    (root / "more/a.txt").write_text("a green square")
    (root / "broken.png").write_bytes(b"x")
    return root


def settings_for(source, /, **more):
    values = dict(trigger="sks", class_words="dog", source=str(source), destination=str(source.parent / "training"))
    return check(PrepareSettings, values | more)


def tree(root):
    """{relative path: content} of all files."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_preview_touches_nothing(source):
    preparation = preview(settings_for(source))
    assert not (source.parent / "training").exists()
    assert len(preparation.copies) == 6 and preparation.bytes == sum(s.stat().st_size for s, _ in preparation.copies)
    assert "3 pictures for img/10_sks dog: 6 files" in preparation.sentence and "1 left out" in preparation.sentence
    assert [problem.path.name for problem in preparation.problems] == ["broken.png"]


def test_what_is_prepared(source):
    before = tree(source)
    settings = settings_for(source, regularisation=str(source / "../dogs"), regularisation_repeats=2)
    (source / "../dogs").mkdir()
    Image.new("RGB", (16, 16)).save(source / "../dogs/1.png")
    seen = []
    prepare(preview(settings), lambda *step: seen.append(step))
    target = source.parent / "training"
    made = tree(target)
    assert set(made) == {"img/10_sks dog/a.png", "img/10_sks dog/a.txt", "img/10_sks dog/a.caption",
                         "img/10_sks dog/b.jpg", "img/10_sks dog/more_a.png", "img/10_sks dog/more_a.txt",
                         "reg/2_dog/1.png"}
    assert made["img/10_sks dog/more_a.txt"] == b"a green square"
    assert made["img/10_sks dog/a.png"] == before["a.png"]
    assert (target / "model").is_dir() and (target / "log").is_dir()
    assert [(done, total) for done, total, _ in seen] == [(n, 7) for n in range(1, 8)]
    assert tree(source) == before

    dataset = scan([Folder(**folder) for folder in fields(settings)["dataset.folders"]])
    assert dataset.problems == [problem for problem in dataset.problems if problem.used]
    assert [(item.caption, item.repeats, item.regularisation) for item in dataset.items] == [
        ("a red square", 10, False), ("sks dog", 10, False), ("a green square", 10, False), ("dog", 2, True)]


def test_again_is_nothing(source):
    settings = settings_for(source)
    prepare(preview(settings))
    before = tree(source.parent / "training")
    again = preview(settings)
    assert (again.copies, again.texts, again.already) == ([], [], 6)
    assert "nothing to copy, 6 already there" in again.sentence
    prepare(again)
    assert tree(source.parent / "training") == before


def test_what_an_earlier_preparation_left_is_told(source):
    prepare(preview(settings_for(source)))
    target = source.parent / "training"
    (target / "img/notes").mkdir()  # no count in front: not trained on
    (target / "reg/1_dog").mkdir()
    preparation = preview(settings_for(source, repeats=20))
    assert [(problem.path, problem.used) for problem in preparation.problems if problem.path.name != "broken.png"] == [
        (target / "img/10_sks dog", True), (target / "reg/1_dog", True)]
    assert preparation.sentence.endswith(" 2 other folders there will be trained on too (see below).")


def test_nothing_is_overwritten(source):
    settings = settings_for(source)
    place = source.parent / "training/img/10_sks dog"
    place.mkdir(parents=True)
    (place / "a.txt").write_text("edited by hand")
    (place / "b.jpg").mkdir()
    (place / "extra.png").write_bytes(b"mine")
    preparation = preview(settings)
    prepare(preparation)
    assert (place / "a.txt").read_text() == "edited by hand" and (place / "b.jpg").is_dir()
    assert (place / "extra.png").read_bytes() == b"mine" and (place / "a.png").exists()
    assert {problem.path.name for problem in preparation.problems} == {"a.txt", "b.jpg", "broken.png"}
    assert all("left as it is" in p.reason for p in preparation.problems if p.path.parent == place)


def test_a_file_that_turns_up_meanwhile_is_kept(source):
    settings = settings_for(source)
    preparation = preview(settings)
    place = source.parent / "training/img/10_sks dog"
    place.mkdir(parents=True)
    (place / "a.png").write_bytes(b"someone else's")
    prepare(preparation)
    assert (place / "a.png").read_bytes() == b"someone else's"
    assert any(problem.path == place / "a.png" for problem in preparation.problems)


@pytest.mark.parametrize("links", [True, False])
def test_it_works_on_disks_without_links(source, monkeypatch, links):
    if not links:
        def refuse(*_):
            raise PermissionError(1, "Operation not permitted")
        monkeypatch.setattr(os, "link", refuse)
    prepare(preview(settings_for(source)))
    assert len(tree(source.parent / "training")) == 6
    assert not list((source.parent / "training").rglob(".*"))


def test_stopped_and_gone_on_with(source):
    settings = settings_for(source)
    steps = copying(preview(settings))
    next(steps), next(steps)
    steps.close()
    assert len(tree(source.parent / "training")) == 2
    rest = preview(settings)
    assert rest.already == 2 and len(rest.copies) == 4
    prepare(rest)
    assert len(tree(source.parent / "training")) == 6


def test_a_copy_that_fails_leaves_no_half_file(source, monkeypatch):
    real = shutil.copyfileobj

    def full(reading, writing, *rest):
        if reading.name.endswith("b.jpg"):
            writing.write(b"half")
            raise OSError(28, "No space left on device")
        real(reading, writing, *rest)

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(PrepareError, match="No space left.*goes on where it stopped"):
        prepare(preview(settings_for(source)))
    monkeypatch.undo()
    made = tree(source.parent / "training")
    assert "img/10_sks dog/a.png" in made and not any("b.jpg" in name or name.endswith(".part") for name in made)
    prepare(preview(settings_for(source)))
    assert len(tree(source.parent / "training")) == 6


def test_a_source_that_vanishes_is_told_and_the_rest_goes_on(source):
    preparation = preview(settings_for(source))
    (source / "a.png").unlink()
    prepare(preparation)
    assert len(tree(source.parent / "training")) == 5
    assert preparation.problems[-1].path == source / "a.png"


def test_captions_from_tables_become_files(source):
    (source / "metadata.jsonl").write_text(json.dumps({"file_name": "b.jpg", "text": "a blue square"}))
    settings = settings_for(source)
    prepare(preview(settings))
    place = source.parent / "training/img/10_sks dog"
    assert (place / "b.txt").read_text() == "a blue square\n"
    assert preview(settings).already == 7
    (place / "b.txt").write_text("better")
    again = preview(settings)
    assert again.texts == [] and any(problem.path.name == "b.txt" for problem in again.problems)


def test_names_never_collide(source):
    Image.new("RGB", (16, 16), "white").save(source / "more_a.png")
    (source / "more_a.txt").write_text("the first of that name")
    long = "ж" * 100
    (source / long).mkdir()
    Image.new("RGB", (16, 16), "black").save(source / long / f"{long}.jpeg")
    (source / long / f"{long}.txt").write_text("long")
    settings = settings_for(source)
    prepare(preview(settings))
    place = source.parent / "training/img/10_sks dog"
    assert (place / "more_a.txt").read_text() == "the first of that name"
    captions = {item.caption for item in scan([Folder(path=str(place))]).items}
    assert captions == {"a red square", "sks dog", "a green square", "the first of that name", "long"}
    assert all(len(path.name.encode()) <= 255 for path in place.iterdir())
    assert preview(settings).copies == []  # the same names every time


def test_pictures_that_share_a_caption_go_on_sharing_it(source):
    Image.new("RGB", (16, 16), "pink").save(source / "a.webp")
    prepare(preview(settings_for(source)))
    place = source.parent / "training/img/10_sks dog"
    assert {path.name for path in place.glob("a.*")} == {"a.png", "a.webp", "a.txt", "a.caption"}


def test_a_read_only_source_gives_files_that_can_be_edited(source):
    (source / "a.txt").chmod(0o444)
    prepare(preview(settings_for(source)))
    copied = source.parent / "training/img/10_sks dog/a.txt"
    assert copied.stat().st_mode & 0o200
    assert int(copied.stat().st_mtime) == int((source / "a.txt").stat().st_mtime)


@pytest.mark.parametrize("values, path", [
    ({"trigger": "", "class_words": " "}, "trigger"),
    ({"trigger": "a/b"}, "trigger"), ({"trigger": "a\nb"}, "trigger"), ({"class_words": 'big "dog"'}, "class_words"),
    ({"class_words": "dog."}, "class_words"), ({"trigger": "x" * 300}, "trigger"),
    ({"source": ""}, "source"), ({"destination": ""}, "destination"), ({"repeats": 0}, "repeats"),
    ({"class_words": "", "regularisation": "x"}, "class_words"),
])
def test_wrong_settings(source, values, path):
    with pytest.raises(SettingsError) as caught:
        settings_for(source, **values)
    assert set(caught.value.problems) == {path}


@pytest.mark.parametrize("values, path, says", [
    ({"source": "{root}/none"}, "source", "no such folder"),
    ({"destination": "{source}"}, "destination", "is the source"),
    ({"destination": "{source}/training"}, "destination", "lies inside"),
    ({"destination": "{root}"}, "destination", "contains"),
    ({"destination": "{link}/training"}, "destination", "lies inside"),
    ({"destination": "{source}/a.png"}, "destination", "this is a file"),
    ({"destination": "{root}/file"}, "destination", "this is a file"),
    ({"regularisation": "{source}/more"}, "regularisation", "another folder"),
    ({"regularisation": "{source}"}, "regularisation", "another folder"),
    ({"source": "{root}/empty"}, "source", "no pictures"),
])
def test_wrong_folders_are_refused_before_anything_is_made(source, values, path, says):
    root = source.parent
    (root / "file").write_text("x")
    (root / "empty").mkdir()
    (root / "link").symlink_to(source)
    before = tree(root)
    values = {name: value.format(root=root, source=source, link=root / "link") for name, value in values.items()}
    with pytest.raises(SettingsError) as caught:
        preview(settings_for(source, **values))
    assert says in caught.value.problems[path]
    assert tree(root) == before


def test_a_full_disk_is_noticed_beforehand(source, monkeypatch):
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 1000))
    with pytest.raises(SettingsError) as caught:
        preview(settings_for(source))
    assert "free" in caught.value.problems["destination"]


def test_the_fields_that_are_filled(source):
    filled = fields(settings_for(source))
    target = source.parent / "training"
    assert [folder["path"] for folder in filled["dataset.folders"]] == [str(target / "img")]
    assert (filled["save.folder"], filled["save.logging_folder"]) == (str(target / "model"), str(target / "log"))
    (target / "reg/1_dog").mkdir(parents=True)
    both = fields(settings_for(source))["dataset.folders"]
    assert [(folder["path"], folder["regularisation"]) for folder in both] == [
        (str(target / "img"), False), (str(target / "reg"), True)]
