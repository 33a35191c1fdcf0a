"""The album: opening, writing, going back, and what others do to the files meanwhile."""

import json
import os
import threading
from pathlib import Path

import pytest
from PIL import Image

from dataset.editor.album import Album
from dataset.editor.conflicts import merged
from dataset.scan import scan
from dataset.settings import Folder


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "set"
    picture(folder / "a.png", "red hair, 1girl")
    picture(folder / "b.png", "1girl")
    picture(folder / "c.png")
    picture(folder / "sub/d.png", "a cat, which sleeps on a red mat.")
    return folder


def picture(path: Path, text: str = "", size=(8, 6)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path)
    if text:
        path.with_suffix(".txt").write_text(text)
    return path


def outside(path: Path, text: str) -> None:
    """Another program writes a caption, and time passes."""
    path.write_text(text)
    os.utime(path, ns=(1_700_000_000_000_000_001, 1_700_000_000_000_000_001 + len(text)))


def texts(album: Album) -> dict[str, str]:
    return {entry.path.relative_to(album.root).as_posix(): entry.text for entry in album.entries if not entry.gone}


def number(album: Album, name: str) -> int:
    return next(n for n, entry in enumerate(album.entries) if entry.path == album.root / name)


def put(album: Album, name: str, text: str, label="change"):
    n = number(album, name)
    return album.write(label, {n: text}, {n: album.entries[n].text})


def test_opens_with_captions_tags_and_sizes(root):
    album = Album(root)
    assert texts(album) == {"a.png": "red hair, 1girl", "b.png": "1girl", "c.png": "",
                            "sub/d.png": "a cat, which sleeps on a red mat."}
    a, d = album.entries[number(album, "a.png")], album.entries[number(album, "sub/d.png")]
    assert (a.width, a.height, a.tags, a.folder, a.source) == (8, 6, ("red hair", "1girl"), "", root / "a.txt")
    assert (d.prose, d.folder, d.tags) == (True, "sub", (d.text,))
    assert album.index["1girl"] == {number(album, "a.png"), number(album, "b.png")}
    assert not a.edited and not album.problems
    assert album.index["red hair"] == {number(album, "a.png")}


def test_sizes_are_remembered_and_checked_against_the_file(root, tmp_path):
    Album(root, cache=tmp_path / "cache")
    picture(root / "a.png", size=(30, 20))
    os.utime(root / "a.png", ns=(1, 1))
    (root / "b.png").write_bytes(b"no picture")
    album = Album(root, cache=tmp_path / "cache")
    assert album.entries[number(album, "a.png")].width == 30
    assert "b.png" not in texts(album) and any(problem.path == root / "b.png" for problem in album.problems)
    for name in os.listdir(tmp_path / "cache"):
        (tmp_path / "cache" / name).write_text("[{")
    assert len(Album(root, cache=tmp_path / "cache").entries) == 3


def test_a_caption_is_written_undone_and_done_again_also_after_a_restart(root):
    album = Album(root)
    revision = album.revision
    done = put(album, "a.png", "blue hair, 1girl", "dye")
    assert done.written == [number(album, "a.png")] and not done.kept and done.id
    assert (root / "a.txt").read_text() == "blue hair, 1girl\n"
    assert album.revision > revision and album.entries[number(album, "a.png")].edited
    assert "red hair" not in album.index and album.index["blue hair"] == {number(album, "a.png")}
    again = Album(root)
    assert again.entries[number(again, "a.png")].edited
    assert again.undo().changed == 1
    assert (root / "a.txt").read_text() == "red hair, 1girl"
    assert again.entries[number(again, "a.png")].text == "red hair, 1girl"
    assert not again.entries[number(again, "a.png")].edited
    assert Album(root).redo().changed == 1
    assert number(again, "a.png") in again.refresh() and again.entries[0].text == "blue hair, 1girl"


def test_nothing_is_done_again_after_something_else_was_done(root):
    album = Album(root)
    put(album, "a.png", "one")
    album.undo()
    put(album, "b.png", "two")
    assert album.redo().id is None
    assert album.undo().changed == 1 and album.redo().changed == 1
    assert texts(album)["b.png"] == "two"


def test_a_caption_that_was_changed_outside_is_kept(root):
    album = Album(root)
    outside(root / "a.txt", "red hair, 1girl, hat")
    n = number(album, "a.png")
    result = put(album, "a.png", "red hair, 1girl, smile")
    [conflict] = result.kept
    assert (conflict.number, conflict.theirs, conflict.base) == (n, "red hair, 1girl, hat", "red hair, 1girl")
    assert not result.written and album.entries[n].text == "red hair, 1girl, hat"
    assert merged(conflict.base, conflict.theirs, conflict.mine) == "red hair, 1girl, smile, hat"


