"""What a person found to be fine isn't told again, until they want it told."""

import json

import pytest

from dataset.doctor import fine
from dataset.doctor.check import Case, finding

NAMES = ("a.png", "b.png", "c.png")


@pytest.fixture
def found(tmp_path):
    cases = [Case((tmp_path / name,), name) for name in NAMES]
    return [*finding("x.dark", "warning", cases, "{dark picture}", "e.", "f."),
            *finding("x.tag", "note", [Case((), about="red"), Case((), about="blue")], "{tag}", "e.", "f.")]


def told(root, found):
    parted = fine.parted(root, found, fine.read(root))
    return tuple([(one.title, len(one.cases)) for one in part] for part in parted)


def test_cases_are_dismissed_and_told_again(tmp_path, found):
    assert told(tmp_path, found) == ([("3 dark pictures", 3), ("2 tags", 2)], [])
    fine.mark(tmp_path, "x.dark", found[0].cases[:2], True)
    fine.mark(tmp_path, "x.tag", found[1].cases[1:], True)
    assert told(tmp_path, found) == ([("1 dark picture", 1), ("1 tag", 1)], [("2 dark pictures", 2), ("1 tag", 1)])
    fine.mark(tmp_path, "x.dark", found[0].cases[2:], True)
    assert told(tmp_path, found) == ([("1 tag", 1)], [("3 dark pictures", 3), ("1 tag", 1)])
    fine.mark(tmp_path, "x.dark", found[0].cases[:1], False)
    assert told(tmp_path, found)[0] == [("1 dark picture", 1), ("1 tag", 1)]
    assert "b.png" in (tmp_path / ".loratory" / "fine.json").read_text()  # legible for people


def test_a_whole_finding_with_whatever_comes_later(tmp_path, found):
    fine.mark(tmp_path, "x.dark", None, True)
    later = found[0].only([*found[0].cases, Case((tmp_path / "new.png",))])
    assert told(tmp_path, [later]) == ([], [("4 dark pictures", 4)])
    fine.mark(tmp_path, "x.dark", found[0].cases[:1], False)  # one of it can't be taken out of "all"
    assert told(tmp_path, [later])[0] == []
    fine.mark(tmp_path, "x.dark", None, False)
    assert told(tmp_path, [later]) == ([("4 dark pictures", 4)], [])


def test_a_case_is_the_same_in_whatever_order(tmp_path):
    one, other = (Case(tuple(tmp_path / name for name in names)) for names in (NAMES, NAMES[::-1]))
    assert one.key(tmp_path) == other.key(tmp_path) != Case((tmp_path / "a.png",)).key(tmp_path)


@pytest.mark.parametrize("data", [b"", b"[1]", b"\xff", b'{"x.dark": 3}', b'{"x.dark": [1]}', b"{" * 9999])
def test_a_damaged_file_dismisses_nothing(tmp_path, found, data):
    (tmp_path / ".loratory").mkdir()
    (tmp_path / ".loratory" / "fine.json").write_bytes(data)
    assert told(tmp_path, found)[1] == []
    fine.mark(tmp_path, "x.dark", None, True)
    assert json.loads((tmp_path / ".loratory" / "fine.json").read_text()) == {"x.dark": None}
