"""Captions in the wrong places, pictures that don't belong, pictures of the same: from vectors, against the set."""

import hashlib
import json
from contextlib import closing

import numpy as np
import pytest
from PIL import Image

from dataset.captions import read_caption
from dataset.doctor import meaning, vectors
from dataset.doctor.examine import examine
from dataset.doctor.fixes import Ground, fix_of, fixes
from dataset.doctor.steps import apply
from dataset.doctor.vectors import Vectors, digest_of
from dataset.settings import DatasetSettings

SETTINGS = DatasetSettings(resolution=64, bucket_step=64)
WIDTH = 32
MODEL = "key"


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def world(count: int, seed: int = 0, noise: float = 0.5):
    """Pictures and captions as a CLIP has them: each pair about the same thing, and all with much in common."""
    chance = np.random.default_rng(seed)
    things = unit(chance.normal(size=(count, WIDTH)))
    pictures = unit(2 * np.eye(WIDTH)[0] + things + noise * unit(chance.normal(size=(count, WIDTH))))
    captions = unit(2 * np.eye(WIDTH)[1] + things + noise * unit(chance.normal(size=(count, WIDTH))))
    return pictures.astype(np.float32), captions.astype(np.float32)


@pytest.fixture
def examined(tmp_path):
    """examined(pictures, captions, texts) -> findings, over a folder of noise and vectors put into the workspace."""

    def build(pictures, captions, texts=None, known=None):
        folder = tmp_path / "set"
        folder.mkdir(exist_ok=True)
        texts = texts or [f"caption {number}" for number in range(len(pictures))]
        chance = np.random.default_rng(5)
        with closing(Vectors()) as kept:
            for number, text in enumerate(texts):
                path = folder / f"{number:03d}.png"
                Image.fromarray(chance.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
                path.with_suffix(".txt").write_text(text)
                if known is None or number in known:
                    file = hashlib.sha256(path.read_bytes()).digest()
                    kept.put(MODEL, {file: pictures[number], digest_of(text): captions[number]})
            kept.used(MODEL, "a model")
        found = {finding.name: finding for finding in examine(folder, SETTINGS).findings}
        return {name: found[name] for name in found if name.startswith("meaning.")}

    return build


def numbers(finding):
    return [tuple(int(path.stem) for path in case.paths) for case in finding.cases]


def test_nothing_is_said_of_a_good_set(examined):
    assert examined(*world(60)) == {}


def test_swapped_captions_are_told_as_swapped(examined):
    pictures, captions = world(60)
    captions[[3, 17]] = captions[[17, 3]]
    found = examined(pictures, captions)
    assert set(found) == {"meaning.swapped"}
    told = found["meaning.swapped"]
    assert sorted(map(sorted, numbers(told))) == [[3, 17]]
    assert '"caption 17" fits its own picture' in told.cases[0].detail
    assert told.title == "1 pair of pictures whose captions may be swapped" and "a model" in told.fix


def test_a_caption_of_another_picture_is_told_with_its_name(examined):
    pictures, captions = world(60)
    captions[3] = captions[17]
    found = examined(pictures, captions)
    assert numbers(found["meaning.captions"]) == [(3,)]
    assert ".png, \"caption" in found["meaning.captions"].cases[0].detail


@pytest.mark.parametrize("swaps", [1, 10, 25])
def test_all_that_are_swapped_come_first_however_many(examined, swaps):
    pictures, captions = world(100, seed=swaps)
    wrong = np.arange(2 * swaps)
    captions[wrong] = captions[wrong ^ 1]
    found = examined(pictures, captions)
    told = {number for name in ("meaning.swapped", "meaning.captions") if name in found
            for case in numbers(found[name]) for number in case}  # fmt: skip
    assert told <= set(wrong) and len(told) >= 0.95 * len(wrong)
    assert len(numbers(found["meaning.swapped"])) >= 0.9 * swaps


def test_a_caption_that_fits_no_picture_is_among_those_that_fit_least(examined):
    pictures, captions = world(60)
    captions[5] = unit(2 * np.eye(WIDTH)[1] + unit(np.random.default_rng(9).normal(size=WIDTH)))
    found = examined(pictures, captions)
    first = (found.get("meaning.captions") or found["meaning.unfit"]).cases[0]
    assert first.paths[0].stem == "005"


def test_a_model_that_knows_nothing_of_the_set_says_nothing_of_its_captions(examined):
    pictures, _ = world(60, seed=1)
    _, captions = world(60, seed=2)
    assert not {"meaning.captions", "meaning.unfit"} & set(examined(pictures, captions))


def test_pictures_with_the_same_caption_are_not_compared_with_each_other(examined):
    pictures, captions = world(60)
    texts = [f"caption {number // 2}" for number in range(60)]
    pictures = pictures[np.arange(60) // 2 * 2]
    captions = captions[np.arange(60) // 2 * 2]
    assert "meaning.captions" not in examined(pictures, captions, texts)


def test_the_odd_one_out(examined):
    chance = np.random.default_rng(3)
    middle = unit(chance.normal(size=WIDTH))
    pictures = unit(middle + 0.6 * unit(chance.normal(size=(40, WIDTH)))).astype(np.float32)
    pictures[11] = unit(-middle + unit(chance.normal(size=WIDTH)))
    found = examined(pictures, world(40)[1])
    assert numbers(found["meaning.outliers"]) == [(11,)]


def test_two_subjects_in_a_set_are_no_outliers(examined):
    chance = np.random.default_rng(3)
    middles = unit(chance.normal(size=(2, WIDTH)))[np.arange(40) % 8 // 7]  # one in eight is of the second
    pictures = unit(middles + 0.6 * unit(chance.normal(size=(40, WIDTH)))).astype(np.float32)
    assert "meaning.outliers" not in examined(pictures, world(40)[1])


def test_pictures_that_show_the_same_are_paired_unless_they_are_copies(examined, tmp_path):
    pictures, captions = world(30)
    pictures[[8, 20]] = pictures[[7, 19]] + 0.01
    pictures = unit(pictures)
    found = examined(pictures, captions)
    assert numbers(found["meaning.alike"]) in ([(7, 8), (19, 20)], [(19, 20), (7, 8)])


def test_what_only_part_of_the_set_was_looked_at_for_is_about_that_part(examined):
    pictures, captions = world(60)
    captions[[3, 17]] = captions[[17, 3]]
    assert sorted(*numbers(examined(pictures, captions, known=range(40))["meaning.swapped"])) == [3, 17]


def test_swapped_captions_are_swapped_back_by_a_click(examined, tmp_path):
    pictures, captions = world(60)
    captions[[3, 17]] = captions[[17, 3]]
    told = examined(pictures, captions)["meaning.swapped"]
    (tmp_path / "set" / "metadata.jsonl").write_text(
        "".join(json.dumps({"file_name": f"{number:03d}.png", "text": f"row {number}"}) + "\n" for number in (3, 17)))
    for tables in (False, True):
        if tables:
            for number in (3, 17):
                (tmp_path / "set" / f"{number:03d}.txt").unlink()
        texts = [read_caption(path).text for path in told.cases[0].paths]
        plan = fix_of(told.name, "swap").plan(Ground(tmp_path / "set"), told.cases)
        assert plan.problems == [] and len(plan.steps) == (1 if tables else 2)
        assert apply(tmp_path / "set", plan).kept == []
        assert [read_caption(path).text for path in told.cases[0].paths] == texts[::-1]
    assert [fix.how for fix in fixes("meaning.alike")] == ["bin", "exclude"]
    assert [fix.how for fix in fixes("meaning.outliers")] == ["exclude", "bin"]


def test_without_vectors_or_with_a_broken_file_there_is_silence(examined, workspace):
    assert examined(*world(20), known=()) == {}
    for path in vectors.place().parent.glob("vectors.sqlite*"):
        path.unlink()
    vectors.place().write_bytes(b"this is no database" * 100)
    assert vectors.pairs([b"x" * 32], ["a"]) is None
    vectors.place().unlink()
    assert vectors.pairs([b"x" * 32], ["a"]) is None and not vectors.place().exists()


def test_of_several_models_the_one_that_has_seen_most_counts(examined):
    pictures, captions = world(20)
    examined(pictures, captions)
    file = next(iter(_files()))
    with closing(Vectors()) as kept:
        kept.put("other", {file: np.ones(8)})
        kept.used("other", "another model")
    assert vectors.pairs(list(_files()), ["" for _ in _files()]).model.name == "a model"


def _files():
    with closing(Vectors()) as kept:
        return [row[0] for row in kept._base.execute("SELECT digest FROM vectors WHERE model = ?", [MODEL])]


def test_half_precision_is_enough_and_rows_have_length_one(examined):
    pictures, captions = world(20)
    examined(pictures, captions)
    found = vectors.pairs(_files(), ["" for _ in _files()])
    assert np.allclose(np.linalg.norm(found.pictures, axis=1), 1, atol=1e-6) and not found.captions.any()


def test_blocks_and_samples_change_nothing(monkeypatch):
    pictures, captions = world(50)
    texts = [str(number) for number in range(50)]
    whole = meaning.fitting(pictures, captions, texts), meaning.among(pictures)
    monkeypatch.setattr(meaning, "BLOCK", 7)
    parts = meaning.fitting(pictures, captions, texts), meaning.among(pictures)
    for one, other in zip(whole, parts):
        for name in one.__slots__ if hasattr(one, "__slots__") else vars(one):
            assert np.allclose(getattr(one, name), getattr(other, name), atol=1e-5)
    monkeypatch.setattr(meaning, "COMPARED", 20)
    few = meaning.among(pictures)
    assert (few.nearest % 3 == 0).all() and (few.closest <= whole[1].closest + 1e-6).all()
    assert (few.nearest != np.arange(50)).all()
