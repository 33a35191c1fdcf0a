"""Undo of bulk changes: exact, after restarts and kills, and never over what a person wrote in the meantime."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dataset import files
from dataset.files import ASIDE, FileError, alone, swap
from dataset.journal import INLINE, Journal, JournalError

ROOT = Path(__file__).resolve().parents[2]
POSIX = pytest.mark.skipif(os.name != "posix", reason="links and permissions as POSIX has them")


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.txt").write_bytes(f"old {name}".encode())
    return folder


def change(root, label="tags", after="new", names="abc"):
    with Journal(root).begin(label) as action:
        for name in names:
            file = root / f"{name}.txt"
            assert action.change(file, file.read_bytes() if file.exists() else None, f"{after} {name}\n")
    return action.id


def texts(root):
    """Every file of a person's, and what is in it."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*"))
            if path.is_file() and ".loratory" not in path.relative_to(root).parts}


def records(root):
    return list((root / ".loratory/journal").glob("*.jsonl"))


def test_undo_and_redo_after_a_restart(root):
    old = texts(root)
    id = change(root)
    new = texts(root)
    assert new["a.txt"] == b"new a\n"
    entry, = Journal(root).history()
    assert (entry.id, entry.label, entry.files, entry.state) == (id, "tags", 3, "done")
    assert abs(entry.time - time.time()) < 60
    assert (Journal(root).undo().changed, texts(root)) == (3, old)
    assert Journal(root).history()[0].state == "undone"
    assert (Journal(root).redo().changed, texts(root)) == (3, new)
    assert Journal(root).history()[0].state == "done"


@pytest.mark.parametrize("data", [
    b"", b"\n", b"one\r\ntwo\r\n", b"\xef\xbb\xbfwith a mark", "猫, 犬".encode("utf-16"), "café".encode("cp1252"),
    b"a\0b\xff", "\u2028 \x85 \ud7ff 🦊".encode(), b"x" * (INLINE + 1), bytes(range(256)) * 100,
])
def test_every_byte_comes_back(root, data):
    (root / "a.txt").write_bytes(data)
    change(root, names="a")
    Journal(root).undo()
    assert (root / "a.txt").read_bytes() == data
    with Journal(root).begin("other way") as action:
        action.change(root / "b.txt", b"old b", data)
    Journal(root).undo()
    Journal(root).redo()
    assert (root / "b.txt").read_bytes() == data


def test_files_that_were_made_and_deleted(root):
    old = texts(root)
    with Journal(root).begin("both") as action:
        assert action.change(root / "new.txt", None, "made")
        assert action.change(root / "a.txt", "old a", None)
    assert sorted(texts(root)) == ["b.txt", "c.txt", "new.txt"]
    Journal(root).undo()
    assert texts(root) == old
    Journal(root).redo()
    assert sorted(texts(root)) == ["b.txt", "c.txt", "new.txt"]


def test_what_is_not_as_expected_is_left_and_leaves_no_trace(root):
    old = texts(root)
    with Journal(root).begin("late") as action:
        assert not action.change(root / "a.txt", "older a", "new")
        assert not action.change(root / "a.txt", None, "new")
        assert not action.change(root / "none.txt", "something", "new")
        assert action.change(root / "b.txt", "old b", "old b")  # nothing to do
        assert action.files == 0
    assert texts(root) == old
    assert Journal(root).history() == [] and records(root) == []


def test_what_changed_outside_since_is_kept_and_named(root):
    change(root)
    (root / "a.txt").write_text("my own words")
    (root / "b.txt").unlink()
    for _ in range(2):  # the second time there is nothing left to do, and the same to say
        outcome = Journal(root).undo(Journal(root).history()[0].id)
        assert [problem.path.name for problem in outcome.kept] == ["b.txt", "a.txt"]
        assert "deleted" in outcome.kept[0].reason and "outside" in outcome.kept[1].reason
        assert texts(root) == {"a.txt": b"my own words", "c.txt": b"old c"}
    outcome = Journal(root).redo()
    assert (outcome.changed, len(outcome.kept), (root / "a.txt").read_text()) == (1, 2, "my own words")