def test_changes_from_outside_are_noticed(root):
    album = Album(root)
    assert album.refresh() == []
    outside(root / "b.txt", "somebody")
    outside(root / "c.caption", "a new one")
    assert sorted(album.refresh()) == sorted([number(album, "b.png"), number(album, "c.png")])
    assert texts(album)["b.png"] == "somebody" and texts(album)["c.png"] == "a new one"
    (root / "b.txt").unlink()
    assert album.refresh() == [number(album, "b.png")] and texts(album)["b.png"] == ""


def test_pictures_that_come_and_go_keep_the_numbers_of_the_others(root):
    album = Album(root)
    before = {entry.path: n for n, entry in enumerate(album.entries)}
    picture(root / "aa.png", "new")
    (root / "b.png").unlink()
    assert sorted(album.refresh()) == [before[root / "b.png"], 4]
    assert album.entries[4].path == root / "aa.png" and album.entries[before[root / "b.png"]].gone
    assert {entry.path: n for n, entry in enumerate(album.entries)} == {**before, root / "aa.png": 4}
    assert album.index["1girl"] == {before[root / "a.png"]}
    assert put(album, "b.png", "more").problems


def test_an_emptied_caption_is_gone_from_every_place_and_comes_back(root):
    (root / "a.caption").write_text("hidden")
    (root / "metadata.jsonl").write_text('{"file_name": "a.png", "text": "deep", "other": 1}\n{"file_name": "x.png"}\n')
    album = Album(root)
    assert put(album, "a.png", "").written
    assert texts(album)["a.png"] == "" and texts(Album(root))["a.png"] == ""
    row = json.loads((root / "metadata.jsonl").read_text().splitlines()[0])
    assert row == {"file_name": "a.png", "text": "", "other": 1}
    album.undo()
    assert (root / "a.caption").read_text() == "hidden" and "deep" in (root / "metadata.jsonl").read_text()
    assert texts(album)["a.png"] == "red hair, 1girl"


@pytest.mark.parametrize("name, content", [
    ("metadata.jsonl", '{"file_name": "x.png", "text": "one, two"}\n{"file_name": "y.png", "caption": "three"}\n'),
    ("meta_cap.json", json.dumps({"x": {"tags": "one, two"}, "y": {"caption": "three", "train_resolution": [8, 8]}})),
])
def test_captions_in_tables_are_changed_there(tmp_path, name, content):
    for stem in "xyz":
        picture(tmp_path / f"{stem}.png")
    (tmp_path / name).write_text(content)
    album = Album(tmp_path)
    assert texts(album) == {"x.png": "one, two", "y.png": "three", "z.png": ""}
    result = album.write("table", {0: "one, two, four", 1: "", 2: "five"}, {0: "one, two", 1: "three", 2: ""})
    assert result.written == [0, 1, 2] and not result.problems
    assert texts(album) == texts(Album(tmp_path)) == {"x.png": "one, two, four", "y.png": "", "z.png": "five"}
    assert sorted(os.listdir(tmp_path)) == sorted([".loratory", name, "x.png", "y.png", "z.png"])
    assert all(entry.edited for entry in album.entries)
    assert [version.text for version in album.versions(0)] == ["one, two, four", "one, two"]
    album.undo()
    assert (tmp_path / name).read_text() == content
    assert texts(album)["y.png"] == "three" and not any(entry.edited for entry in album.entries)


def test_the_past_of_a_caption(root):
    album = Album(root)
    put(album, "a.png", "first, 1girl", "one")
    outside(root / "a.txt", "theirs")
    album.refresh()
    put(album, "a.png", "third", "three")
    put(album, "b.png", "other", "another")
    versions = album.versions(number(album, "a.png"))
    assert [(version.text, version.label) for version in versions] == [
        ("third", "three"), ("theirs", ""), ("first, 1girl", "one"), ("red hair, 1girl", "")]
    assert put(album, "a.png", versions[2].text, "back").written
    assert texts(album)["a.png"] == "first, 1girl"


