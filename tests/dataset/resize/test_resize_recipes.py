"""Crops that were drawn: kept beside the pictures, undone and done again, never written over when they are broken."""

import json
import random

import pytest

from dataset.files import FileError
from dataset.resize.recipes import Recipes, checked


@pytest.fixture
def recipes(tmp_path):
    return Recipes(tmp_path)


def test_a_crop_is_kept_for_the_next_time(recipes, tmp_path):
    recipes.put({tmp_path / "a b" / "猫.png": (0.1, 0.2, 0.5, 0.75)})
    assert Recipes(tmp_path).of(tmp_path / "a b" / "猫.png") == (0.1, 0.2, 0.5, 0.75)
    assert Recipes(tmp_path).all() == {"a b/猫.png": (0.1, 0.2, 0.5, 0.75)}
    assert json.loads((tmp_path / ".loratory" / "crops.json").read_text())["version"] == 1


def test_any_sequence_can_be_undone_and_done_again(recipes, tmp_path):
    dice, states = random.Random(3), [recipes.all()]
    for _ in range(25):
        changes = {tmp_path / f"{dice.randint(0, 5)}.png": (0.0, 0.0, dice.uniform(0.1, 1), 1.0)
                   if dice.random() < 0.8 else None for _ in range(dice.randint(1, 3))}
        recipes.put(changes)
        if recipes.all() != states[-1]:
            states.append(recipes.all())
    for state in reversed(states[:-1]):
        assert Recipes(tmp_path).undo() > 0  # as after a restart
        assert recipes.all() == state
    assert recipes.undo() == 0
    for state in states[1:]:
        assert recipes.redo() > 0
        assert recipes.all() == state
    assert recipes.redo() == 0


def test_a_new_crop_ends_the_redoing(recipes, tmp_path):
    recipes.put({tmp_path / "a.png": (0, 0, 0.5, 0.5)})
    recipes.undo()
    recipes.put({tmp_path / "b.png": (0, 0, 0.5, 0.5)})
    assert recipes.steps() == (1, 0) and set(recipes.all()) == {"b.png"}


def test_the_same_again_is_no_step(recipes, tmp_path):
    recipes.put({tmp_path / "a.png": (0, 0, 0.5, 0.5)})
    recipes.put({tmp_path / "a.png": (0, 0, 0.5, 0.5)})
    recipes.put({tmp_path / "b.png": None})
    assert recipes.steps() == (1, 0)


@pytest.mark.parametrize("wrong", [(0, 0, 1), (0, 0, 0, 1), (0.5, 0, 0.2, 1), (0, 0, 1.1, 1), (-0.1, 0, 1, 1),
                                   (0, 0, float("nan"), 1), ("a", 0, 1, 1), (0, 0, 1e-9, 1)])
def test_what_is_no_crop_is_refused(wrong):
    with pytest.raises(ValueError):
        checked(wrong)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"crops": {"a": [0, 0, 2, 2]}}', '{"crops": 1}', "[" * 5000, "null"])
def test_a_broken_file_is_named_and_left(recipes, tmp_path, text):
    (tmp_path / ".loratory").mkdir()
    (tmp_path / ".loratory" / "crops.json").write_text(text)
    with pytest.raises(FileError, match="crops"):
        recipes.put({tmp_path / "a.png": (0, 0, 1, 0.5)})
    assert (tmp_path / ".loratory" / "crops.json").read_text() == text


def test_two_programs_draw_at_once(recipes, tmp_path):
    import threading

    def draw(name):
        for number in range(15):
            Recipes(tmp_path).put({tmp_path / f"{name}{number}.png": (0, 0, 0.5, 0.5)})

    threads = [threading.Thread(target=draw, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(recipes.all()) == 30