def test_again_and_again_is_the_same(root):
    old, id = texts(root), change(root)
    new = texts(root)
    assert [Journal(root).undo(id).changed for _ in range(3)] == [3, 0, 0]
    assert texts(root) == old
    assert [Journal(root).redo(id).changed for _ in range(3)] == [3, 0, 0]
    assert texts(root) == new
    assert not Journal(root).undo(id).kept


def test_the_newest_first_and_back_in_the_same_steps(root):
    states = [texts(root)]
    ids = []
    for after in ("one", "two", "three"):
        ids.append(change(root, after, after))
        states.append(texts(root))
    assert [entry.id for entry in Journal(root).history()] == ids[::-1]
    for step in (2, 1, 0):
        assert Journal(root).undo().id == ids[step]
        assert texts(root) == states[step]
    assert Journal(root).undo().id is None
    for step in (1, 2, 3):
        assert Journal(root).redo().id == ids[step - 1]
        assert texts(root) == states[step]
    assert Journal(root).redo().id is None


def test_an_older_one_under_a_newer_one_stays(root):
    first = change(root, after="one")
    change(root, after="two", names="a")
    outcome = Journal(root).undo(first)
    assert (outcome.changed, [problem.path.name for problem in outcome.kept]) == (2, ["a.txt"])
    assert (root / "a.txt").read_bytes() == b"two a\n"


def test_what_nobody_could_undo_stays_done(root):
    change(root)
    for name in "abc":
        (root / f"{name}.txt").write_text("mine")
    assert len(Journal(root).undo().kept) == 3
    assert Journal(root).history()[0].state == "done"


def test_several_changes_of_a_file_are_one_step(root):
    with Journal(root).begin("steps") as action:
        for before, after in (("old a", "1"), ("1", "2"), ("2", "3")):
            assert action.change(root / "a.txt", before, after)
    assert Journal(root).history()[0].files == 1
    Journal(root).undo()
    assert (root / "a.txt").read_text() == "old a"
    Journal(root).redo()
    assert (root / "a.txt").read_text() == "3"


def test_words_written_between_two_changes_come_back(root):
    with Journal(root).begin("steps") as action:
        action.change(root / "a.txt", "old a", "1")
        (root / "a.txt").write_text("a person was here")
        action.change(root / "a.txt", "a person was here", "2")
    Journal(root).undo()
    assert (root / "a.txt").read_text() == "a person was here"


def test_a_table_written_a_hundred_times_is_kept_once(root):
    table = root / "metadata.jsonl"
    states = [b"%06d" % number * INLINE for number in range(100)]
    table.write_bytes(states[0])
    with Journal(root).begin("table") as action:
        for before, after in zip(states, states[1:]):
            assert action.change(table, before, after)
    kept = sum(path.stat().st_size for path in (root / ".loratory").rglob("*") if path.is_file())
    assert kept < 2 * len(states[0])
    Journal(root).undo()
    assert table.read_bytes() == states[0]
    Journal(root).redo()
    assert table.read_bytes() == states[-1]
    Journal(root).undo()
    assert table.read_bytes() == states[0]


def test_a_lost_content_is_named_and_nothing_else_written(root):
    (root / "a.txt").write_bytes(b"x" * 2 * INLINE)
    id = change(root)
    for path in (root / ".loratory/journal" / id).iterdir():
        path.write_bytes(b"something else")
    outcome = Journal(root).undo()
    assert "missing in the journal" in outcome.kept[0].reason
    assert (root / "a.txt").read_bytes() == b"new a\n" and (root / "b.txt").read_bytes() == b"old b"


def test_the_data_set_may_move(root, tmp_path):
    old = texts(root)
    change(root)
    moved = root.rename(tmp_path / "elsewhere")
    Journal(moved).undo()
    assert texts(moved) == old


def test_one_that_goes_on_is_left_alone(root):
    with Journal(root).begin("going on") as action:
        action.change(root / "a.txt", "old a", "new a")
        assert Journal(root).history()[0].state == "running"
        with pytest.raises(JournalError, match="still going on"):
            Journal(root).undo()
        assert (root / "a.txt").read_text() == "new a"
    assert Journal(root).undo().changed == 1


def test_one_that_ended_in_an_error_can_be_undone(root):
    old = texts(root)
    with pytest.raises(KeyError), Journal(root).begin("broken") as action:
        action.change(root / "a.txt", "old a", "new a")
        raise KeyError
    assert Journal(root).history()[0].state == "interrupted"
    Journal(root).undo()
    assert texts(root) == old


