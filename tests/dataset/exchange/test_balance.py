"""Repeats that balance: each concept seen about equally often, an epoch about as long, regularisation left alone."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from PIL import Image

from dataset.exchange.balance import Unclear, balance, repeats, rows
from dataset.scan import scan
from dataset.settings import Folder


def draw(root: Path, folders: dict[str, int]) -> Path:
    for folder, count in folders.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            Image.new("RGB", (64, 64)).save(root / folder / f"{number}.png")
    return root


def test_the_proposal_is_about_equal_and_never_worse():
    chance = random.Random(2)
    for _ in range(100):
        pictures = [chance.randrange(1, 300) for _ in range(chance.randrange(2, 8))]
        now = [chance.randrange(1, 20) for _ in pictures]
        found = repeats(pictures, now)
        seen = [count * times for count, times in zip(pictures, found)]
        before = [count * times for count, times in zip(pictures, now)]
        assert all(times >= 1 for times in found)
        assert max(seen) / min(seen) <= 2 and max(seen) / min(seen) <= max(before) / min(before) + 0.5


@pytest.mark.parametrize(
    ("pictures", "now", "found"),
    [
        ([10, 10], [5, 5], [5, 5]),
        ([100, 10], [1, 1], [1, 10]),
        ([100, 7, 20], [1, 1, 1], [1, 14, 5]),
        ([20, 40], [10, 10], [15, 8]),
    ],
)
def test_some_proposals(pictures, now, found):
    seen = [count * times for count, times in zip(pictures, repeats(pictures, now))]
    wanted = [count * times for count, times in zip(pictures, found)]
    assert max(seen) / min(seen) <= max(wanted) / min(wanted)


def test_the_rows_of_the_training_form_say_the_same(tmp_path):
    root = draw(tmp_path / "set", {"img/2_sks dog": 3, "img/2_cat": 12, "reg/1_animal": 5})
    concepts = balance(root)
    assert [(concept.words, concept.pictures, concept.before) for concept in concepts] == [
        ("cat", 12, 24),
        ("sks dog", 3, 6),
        ("animal", 5, 5),
    ]
    assert concepts[0].after == concepts[1].after and concepts[2].after == concepts[2].before
    items = scan([Folder(**row) for row in rows(concepts)]).items
    seen = {
        words: sum(item.repeats for item in items if item.path.parent.name.endswith(words))
        for words in ("dog", "cat", "animal")
    }
    assert seen["dog"] == seen["cat"] and seen["animal"] == 5
    assert {item.caption for item in items} == {"sks dog", "cat", "animal"}
    assert sum(item.regularisation for item in items) == 5


def test_any_folders_are_concepts(tmp_path):
    root = draw(tmp_path / "set", {"mia": 4, "kim/one": 1, "kim/two": 1})
    assert [(concept.words, concept.pictures) for concept in balance(root)] == [("kim", 2), ("mia", 4)]


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        ({".": 3}, "only one"),
        ({"a": 3}, "only one"),
        ({".": 2, "a": 3}, "beside"),
        ({"a/2_x": 1, "a/3_y": 1, "b": 2}, "different repeats"),
    ],
)
def test_what_cant_be_told_is_said(folders, said, tmp_path):
    with pytest.raises(Unclear, match=said):
        balance(draw(tmp_path / "set", folders))
