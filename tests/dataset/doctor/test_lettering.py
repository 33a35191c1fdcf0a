"""Watermarks and text, by what a tagger kept and by what captions say."""

import hashlib
import json
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


HEAD = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext\n"
TESSERACT = HEAD + """1\t1\t0\t0\t0\t0\t0\t0\t64\t64\t-1\t
5\t1\t1\t1\t1\t1\t2\t50\t10\t8\t96.1\tOpen
5\t1\t1\t1\t1\t2\t14\t50\t8\t8\t91\t"daily
5\t1\t1\t1\t2\t1\t2\t58\t8\t5\t31\tnoise
5\t1\t2\t1\t1\t1\t2\t2\t8\t5\t95\t|~
"""


def test_what_tesseract_has_read_line_by_line_and_where(folder):
    (folder / "a.tsv").write_text(TESSERACT)
    assert found(folder) == {"lettering.text": [("a", '"Open "daily" 91%, bottom left (by OCR); the caption doesn\'t '
                                                      "name it")]}  # fmt: skip


def test_what_other_programs_have_read(folder):
    corners = [[50, 1], [63, 1], [63, 9], [50, 9]]
    lines = [{"text": "©  STOCK photos", "confidence": 0.9, "box": corners}, {"text": "hello"},
             {"text": "unsure", "confidence": 0.59}]  # fmt: skip
    (folder / "a.ocr.json").write_text(json.dumps(lines), encoding="utf-8")
    told = found(folder)
    assert told["lettering.watermark"][0][1].startswith('"© STOCK photos" 90%, top right (by OCR)')
    assert told["lettering.text"][0][1].startswith('"hello" 100% (by OCR)')


def test_a_line_that_many_pictures_share_is_a_mark(folder):
    for name in "abc":
        (folder / f"{name}.ocr.json").write_text('[{"text": "Jane Doe"}, {"text": "sale"}]')
    told = found(folder)
    assert [name for name, _ in told["lettering.watermark"]] == ["a", "b", "c"]
    assert all('"sale"' in detail and "Jane" not in detail for _, detail in told["lettering.text"])


@pytest.mark.parametrize(("name", "data", "said"), [
    ("a.tsv", b"\xff\xfe\x00", "UTF-8"), ("a.tsv", b"name\tprice\nx\t3", "tesseract"),
    ("a.tsv", HEAD.encode() + b"5\t1\t1", "numbers"),
    ("a.tsv", HEAD.encode() + b"5\t1\t1\t1\t1\t1\tx\t1\t1\t1\t99\ty", "numbers"),
    ("a.ocr.json", b"{", "JSON"), ("a.ocr.json", b'{"text": "x"}', "no list"), ("a.ocr.json", b"[3]", "no text"),
    ("a.ocr.json", b"[" * 100_000, "JSON"), ("a.ocr.json", b'[{"text": "x", "box": [1, 2]}]', "numbers"),
    ("a.ocr.json", b'[{"text": "x", "confidence": 1e999, "box": [1' + b"0" * 400 + b', 2, 3, 4]}]', "numbers"),
    ("a.ocr.json", b" " * 4_000_001, "too large"),
])  # fmt: skip
def test_files_of_these_names_that_hold_something_else(folder, name, data, said):
    (folder / name).write_bytes(data)
    ((file, detail),) = found(folder)["lettering.unread"]
    assert file == name.rpartition(".")[0] and said in detail