def test_an_unknown_one(root):
    with pytest.raises(JournalError, match="no action"):
        Journal(root).undo("20260101-000000-00000000")


def test_looking_writes_nothing(root):
    assert Journal(root).history() == []
    assert Journal(root).undo().id is None and Journal(root).redo().id is None
    assert not (root / ".loratory").exists()


def test_a_folder_that_cannot_be_written_is_told_before_anything(root, monkeypatch):
    with pytest.raises(JournalError, match="no folder"):
        Journal(root / "none").begin("x")

    def refused(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refused)
    with pytest.raises(JournalError, match=r"nothing can be written .*Read-only.*copy"):
        Journal(root).begin("x")


def test_a_file_in_the_journals_place(root):
    (root / ".loratory").write_text("mine")
    with pytest.raises(JournalError, match="nothing can be written"):
        Journal(root).begin("x")
    assert Journal(root).history() == []
    assert (root / ".loratory").read_text() == "mine"


# a journal is only a file, which may be torn, or come from anywhere


def test_half_a_line_at_the_end(root):
    old, id = texts(root), change(root)
    path = root / f".loratory/journal/{id}.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]) + lines[3][:20])  # killed while it noted the third
    (root / "c.txt").write_bytes(b"old c")
    assert Journal(root).history()[0].state == "interrupted"
    assert Journal(root).undo().changed == 2
    assert texts(root) == old
    assert Journal(root).redo().changed == 2
    assert Journal(root).history()[0].state == "done"


def test_a_power_failure_in_an_undo(root):
    """It waits for the disk only at its end: what is empty then had its words in the journal."""
    old, id = texts(root), change(root)
    path = root / f".loratory/journal/{id}.jsonl"
    with path.open("a") as file:
        file.write('{"moving": 1}\n')
    (root / "a.txt").write_bytes(b"")
    (root / "b.txt").write_bytes(b"\0" * 6)
    (root / "c.txt").write_bytes(b"old c")
    assert Journal(root).history()[0].state == "interrupted"
    assert Journal(root).undo().changed == 2
    assert texts(root) == old


@pytest.mark.parametrize("text", [
    "", "\n", "nonsense", "[]", "null", '{"version": 1}', '{"version": 99, "label": "x", "time": 1}', "[" * 100_000,
    '{"version": 1, "label": 3, "time": "x"}', '{"version": 1, "label": "x", "time": 1}', "\0\0\0",
])
def test_what_is_no_action(root, text):
    id = change(root)
    (root / ".loratory/journal/20990101-000000-00000000.jsonl").write_text(text)
    assert [entry.id for entry in Journal(root).history()] == [id]


@pytest.mark.parametrize("line", [
    {"file": "b.txt"}, {"file": 3, "before": None, "after": "x"}, {"file": "b.txt", "before": 3, "after": "x"},
    {"file": "b.txt", "before": {"sha256": "../../../b"}, "after": "x"}, {"file": "b.txt", "before": [], "after": {}},
    {"file": "b.txt", "before": {"base64": "§"}, "after": "x"},
    {"file": "b.txt", "before": {"sha256": 3}, "after": "x"},
])
def test_lines_that_no_journal_has(root, line):
    id = change(root, names="a")
    with (root / f".loratory/journal/{id}.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    assert Journal(root).undo().changed == 1
    assert (root / "b.txt").read_bytes() == b"old b"


@pytest.mark.parametrize("name", ["../out.txt", "/{tmp}/out.txt", "sub/../../out.txt", "out/run.py", "out/.bashrc",
                                  ".loratory/journal/x.jsonl", "link.txt", "a\0b.txt", "", "."])
def test_a_journal_from_anywhere_reaches_nothing_outside(root, tmp_path, name):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "victim.txt").write_text("x")
    (root / "out").symlink_to(outside)
    (root / "link.txt").symlink_to(outside / "victim.txt")
    id = change(root, names="a")
    with (root / f".loratory/journal/{id}.jsonl").open("a") as file:
        for before in (None, "x", "old b"):
            file.write(json.dumps({"file": name.format(tmp=tmp_path), "before": "evil", "after": before}) + "\n")
    files = [path for path in tmp_path.rglob("*") if path.is_file() and ".loratory" not in path.parts]
    before = {path: path.read_bytes() for path in files}
    outcome = Journal(root).undo()
    assert outcome.changed == 1 and len(outcome.kept) == 1
    before[root / "a.txt"] = b"old a"
    assert before == {path: path.read_bytes() for path in before}
    assert not (tmp_path / "out.txt").exists() and os.listdir(outside) == ["victim.txt"]


