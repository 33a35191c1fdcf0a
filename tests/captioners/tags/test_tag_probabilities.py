"""What is kept of probabilities: exactly what decides, for the content of a picture, whatever its name."""

import os
import sqlite3
import threading
import time

import numpy as np
import pytest

from captioners.tags import probabilities
from captioners.tags.labels import Labels
from captioners.tags.probabilities import ProbabilityCache, Scores, identity, scores

LABELS = Labels(("a", "b", "c", "d", "e"), ("general", "general", "general", "character", "character"))
MODEL = b"m" * 32


@pytest.fixture
def cache(tmp_path):
    made = ProbabilityCache(tmp_path / "cache")
    yield made
    made.close()


def one(value: float) -> Scores:
    return Scores(np.array([1], np.uint32), np.array([value], np.float32))


def test_what_counts_is_kept_and_the_highest_of_each_category_that_does_not():
    found = scores(np.array([0.5, 0.009, 0.001, 0.002, 0.004], np.float32), LABELS)
    assert found.labels.tolist() == [0, 1, 4]
    assert found.values.tolist() == [np.float32(0.5), np.float32(0.009), np.float32(0.004)]


def test_numbers_come_back_exactly(cache):
    values = np.random.default_rng(0).random(200).astype(np.float32)
    there = Scores(np.arange(200, dtype=np.uint32) * 300, values)
    cache.put(MODEL, {b"p": there})
    back = cache.get(MODEL, [b"p"])[b"p"]
    assert (back.labels == there.labels).all() and (back.values == values).all()
    assert cache.get(b"other", [b"p"]) == {} and cache.get(MODEL, [b"q"]) == {}


def test_a_copy_and_a_renamed_picture_are_the_same_and_a_changed_one_is_not(cache, tmp_path):
    first, copy = tmp_path / "a.png", tmp_path / "b.png"
    first.write_bytes(b"content")
    copy.write_bytes(b"content")
    found = cache.digests([first, copy])
    assert found[first] == found[copy]
    first.write_bytes(b"other content")
    assert cache.digests([first])[first] != found[copy]


def test_a_picture_is_read_once(cache, tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"content")
    known = cache.digests([path])
    monkeypatch.setattr(probabilities, "_digest", lambda path: pytest.fail("read again"))
    assert cache.digests([path]) == known


def test_a_picture_that_is_gone_is_left_out(cache, tmp_path):
    assert cache.digests([tmp_path / "gone.png"]) == {}


def test_it_is_still_there_after_a_restart(tmp_path):
    first = ProbabilityCache(tmp_path)
    first.put(MODEL, {b"p": one(0.5)})
    first.close()
    again = ProbabilityCache(tmp_path)
    assert again.get(MODEL, [b"p"])[b"p"].values.tolist() == [0.5]
    again.close()


def test_a_broken_file_is_put_aside(tmp_path):
    (tmp_path / "probabilities.sqlite").write_bytes(b"this is no database" * 100)
    cache = ProbabilityCache(tmp_path)
    cache.put(MODEL, {b"p": one(0.5)})
    cache.close()
    assert (tmp_path / "probabilities.broken").exists()


def test_a_file_of_another_version_is_begun_anew(tmp_path):
    cache = ProbabilityCache(tmp_path)
    cache.put(MODEL, {b"p": one(0.5)})
    cache.close()
    base = sqlite3.connect(tmp_path / "probabilities.sqlite")
    base.execute("PRAGMA user_version = 99")
    base.close()
    cache = ProbabilityCache(tmp_path)
    assert cache.get(MODEL, [b"p"]) == {}
    cache.close()


def test_several_threads_and_programs_at_once(tmp_path):
    caches = [ProbabilityCache(tmp_path) for _ in range(2)]

    def work(cache: ProbabilityCache, name: int) -> None:
        for number in range(20):
            cache.put(MODEL, {f"{name}-{number}".encode(): one(number / 20)})
            cache.get(MODEL, [f"{name}-{number}".encode()])

    threads = [threading.Thread(target=work, args=(caches[name % 2], name)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    every = [f"{name}-{number}".encode() for name in range(4) for number in range(20)]
    assert len(caches[0].get(MODEL, every)) == 80
    for cache in caches:
        cache.close()


def test_a_model_is_known_by_its_content_and_not_by_its_place_or_date(tmp_path):
    first, other = tmp_path / "a" / "model.onnx", tmp_path / "b" / "model.onnx"
    for path in (first, other):
        path.parent.mkdir()
        path.write_bytes(b"x" * 3_000_000)
    os.utime(other, (1, 1))
    assert identity([first], 1) == identity([other], 1)
    assert identity([first], 1) != identity([first], 2)
    other.write_bytes(b"x" * 1_000_000 + b"y" + b"x" * 1_999_999)
    assert identity([first], 1) != identity([other], 1)


def test_two_thousand_pictures_are_known_within_a_second(cache, tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(2000)]
    for number, path in enumerate(paths):
        path.write_bytes(str(number).encode())
    digests = cache.digests(paths)
    cache.put(MODEL, {digest: one(0.5) for digest in digests.values()})
    began = time.process_time()
    assert len(cache.get(MODEL, cache.digests(paths).values())) == 2000
    assert time.process_time() - began < 1
