"""Which pictures a captioning run is about."""

import os

import pytest

from captioners.source import look
from tests.captioners.fake import paint


@pytest.fixture
def tree(tmp_path):
    """Pictures at the top, in 10_sks dog, deeper, and where none should be looked for."""
    for name in ("", "10_sks dog", "10_sks dog/deeper", ".hidden", "@eaDir"):
        paint(tmp_path / "tree" / name, ["red"])
    (tmp_path / "tree" / "._00_red.png").write_bytes(b"a Mac's note")
    (tmp_path / "tree" / "notes.txt").write_text("no picture")
    return tmp_path / "tree"


def names(found, tree) -> list[str]:
    return [path.relative_to(tree).as_posix() for path in found.pictures]


def test_every_picture_counts_whatever_the_layout(tree):
    found = look([str(tree)])
    assert names(found, tree) == ["00_red.png", "10_sks dog/00_red.png", "10_sks dog/deeper/00_red.png"]
    assert set(found.pictures.values()) == {tree} and not found.problems
    assert names(look([str(tree)], recursive=False), tree) == ["00_red.png"]


def test_a_picture_is_described_once_however_it_is_reached(tree):
    (tree / "loop").symlink_to(tree)
    (tree / "again.png").symlink_to(tree / "00_red.png")
    found = look([str(tree), str(tree / "10_sks dog"), str(tree)])
    assert len(found.pictures) == 3


@pytest.mark.parametrize("only, expected", [
    (["00_red.png"], 3), (["10_sks dog/*"], 2), (["10_SKS DOG/0?_red.png"], 1), (["./10_sks dog/deeper/*.png"], 1),
    (["*.jpg"], 0), (["", "  "], 3), (["[0]0_red.png"], 0), (["10_sks dog\\00_red.png"], 1),
])
def test_a_selection(tree, only, expected):
    assert len(look([str(tree)], only=only).pictures) == expected


def test_accents_are_the_same_composed_and_decomposed(tmp_path):
    paint(tmp_path, ["red"])
    os.rename(tmp_path / "00_red.png", tmp_path / "cafe\u0301.png")
    assert look([str(tmp_path)], only=["caf\u00e9.png"]).pictures


def test_what_a_person_would_call_a_picture_is_told(tree):
    for name in ("a.HEIC", "b.svg", "c.txt"):
        (tree / name).touch()
    os.mkdir(tree / "closed.png")
    found = look([str(tree)])
    assert [problem.path.name for problem in found.problems] == ["a.HEIC", "b.svg"]
    assert all("can't be read" in problem.reason for problem in found.problems)


@pytest.mark.skipif(os.name != "posix", reason="elsewhere every name is text")
def test_a_name_that_is_no_text_is_told(tree):
    with open(os.fsencode(tree) + b"/\xff\xfe.png", "wb"):
        pass
    found = look([str(tree)])
    assert len(found.pictures) == 3 and "isn't valid text" in found.problems[0].reason