# the one change of one file


def leftovers(folder):
    return [path for path in folder.rglob("*") if path.name.startswith(ASIDE[0]) and path.name.endswith(ASIDE[1])]


def test_a_full_disk_leaves_the_old_caption_and_a_journal_that_goes_on(root, monkeypatch):
    real = files.synced

    def full(handle):
        if os.readlink(f"/proc/self/fd/{handle}").endswith(ASIDE[1]) if sys.platform == "linux" else True:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    with Journal(root).begin("full") as action:
        action.change(root / "a.txt", "old a", "new a")
        monkeypatch.setattr(files, "synced", full)
        with pytest.raises(OSError, match="No space left"):
            action.change(root / "b.txt", "old b", "new b")
        monkeypatch.setattr(files, "synced", real)
        assert (root / "b.txt").read_bytes() == b"old b"
        assert leftovers(root) == []
        action.change(root / "c.txt", "old c", "new c")
    assert Journal(root).history()[0].files == 2
    assert Journal(root).undo().changed == 2


def test_half_a_line_in_the_journal_is_taken_back(root, monkeypatch):
    """The disk is full in the middle of a line: the next change, when there is room again, starts a line of its own."""
    from dataset import journal

    def torn(file, values):
        file.write(b'{"file": "b.t')
        raise OSError(errno.ENOSPC, "No space left on device")

    with Journal(root).begin("full") as action:
        with monkeypatch.context() as patch:
            patch.setattr(journal, "append", torn)
            with pytest.raises(OSError, match="No space left"):
                action.change(root / "b.txt", "old b", "new b")
        assert action.change(root / "c.txt", "old c", "new c")
    assert b"b.t" not in records(root)[0].read_bytes()
    assert Journal(root).undo().changed == 1


def test_written_by_someone_in_the_last_moment(root):
    """Between the note in the journal and the change itself an editor saves: theirs stays, and the note is void."""
    def editor():
        (root / "a.txt").write_text("a person's")

    assert not swap(root / "a.txt", b"old a", b"new a", editor)
    assert not swap(root / "n.txt", None, b"new", lambda: (root / "n.txt").write_text("a person's"))
    assert (root / "a.txt").read_text() == (root / "n.txt").read_text() == "a person's"
    (root / "saved").write_text("a person's")
    assert not swap(root / "b.txt", b"old b", b"new b", lambda: (root / "saved").replace(root / "b.txt"))
    assert (root / "b.txt").read_text() == "a person's"
    assert leftovers(root) == []


def test_what_a_killed_program_left_is_cleared_away(root):
    left = root / f"{ASIDE[0]}0123456789abcdef{ASIDE[1]}"
    left.write_text("half a capt")
    change(root, names="a")
    assert leftovers(root) == []
    left.write_text("half a capt")
    Journal(root).undo()
    assert leftovers(root) == []
    (root / ".loratory/journal/killed").mkdir()
    (root / ".loratory/journal/killed" / left.name).write_text("half a table")
    change(root, names="a")
    assert leftovers(root) == []


@POSIX
def test_words_written_into_the_file_that_was_just_replaced_come_back(root, monkeypatch):
    """An editor has opened it for writing before we replaced it, and writes after."""
    editor, rename = (root / "a.txt").open("r+b"), files._rename

    def late(*args, **named):
        rename(*args, **named)
        editor.write(b"a person's words")
        editor.flush()

    with editor, Journal(root).begin("late") as action:
        monkeypatch.setattr(files, "_rename", late)
        assert not action.change(root / "a.txt", "old a", "new a")
    assert (root / "a.txt").read_bytes() == b"a person's words"
    assert Journal(root).history() == [] and leftovers(root) == []


