"""Deeds: what was moved, made, changed and marked in one go comes back to the byte, and what is a person's stays."""

import contextlib
import json
import os
import random
import shutil

import pytest

from dataset.bin import Bin
from dataset.deeds import ASIDE, BIN, Deeds, shift
from dataset.editor import marks
from dataset.files import FileError
from dataset.journal import JournalError

HOSTILE = ["a b.png", "-rf.png", "[x].png", "'\"<img src=x>&.png", "猫 é.png", "{0}%s.png", "a\\b.png",
           "line\nbreak.png"]


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "set"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.png", "a.txt", "b.png", "b.txt", "sub/c.png", "sub/c.txt"):
        (folder / name).write_bytes(f"of {name}".encode())
    return folder


def snapshot(root):
    """Everything but our own folder: names, contents and times."""
    paths = (path for path in root.rglob("*") if path.is_file() and ".loratory" not in path.parts)
    return {path.relative_to(root).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


def contents(root):
    return {name: data for name, (data, _) in snapshot(root).items()}


def everything(root):
    """One deed of each kind of thing; its id."""
    with Deeds(root).begin("everything") as deed:
        deed.move(root / "a.png", deed.bin_of(root / "a.png"))
        deed.move(root / "sub" / "c.png", root / "sub" / "d.png")
        deed.make(root / "new.png", b"new")
        assert deed.change(root / "b.txt", b"of b.txt", b"changed")
        assert deed.exclude([root / "b.png", root / "sub" / "d.png"], True, "by a test") == 2
        assert deed.files == 6
        return deed.id


def test_all_that_was_done_is_undone_and_done_again_to_the_byte(root):
    before = snapshot(root)
    id = everything(root)
    after = contents(root)
    assert after == {"a.txt": b"of a.txt", "b.png": b"of b.png", "b.txt": b"changed", "new.png": b"new",
                     "sub/d.png": b"of sub/c.png", "sub/c.txt": b"of sub/c.txt"}
    assert {name for name, mark in marks.read(root).items() if mark.excluded} == {"b.png", "sub/d.png"}
    for _ in range(2):
        outcome = Deeds(root).undo()
        assert (outcome.id, outcome.changed, outcome.kept) == (id, 6, [])
        assert contents(root) == {name: data for name, (data, _) in before.items()}
        assert {name: time for name, (_, time) in snapshot(root).items() if name != "b.txt"} == {
            name: time for name, (_, time) in before.items() if name != "b.txt"}
        assert not any(mark.excluded for mark in marks.read(root).values())
        assert Deeds(root).redo().changed == 6
        assert contents(root) == after
    assert not list((root / BIN).glob("*/new.png"))


def test_what_was_undone_twice_was_undone_once(root):
    before = contents(root)
    id = everything(root)
    assert Deeds(root).undo(id).changed == 6
    assert Deeds(root).undo(id).changed == 0
    assert Deeds(root).undo().id is None
    assert contents(root) == before


def test_the_newest_is_undone_first_and_the_history_tells_the_states(root):
    before = contents(root)
    ids = []
    for name in ("a.png", "b.png"):
        with Deeds(root).begin(f"bin {name}") as deed:
            deed.move(root / name, deed.bin_of(root / name))
            ids.append(deed.id)
    told = Deeds(root).history()
    assert [(one.id, one.label, one.files, one.state) for one in told] == [
        (ids[1], "bin b.png", 1, "done"), (ids[0], "bin a.png", 1, "done")]
    assert Deeds(root).undo().id == ids[1]
    assert [one.state for one in Deeds(root).history()] == ["undone", "done"]
    assert Deeds(root).undo().id == ids[0]
    assert contents(root) == before
    assert Deeds(root).redo().id == ids[0]  # what was undone last


def test_a_deed_that_did_nothing_leaves_no_trace(root):
    with Deeds(root).begin("nothing"):
        pass
    assert Deeds(root).history() == [] and not list((root / ASIDE).iterdir())


def test_a_killed_deed_can_be_undone(root):
    before = contents(root)
    with pytest.raises(KeyboardInterrupt), Deeds(root).begin("killed") as deed:
        deed.move(root / "a.png", deed.bin_of(root / "a.png"))
        deed.change(root / "b.txt", b"of b.txt", b"changed")
        raise KeyboardInterrupt
    assert [one.state for one in Deeds(root).history()] == ["interrupted"]
    assert Deeds(root).undo().changed == 2
    assert contents(root) == before


def test_a_line_whose_move_never_happened_is_nothing_to_undo(root):
    before = contents(root)
    everything(root)
    (record,) = (root / ASIDE).glob("*.jsonl")
    lines = record.read_text().splitlines()
    more = json.dumps({"move": "b.png", "to": f"{BIN}/{record.stem}/b.png", "size": 8, "time": 1})
    record.write_text("\n".join([*lines[:-1], more, '{"torn": '] ))
    assert Deeds(root).undo().kept == []
    assert contents(root) == before


def test_half_a_move_is_finished(root):
    """Killed between the new name and the end of the old one."""
    everything(root)
    (binned,) = (root / BIN).rglob("a.png")
    os.link(binned, root / "a.png")
    assert Deeds(root).undo().kept == []
    assert (root / "a.png").read_bytes() == b"of a.png" and not binned.exists()


def test_what_was_changed_since_is_kept_and_told(root):
    everything(root)
    (root / "sub" / "d.png").write_bytes(b"mine")  # renamed, then changed
    (root / "new.png").write_bytes(b"mine too")  # made, then changed
    (root / "a.png").write_bytes(b"another a")  # binned, and a new one came
    (root / "b.txt").write_bytes(b"my caption")
    before = contents(root)
    outcome = Deeds(root).undo()
    assert {problem.path.name for problem in outcome.kept} == {"d.png", "new.png", "a.png", "b.txt"}
    assert all(problem.reason and problem.fix for problem in outcome.kept)
    assert contents(root) == before
    assert [path.read_bytes() for path in (root / BIN).rglob("a.png")] == [b"of a.png"]


def test_what_isn_t_in_the_bin_any_more_is_told(root):
    everything(root)
    shutil.rmtree(root / BIN)
    (problem,) = Deeds(root).undo().kept
    assert problem.path == root / "a.png" and "any more" in problem.reason


def test_nothing_is_ever_replaced(root):
    with Deeds(root).begin("x") as deed:
        for to in (root / "b.png", root / "sub" / "c.png"):
            with pytest.raises(FileError, match="another file"):
                deed.move(root / "a.png", to)
        with pytest.raises(FileError, match="another file"):
            deed.make(root / "b.png", b"new")
        assert deed.files == 0
    assert contents(root)["b.png"] == b"of b.png" and Deeds(root).history() == []


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names(root, name):
    try:
        (root / name).write_bytes(b"x")
    except OSError:
        pytest.skip("this disk doesn't allow such a name")
    before = contents(root)
    with Deeds(root).begin(name) as deed:
        deed.move(root / name, deed.bin_of(root / name))
    assert name not in contents(root)
    assert Deeds(root).undo().changed == 1
    assert contents(root) == before


def test_files_outside_are_not_touched(root, tmp_path):
    outside = tmp_path / "outside.png"
    outside.write_bytes(b"theirs")
    (root / "link").symlink_to(tmp_path)
    with Deeds(root).begin("x") as deed:
        for file in (outside, root / ".." / "outside.png", root / "link" / "outside.png"):
            with pytest.raises(FileError):
                deed.move(file, root / "z.png")
        for to in (tmp_path / "z.png", root / "link" / "z.png"):
            with pytest.raises(FileError):
                deed.move(root / "a.png", to)
    with pytest.raises(FileError):
        shift(root / "a.png", root / "link" / "a.png", root)
    assert outside.read_bytes() == b"theirs" and contents(root)["a.png"] == b"of a.png"


@pytest.mark.parametrize("line", [
    {"move": "../outside.png", "to": ".loratory/bin/x/a.png"},
    {"move": "a2.png", "to": "../outside.png"},
    {"move": "/etc/hostname2", "to": "b.png"},
    {"move": ".loratory/marks2.json", "to": "b.png"},
    {"make": "../outside.png", "sha256": ""},
    {"move": "link/x.png", "to": "b.png"},
    {"move": "x.png"},
    {"move": "a2.png", "to": None},
    {"move": "", "to": "b.png"},
])
def test_a_record_that_came_with_a_data_set_reaches_nothing_outside(root, tmp_path, line):
    (tmp_path / "outside.png").write_bytes(b"theirs")
    (root / "link").symlink_to(tmp_path)
    (root / ASIDE).mkdir(parents=True)
    head = {"version": 1, "id": "evil", "label": "x", "time": 1.0}
    (root / ASIDE / "evil.jsonl").write_text("\n".join(map(json.dumps, [head, line, {"done": 2.0}])))
    before = contents(root)
    outcome = Deeds(root).undo("evil")
    assert len(outcome.kept) == 1 and contents(root) == before
    assert (tmp_path / "outside.png").read_bytes() == b"theirs"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside.png", "set"]


def test_other_files_are_no_deeds(root):
    (root / ASIDE).mkdir(parents=True)
    for name, data in {"a.jsonl": b"", "b.jsonl": b"[1]", "c.jsonl": b'{"version": 2}', "d.jsonl": b"\xff\xfe",
                       "e.jsonl": b'{"version": 1, "label": "x", "time": "y"}', "f.txt": b"x"}.items():
        (root / ASIDE / name).write_bytes(data)
    assert Deeds(root).history() == []


def test_a_deed_that_goes_on_is_not_undone(root):
    with Deeds(root).begin("slow") as deed:
        deed.move(root / "a.png", deed.bin_of(root / "a.png"))
        assert Deeds(root).history()[0].state == "running"
        with pytest.raises(JournalError, match="going on"):
            Deeds(root).undo()


def test_a_folder_that_isn_t_there_is_named(tmp_path):
    assert Deeds(tmp_path / "none").history() == []
    with pytest.raises(JournalError, match="no folder"):
        Deeds(tmp_path / "none").begin("x")
    with pytest.raises(JournalError, match="nothing of the name"):
        Deeds(tmp_path).undo("x")


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_done_in_whatever_order_no_picture_is_ever_lost(root, seed):
    """Random deeds, undone and done again at random, with a person in between who adds and removes files."""
    dice = random.Random(seed)
    pictures = {path.read_bytes() for path in root.rglob("*.png")}
    for step in range(14):
        there = sorted(path for path in root.rglob("*.png") if ".loratory" not in path.parts)
        deeds, told = Deeds(root), Deeds(root).history()
        what = dice.choice(("bin", "rename", "make", "undo", "redo", "person", "back"))
        with contextlib.suppress(FileError):
            if what in ("bin", "rename", "make") and there:
                with deeds.begin(what) as deed:
                    for file in dice.sample(there, min(2, len(there))):
                        other = file.with_name(f"{dice.choice('abmxy')}.png")
                        if what == "make":
                            deed.make(other, b"made")
                        else:
                            deed.move(file, deed.bin_of(file) if what == "bin" else other)
            elif what in ("undo", "redo") and told:
                getattr(deeds, what)(dice.choice(told).id)
            elif what == "back":
                Bin(root).put_back([thing.id for thing in Bin(root).things()][:1])
            elif what == "person":
                (root / f"{dice.choice('abm')}{dice.choice(['', '1'])}.png").touch()
        left = {path.read_bytes() for path in root.rglob("*.png")}
        assert pictures <= left, f"lost at step {step}: {what}"