def test_marks_are_kept_and_excluded_pictures_are_not_trained_on(root):
    album = Album(root)
    a, b = number(album, "a.png"), number(album, "b.png")
    assert album.mark([a, b], stars=4) == [a, b]
    album.mark([b], excluded=True, note=" blurred\n")
    again = Album(root)
    assert [entry.stars for entry in again.entries] == [4, 4, 0, 0]
    assert again.entries[b].excluded and again.entries[b].note == "blurred"
    assert again.mark([b], note="mine", expected={b: "other"}) == []
    for folder in (root, root.parent):
        found = scan([Folder(path=str(folder))])
        assert root / "b.png" not in [item.path for item in found.items] and found.images == 3
        [problem] = [problem for problem in found.problems if problem.kind == "excluded"]
        assert problem.path == root / "b.png" and not problem.used and "in the tag editor" in problem.reason
    again.mark([b], excluded=False)
    assert album.refresh() == [b] and not album.entries[b].excluded
    assert scan([Folder(path=str(root))]).images == 4


def test_marks_above_the_folder_that_is_trained_on_count(root):
    album = Album(root)
    album.mark([number(album, "sub/d.png")], excluded=True)
    assert scan([Folder(path=str(root / "sub"))]).images == 0


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"pictures": []}', b'{"version": 9}', b"\xff\xfe"])
def test_damaged_marks_are_told_and_left(root, data):
    (root / ".loratory").mkdir()
    (root / ".loratory" / "marks.json").write_bytes(data)
    album = Album(root)
    assert [problem.path.name for problem in album.problems] == ["marks.json"]
    with pytest.raises(ValueError, match="mend it|newer"):
        album.mark([0], stars=1)
    assert (root / ".loratory" / "marks.json").read_bytes() == data
    assert scan([Folder(path=str(root))]).images == 4


def test_several_at_once(root):
    album = Album(root)
    n = number(album, "a.png")
    kept = []

    def add(who: int) -> None:
        for step in range(4):
            while True:
                text = album.entries[n].text
                result = album.write("add", {n: f"{text}, {who}-{step}"}, {n: text})
                kept.extend(result.kept)
                if result.written:
                    break

    threads = [threading.Thread(target=add, args=(who,)) for who in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(album.entries[n].tags) >= {f"{who}-{step}" for who in range(3) for step in range(4)}
    assert (root / "a.txt").read_text().strip() == album.entries[n].text


def test_a_picture_with_a_shared_caption_file(tmp_path):
    picture(tmp_path / "a.png", "both")
    picture(tmp_path / "a.jpg")
    album = Album(tmp_path)
    assert album.write("x", {0: "one"}, {0: "both"}).written == [0]
    assert texts(album) == {"a.jpg": "one", "a.png": "one"}
    result = album.write("x", {0: "two", 1: "three"}, {0: "one", 1: "one"})
    assert (result.written, [conflict.number for conflict in result.kept]) == ([0], [1])


def test_what_is_prose_can_be_said(root):
    album = Album(root)
    album.read_as(",", False)
    assert album.entries[number(album, "sub/d.png")].tags == ("a cat", "which sleeps on a red mat.")
    album.read_as(",", True)
    assert album.entries[number(album, "a.png")].tags == ("red hair, 1girl",)
    assert "1girl" in album.index and "red hair" not in album.index


def test_a_folder_that_is_not_there_is_told(tmp_path):
    album = Album(tmp_path / "nothing")
    assert not album.entries and album.problems and album.refresh() == []


@pytest.mark.parametrize("base, theirs, mine, together", [
    ("a, b", "a, b, c", "a, d, b", "a, d, b, c"),
    ("a, b", "b", "a, b, c", "b, c"),
    ("a, b, c", "a, c", "a, b", "a"),
    ("a, b", "a, b", "x", "x"),
    ("a, b", "z", "a, b", "z"),
    ("", "a", "b", "b, a"),
    ("a, b", "", "a, b, c", "c"),
    ("a, b, c", "a, b, c, d", "c, b, a", "c, b, a, d"),
    ("a_b, c", "a_b, c, d", "a b, c", "a b, c, d"),
    ("a, b", "A, b, c", "a, b, C", "A, b, c"),
    ("a cat.", "a cat that sleeps on a mat.", "a dog that sleeps on a mat.", None),
])
def test_two_changes_of_one_caption_in_one(base, theirs, mine, together):
    assert merged(base, theirs, mine) == together


def test_a_prepared_folder_is_opened_with_its_regularisation_pictures(tmp_path):
    picture(tmp_path / "img/3_sks cat/a.png", "sks cat")
    picture(tmp_path / "reg/1_cat/b.png")
    album = Album(tmp_path)
    assert [(entry.folder, entry.repeats, entry.regularisation, entry.text) for entry in album.entries] == [
        ("img/3_sks cat", 3, False, "sks cat"), ("reg/1_cat", 1, True, "")]
    assert put(album, "reg/1_cat/b.png", "cat").written and (tmp_path / "reg/1_cat/b.txt").read_text() == "cat\n"