def test_a_file_that_someone_empties_to_fill_it_is_not_empty(root):
    """Between the two it looks like a caption that is missing."""
    file = (root / "a.txt").open("wb")
    timer = threading.Timer(files.MOMENT / 3, lambda: (file.write(b"a person's words"), file.close()))
    timer.start()
    assert not swap(root / "a.txt", b"", b"new a")
    timer.join()
    assert (root / "a.txt").read_bytes() == b"a person's words"
    (root / "b.txt").write_bytes(b"")
    assert swap(root / "b.txt", b"", b"new b")  # this one stays empty


@POSIX
def test_permissions_stay_and_new_files_have_the_usual_ones(root):
    (root / "a.txt").chmod(0o640)
    usual = root / "usual"
    usual.touch()
    swap(root / "a.txt", b"old a", b"new a")
    swap(root / "new.txt", None, b"new")
    assert (root / "a.txt").stat().st_mode & 0o777 == 0o640
    assert (root / "new.txt").stat().st_mode == usual.stat().st_mode


@POSIX
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_the_owner_stays(root):
    os.chown(root / "a.txt", 1234, 2345)
    swap(root / "a.txt", b"old a", b"new a")
    assert ((root / "a.txt").stat().st_uid, (root / "a.txt").stat().st_gid) == (1234, 2345)


def test_a_write_protected_caption_is_left(root):
    (root / "a.txt").chmod(0o444)
    with Journal(root).begin("x") as action, pytest.raises(FileError, match="write-protected"):
        action.change(root / "a.txt", "old a", "new a")
    assert (root / "a.txt").read_bytes() == b"old a"
    assert Journal(root).history() == []


@POSIX
def test_a_hard_link_elsewhere_keeps_the_old_words(root, tmp_path):
    """As backups made of links need it."""
    os.link(root / "a.txt", tmp_path / "backup.txt")
    change(root, names="a")
    assert (tmp_path / "backup.txt").read_bytes() == b"old a"
    assert Journal(root).undo().changed == 1


@POSIX
def test_links_inside_are_followed_and_links_outside_are_not(root, tmp_path):
    (tmp_path / "outside.txt").write_text("theirs")
    (root / "in.txt").symlink_to("b.txt")
    (root / "out.txt").symlink_to(tmp_path / "outside.txt")
    (root / "gone.txt").symlink_to("nowhere.txt")
    with Journal(root).begin("links") as action:
        assert action.change(root / "in.txt", "old b", "new b")
        with pytest.raises(FileError, match="link to .* outside"):
            action.change(root / "out.txt", "theirs", "ours")
        with pytest.raises(FileError, match="which isn't there"):
            action.change(root / "gone.txt", None, "ours")
    assert (root / "in.txt").is_symlink() and (root / "b.txt").read_bytes() == b"new b"
    assert (tmp_path / "outside.txt").read_text() == "theirs" and not (root / "nowhere.txt").exists()
    Journal(root).undo()
    assert (root / "in.txt").is_symlink() and (root / "b.txt").read_bytes() == b"old b"


@POSIX
def test_folders_that_are_links_belong_to_the_data_set(root, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "x.txt").write_text("old x")
    (root / "sub").symlink_to(other)
    with Journal(root).begin("linked") as action:
        action.change(root / "sub/x.txt", "old x", "new x")
    assert (other / "x.txt").read_text() == "new x"
    assert Journal(root).undo().changed == 1
    assert (other / "x.txt").read_text() == "old x"


@POSIX
def test_the_same_folder_by_another_name(root, tmp_path):
    (tmp_path / "shortcut").symlink_to(root)
    with Journal(tmp_path / "shortcut").begin("x") as action:
        action.change(root / "a.txt", "old a", "new a")
    assert Journal(root).undo().changed == 1


def test_a_file_of_another_folder(root, tmp_path):
    (tmp_path / "other.txt").write_text("x")
    with Journal(root).begin("x") as action, pytest.raises(FileError, match="isn't in"):
        action.change(tmp_path / "other.txt", "x", "y")
    assert (tmp_path / "other.txt").read_text() == "x"


@POSIX
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_named(root, make):
    make(root / "x.txt")
    with Journal(root).begin("x") as action, pytest.raises(FileError, match="isn't a file"):
        action.change(root / "x.txt", None, "new")


