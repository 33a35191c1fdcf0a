"""Watermarks and text, by what a tagger kept and by what captions say."""

import hashlib
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from PIL import Image

from captioners.tags.probabilities import ProbabilityCache, Scores
from captioners.wd_tagger import cache_folder
from dataset.doctor import tagged
from dataset.doctor.examine import examine
from dataset.settings import DatasetSettings

SETTINGS = DatasetSettings(resolution=64, bucket_step=64)
LABELS = ("1girl", "watermark", "Artist_Name", "speech_bubble", "hat")


@pytest.fixture
def folder(tmp_path):
    """Five pictures of noise with captions that say nothing of letters."""
    made = tmp_path / "set"
    made.mkdir()
    chance = np.random.default_rng(0)
    for name in "abcde":
        Image.fromarray(chance.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(made / f"{name}.png")
        (made / f"{name}.txt").write_text(f"sks, {name}")
    return made


def keep(folder, scores, model=b"m" * 32, labels=LABELS):
    """scores: {picture's name: {label: probability}}"""
    with closing(ProbabilityCache(cache_folder())) as cache:
        if labels:
            cache.introduce(model, "some tagger", labels)
        for name, values in scores.items():
            digest = hashlib.sha256((folder / f"{name}.png").read_bytes()).digest()
            places = np.array([LABELS.index(label) for label in values], np.uint32)
            cache.put(model, {digest: Scores(places, np.array(list(values.values()), np.float32))})


def found(folder):
    named = {finding.name: finding for finding in examine(folder, SETTINGS).findings}
    return {name: [(case.paths[0].stem, case.detail) for case in named[name].cases] for name in named
            if name.startswith("lettering.")}  # fmt: skip


def test_nothing_is_said_where_there_is_nothing(folder):
    assert found(folder) == {}
    keep(folder, {"a": {"1girl": 0.99, "watermark": 0.49}})
    assert found(folder) == {}


def test_what_the_tagger_saw_the_surest_first(folder):
    keep(folder, {"a": {"watermark": 0.6, "1girl": 0.9}, "b": {"Artist_Name": 0.97, "watermark": 0.7},
                  "c": {"speech_bubble": 0.8}})  # fmt: skip
    told = found(folder)
    assert [name for name, _ in told["lettering.watermark"]] == ["b", "a"]
    assert told["lettering.watermark"][0][1] == (
        "artist name 97%, watermark 70% (by some tagger); the caption doesn't name it")
    assert [name for name, _ in told["lettering.text"]] == ["c"]


def test_what_captions_say(folder):
    (folder / "a.txt").write_text("sks, twitter_username, hat")
    (folder / "b.txt").write_text("A dog in the snow with a watermark in the corner.")
    (folder / "c.txt").write_text("A clean picture with no watermark, without any text overlay.")
    (folder / "d.txt").write_text('A sign with text that reads "open".')
    told = found(folder)
    assert dict(told["lettering.watermark"]) == {
        "a": 'its caption says "twitter username"', "b": 'its caption says "watermark"'}  # fmt: skip
    assert [name for name, _ in told["lettering.text"]] == ["d"]


def test_both_together(folder):
    keep(folder, {"a": {"watermark": 0.9}})
    (folder / "a.txt").write_text("sks, watermark")
    assert found(folder)["lettering.watermark"] == [
        ("a", 'watermark 90% (by some tagger); its caption says "watermark"')]  # fmt: skip


def test_probabilities_without_names_and_other_files_are_silent(folder):
    keep(folder, {"a": {"watermark": 0.9}}, labels=())
    assert found(folder) == {}
    tagged.place().unlink()
    tagged.place().write_bytes(b"no database" * 1000)
    assert found(folder) == {}


def test_a_cache_from_before_names_were_kept_gets_them(folder):
    cache_folder().mkdir(parents=True)
    with closing(ProbabilityCache(cache_folder())):
        pass
    with closing(sqlite3.connect(tagged.place())) as base:
        base.execute("DROP TABLE models")
        base.commit()
    assert found(folder) == {}
    keep(folder, {"a": {"watermark": 0.9}})
    assert [name for name, _ in found(folder)["lettering.watermark"]] == ["a"]
