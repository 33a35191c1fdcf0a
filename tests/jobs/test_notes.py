"""What a person writes about a job."""

import pytest

from jobs import notes
from jobs.folder import create
from jobs.notes import Notes, NotesError


@pytest.fixture
def folder():
    return create("train", "noted", "", ["python"]).folder


def test_one_thing_at_a_time(folder):
    assert notes.read(folder) == Notes()
    notes.write(folder, text="<b>überfit</b>\nafter 800")
    notes.write(folder, best=True)
    notes.write(folder, tags=["Mia", " two   words ", "mia", ""])
    assert notes.read(folder) == Notes("<b>überfit</b>\nafter 800", ("Mia", "two words"), True)
    notes.write(folder, text="", tags=[])
    assert notes.read(folder) == Notes(best=True)


@pytest.mark.parametrize("wrong", [{"text": "x" * 20_001}, {"tags": ["a,b"]}, {"tags": ["x" * 41]}, {"tags": ["a\0"]},
                                   {"tags": [str(n) for n in range(21)]}])  # fmt: skip
def test_what_cannot_be_kept_changes_nothing(folder, wrong):
    notes.write(folder, text="before")
    with pytest.raises(NotesError):
        notes.write(folder, **wrong)
    assert notes.read(folder) == Notes("before")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"tags": "no list", "text": null, "best": "yes"}'])
def test_what_is_illegible_counts_as_not_there(folder, text):
    (folder / notes.FILE).write_text(text)
    assert notes.read(folder) == Notes()


def test_changes_in_the_same_moment_are_all_kept(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    for number in range(20):
        folder = tmp_path / str(number)
        folder.mkdir()
        changes = [{"text": "dark"}, {"tags": ["person"]}, {"best": True}]
        with ThreadPoolExecutor(3) as hands:
            list(hands.map(lambda change: notes.write(folder, **change), changes))  # noqa: B023
        assert notes.read(folder) == notes.Notes("dark", ("person",), True)