@pytest.mark.parametrize("name", ["a b", "it's \"so\"", "[a]*?", "кот", "猫", "e\u0301", "\u00e9", "x" * 251,
                                  "новая " * 20, "-rf", "$HOME", "%s{0}", "a\nb", "tab\t", "back\\slash", "🦊", ".."])
def test_any_name(root, name):
    file = root / f"{name}.txt"
    with Journal(root).begin("names") as action:
        assert action.change(file, None, "one")
        assert action.change(file, "one", "two")
    assert file.read_text() == "two"
    assert Journal(root).undo().changed == 1 and not file.exists()
    assert Journal(root).redo().changed == 1 and file.read_text() == "two"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_no_text(root):
    file = root / os.fsdecode(b"caf\xe9.txt")
    with Journal(root).begin("names") as action:
        assert action.change(file, None, "one")
    assert Journal(root).undo().changed == 1 and not file.exists()


def test_a_disk_without_locks_and_without_links(root, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.ENOTSUP, "not supported")

    monkeypatch.setattr(os, "link", unsupported)
    monkeypatch.setattr(os, "fsync", unsupported)
    if os.name == "posix":
        monkeypatch.setattr("fcntl.flock", unsupported)
    old = texts(root)
    change(root, names="abcd")
    assert Journal(root).history()[0].state == "done"
    assert Journal(root).undo().changed == 4
    assert texts(root) == old


def test_a_folder_that_another_program_writes_in(root, monkeypatch):
    monkeypatch.setattr(files.alone.__wrapped__, "__defaults__", (0.02,))
    with alone(root) as mine, alone(root) as second:
        assert mine and not second
        with pytest.raises(FileError, match="another program is writing"):
            swap(root / "a.txt", b"old a", b"new a")
    assert swap(root / "a.txt", b"old a", b"new a")


# kills

WORKER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from dataset.journal import Journal
root = Path(sys.argv[1])
with Journal(root).begin("worker") as action:
    print("go", flush=True)
    for round in range(100000):
        for file in [*sorted(root.glob("?.txt")), root / "table.jsonl", root / f"n{round}.txt"]:
            before = file.read_bytes() if file.exists() else None
            size = 3000 if file.suffix == ".jsonl" else 2
            assert action.change(file, before, f"round {round} {file.name} ".encode() * size + b"end\\n")
"""


def killed(root, seconds, *arguments):
    """Run the worker, and kill it some time after it has begun."""
    process = subprocess.Popen([sys.executable, "-c", WORKER, str(root), str(ROOT), *arguments], stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"go\n"
        time.sleep(seconds)
    finally:
        process.kill()
        process.wait()
    process.stdout.close()
    return process.returncode


def test_killed_at_any_moment(root):
    (root / "table.jsonl").write_bytes(b"old table\n" * 2000)
    old, rng = texts(root), random.Random(7)
    for _ in range(6):
        assert killed(root, rng.uniform(0.0, 0.12)) == (-signal.SIGKILL if os.name == "posix" else 1)
        for name, data in texts(root).items():
            if not name.startswith(ASIDE[0]):
                assert data == old.get(name) or data.startswith(b"round ") and data.endswith(b"end\n")
        history = Journal(root).history()
        assert all(entry.state in ("interrupted", "undone") for entry in history)
        if rng.random() < 0.5:
            killed_undo(root, rng)
        outcome = Journal(root).undo()
        assert outcome.kept == []
        swept(root)
        assert texts(root) == old
        assert leftovers(root) == []


def killed_undo(root, rng):
    code = ("import sys; sys.path.insert(0, sys.argv[2])\n"
            "from dataset.journal import Journal\nprint('go', flush=True)\nJournal(sys.argv[1]).undo()")
    process = subprocess.Popen([sys.executable, "-c", code, str(root), str(ROOT)], stdout=subprocess.PIPE)
    process.stdout.readline()
    time.sleep(rng.uniform(0.0, 0.02))
    process.kill()
    process.wait()
    process.stdout.close()


def swept(root):
    """What any next run does: also where the kill came before the first change."""
    with Journal(root).begin("next") as action:
        action.change(root / "a.txt", (root / "a.txt").read_bytes(), "next")
    Journal(root).undo()
