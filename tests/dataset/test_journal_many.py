"""Many changes at once: what `change` promises for one file holds for each of them."""

import errno
import json
import os
from pathlib import Path

import pytest

from dataset import files, records
from dataset.files import FileError
from dataset.journal import Journal


@pytest.fixture
def root(tmp_path):
    for folder in ("", "sub"):
        (tmp_path / "set" / folder).mkdir(exist_ok=True, parents=True)
        for name in "abcdef":
            (tmp_path / "set" / folder / f"{name}.txt").write_text(f"old {name}")
    return tmp_path / "set"


def texts(root: Path) -> dict[str, str]:
    return {path.relative_to(root).as_posix(): path.read_text() for path in sorted(root.rglob("*.txt"))}


def changes(root: Path):
    return [(path, path.read_bytes(), f"new {path.stem}".encode()) for path in sorted(root.rglob("*.txt"))]


def test_all_are_changed_and_come_back(root):
    old = texts(root)
    with Journal(root).begin("all") as action:
        assert action.change_all([*changes(root), (root / "new.txt", None, b"fresh")]) == [True] * 13
        assert action.files == 13
    new = texts(root)
    assert new == {"new.txt": "fresh", **{name: text.replace("old", "new") for name, text in old.items()}}
    assert (Journal(root).undo().changed, texts(root)) == (13, old)
    assert (Journal(root).redo().changed, texts(root)) == (13, new)


def test_what_is_not_as_expected_is_left_and_the_others_are_not(root):
    wanted = changes(root)
    (root / "b.txt").write_text("theirs")
    (root / "c.txt").unlink()
    (root / "d.txt").unlink()
    (root / "d.txt").mkdir()
    with Journal(root).begin("all") as action:
        results = action.change_all([*wanted, (root.parent / "x.txt", None, b"")])
    assert results[:3] == [True, False, False] and results[4:12] == [True] * 8
    assert isinstance(results[3], FileError) and isinstance(results[12], FileError)
    assert (root / "b.txt").read_text() == "theirs"
    outcome = Journal(root).undo()
    assert (outcome.changed, outcome.kept) == (9, []) and (root / "b.txt").read_text() == "theirs"


def test_a_noted_change_that_somebody_forestalls_is_taken_back(root, monkeypatch):
    wanted, replace = changes(root), files._replace

    def forestalled(path, before, after, facts, lasting):
        if path.name == "b.txt":
            path.write_text("theirs")
        return replace(path, before, after, facts, lasting)

    monkeypatch.setattr(files, "_replace", forestalled)
    with Journal(root).begin("all") as action:
        results = action.change_all(wanted)
    monkeypatch.undo()
    assert results.count(False) == 2 and results.count(True) == 10
    entry, = Journal(root).history()
    assert entry.files == 10
    (root / "b.txt").write_text("old b")  # what the action would have undone, had it been its own
    assert Journal(root).redo().changed == 0 and Journal(root).undo().changed == 10
    assert (root / "sub/b.txt").read_text() == "theirs"


def test_a_full_disk_in_the_middle(root, monkeypatch):
    old, wanted, replace, made = texts(root), changes(root), files._replace, []

    def full(path, before, after, facts, lasting):
        if len(made) >= 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        made.append(path)
        return replace(path, before, after, facts, lasting)

    monkeypatch.setattr(files, "_replace", full)
    with pytest.raises(OSError, match="No space"), Journal(root).begin("all") as action:
        action.change_all(wanted)
    monkeypatch.undo()
    entry, = Journal(root).history()
    assert entry.state == "interrupted" and entry.files == len(made)
    assert sum(text.startswith("new") for text in texts(root).values()) == len(made)
    assert Journal(root).undo().changed == len(made) and texts(root) == old


def test_a_journal_that_cannot_be_written_changes_nothing(root, monkeypatch):
    old, wanted = texts(root), changes(root)
    action = Journal(root).begin("all")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("dataset.journal.append", full)
    with pytest.raises(OSError, match="No space"), action:
        action.change_all(wanted)
    assert texts(root) == old and not list((root / ".loratory/journal").glob("*.jsonl"))


def test_killed_before_any_was_made(root):
    """The lines of changes that never happened undo nothing, and can still be done."""
    old = texts(root)
    with Journal(root).begin("all") as action:
        action.change_all(changes(root))
    new = texts(root)
    record, = (root / ".loratory/journal").glob("*.jsonl")
    lines = record.read_text().splitlines()
    record.write_text("\n".join(lines[:-1]) + "\n")  # as if it had not ended
    for name, text in list(old.items())[:5]:
        (root / name).write_text(text)
    outcome = Journal(root).undo()
    assert (outcome.changed, outcome.kept, texts(root)) == (7, [], old)
    assert Journal(root).redo().changed == 12 and texts(root) == new
    assert json.loads(lines[1])["after"].startswith("new")


def test_a_list_of_actions_reads_the_ends_of_their_records_only(tmp_path, monkeypatch):
    files = [tmp_path / f"{number}.txt" for number in range(400)]
    for turn in range(3):
        with Journal(tmp_path).begin(f"turn {turn}") as action:
            before = f"words {turn - 1} " * 30 if turn else None
            action.change_all([(file, before and before.encode(), f"words {turn} ".encode() * 30) for file in files])
    Journal(tmp_path).undo()
    monkeypatch.setattr(records.Record, "read", lambda path: pytest.fail("all of it was read"))
    told = Journal(tmp_path).history()
    assert [(one.label, one.files, one.state) for one in told] == [
        ("turn 2", 400, "undone"), ("turn 1", 400, "done"), ("turn 0", 400, "done")]


@pytest.mark.parametrize("end", [b"", b'{"done": 5}\n', b'{"moving": 5}\n', b'{"done": 5, "files": 9',
                                 b'{"files": 9}\n', b'{"done": 5, "files": 1}\n{"undone": 6, "files": "9"}\n'])
def test_a_record_without_such_an_end_is_read_in_full(tmp_path, end):
    file = tmp_path / "a.txt"
    with Journal(tmp_path).begin("one") as action:
        action.change(file, None, "words")
    record = tmp_path / ".loratory" / "journal" / f"{action.id}.jsonl"
    lines = record.read_bytes().splitlines(keepends=True)
    record.write_bytes(b"".join(lines[:-1]) + end)
    (told,) = Journal(tmp_path).history()
    assert told == records.Record.read(record).entry() and told.files == 1
