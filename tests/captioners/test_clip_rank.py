"""Ranking and chains: with any chunk, filter or direction the same as plain arithmetic says."""

import zlib
from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest

from captioners.clip.rank import Chain, Phrases, Variety, diverse, fitting, joined, rank

WIDTH = 24
LABELS = [f"phrase {number}" for number in range(500)]


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


@cache
def chance(text: str) -> np.ndarray:
    return np.sin(np.arange(1, WIDTH + 1) * (1 + zlib.crc32(text.encode()) % 100_003))


def vector_of(text: str) -> np.ndarray:
    """A stand-in for a text encoder: the direction of a text is the sum of its parts', with a part of its own."""
    return unit(sum(map(chance, text.split(", "))) + 0.3 * chance(text))


class Encoder:
    def __init__(self):
        self.batches: list[int] = []

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        self.batches.append(len(texts))
        return np.stack([vector_of(text) for text in texts])


def always(texts: Sequence[str]) -> list[bool]:
    return [True] * len(texts)


def short(texts: Sequence[str]) -> list[bool]:
    return [len(text.split()) <= 14 for text in texts]


@pytest.fixture(scope="module")
def table() -> np.ndarray:
    return np.stack([vector_of(label) for label in LABELS])


@pytest.fixture(params=range(3))
def image(request) -> np.ndarray:
    return unit(np.random.default_rng(request.param).standard_normal(WIDTH))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("chunk", [1, 7, 64, 499, 500, 10_000])
def test_ranking_in_chunks_is_ranking(table, image, reverse, chunk):
    scores = (table * image).sum(1)
    wanted = np.argsort(scores if reverse else -scores, kind="stable")
    for count in (1, 9, 499, 500, 600):
        assert rank(image, table, count, reverse, chunk).tolist() == wanted[:count].tolist()


def test_of_equal_phrases_the_first_comes_first():
    rows = np.ones((10, 2), np.float32)
    assert rank(np.ones(2, np.float32), rows, 4, chunk=3).tolist() == [0, 1, 2, 3]
    assert rank(np.ones(2, np.float32), rows, 4, True, chunk=3).tolist() == [0, 1, 2, 3]


def test_nothing_ranks_nothing():
    assert rank(np.ones(2, np.float32), np.empty((0, 2)), 5).tolist() == []
    assert rank(np.ones(2, np.float32), np.ones((3, 2)), 0).tolist() == []
    assert diverse(np.empty(0, np.float32), np.empty((0, 0)), 5, 0.5) == []


def naive(encode, fits, image, labels, begin, least, most, sign=1) -> tuple[str, float]:
    """The greedy search as it is described, without any saving: every candidate is read in the whole at every step."""
    now, score = begin, sign * float(encode([begin])[0] @ image) if begin else -np.inf
    best, left = (now, score), list(labels)
    for step in range(most):
        tried = [joined(now, label) for label in left]
        tried = [(text, label) for text, label in zip(tried, left) if fits([text])[0]]
        if not tried:
            break
        scores = [sign * float(encode([text])[0] @ image) for text, _ in tried]
        index = int(np.argmax(scores))
        if scores[index] <= score and step >= least:
            break
        now, score = tried[index][0], scores[index]
        left.remove(tried[index][1])
        best = max(best, (now, score), key=lambda pair: pair[1])
    return best


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("begin", ["", "a cat on a sofa"])
@pytest.mark.parametrize(("least", "fits"), [(0, always), (4, always), (8, short)])
def test_a_chain_that_tries_all_is_naive_greedy(table, image, reverse, begin, least, fits):
    phrases = Phrases(LABELS[:60], table[:60])
    wanted = naive(Encoder(), fits, image, phrases.labels, begin, least, 12, -1 if reverse else 1)
    for tried in (0, 60, 1000):
        chain = Chain(Encoder(), fits, least, 12, tried, reverse=reverse)
        assert chain.grow(image, phrases, begin) == wanted[0]
        assert chain.score == pytest.approx(wanted[1], abs=1e-6)


def test_a_filtered_chain_reads_a_fraction_and_fits_nearly_as_well(table, image):
    phrases, every, few = Phrases(LABELS, table), Encoder(), Encoder()
    whole, quick = Chain(every, always, 4, 8, 0), Chain(few, always, 4, 8, 50, 0.2)
    whole.grow(image, phrases)
    quick.grow(image, phrases)
    assert sum(few.batches) * 5 < sum(every.batches)
    assert quick.score > 0.9 * whole.score


def test_a_chain_never_has_a_phrase_twice(table, image):
    seen: list[str] = []

    def encode(texts: Sequence[str]) -> np.ndarray:
        seen.extend(texts)
        return Encoder()(texts)

    Chain(encode, always, 20, 20, 10).grow(image, Phrases(LABELS[:30], table[:30]))
    parts = [text.split(", ") for text in seen]
    assert max(map(len, parts)) == 20
    assert all(len(set(one)) == len(one) for one in parts)


def test_variety_does_not_say_the_same_twice():
    """Three near synonyms fit best; the fourth fits less but is another thing."""
    rows = unit(np.array([[1, 0.02, 0], [1, 0, 0.02], [1, 0.01, 0.01], [0.6, 0.8, 0], [0, 0, 1]]))
    scores = rows @ unit(np.array([1, 0.2, 0]))
    assert diverse(scores, rows, 2, 0.0) == np.argsort(-scores)[:2].tolist()
    assert diverse(scores, rows, 2, 0.5)[1] == 3
    assert sorted(diverse(scores, rows, 9, 0.5)) == [0, 1, 2, 3, 4]


def test_variety_means_the_same_for_models_of_different_scale(table, image):
    scores = table @ image
    assert diverse(scores, table, 10, 0.4) == diverse(scores * 0.01 + 5, table, 10, 0.4)


def test_phrases_that_fit_equally_well_are_told_apart_by_variety():
    variety = Variety(np.ones(3, np.float32), np.eye(3, dtype=np.float32), 0.5)
    variety.add(np.eye(3)[1])
    assert variety.merit().argmin() == 1


def test_what_does_not_fit_is_left_out_whole():
    assert fitting("one two", ["three", "four five", "six"], lambda texts: [len(texts[0].split()) <= 5]) == (
        "one two, three, four five"
    )
    assert fitting("one two three", ["four"], lambda texts: [len(texts[0].split()) <= 2]) == "one two"
    assert fitting("", [], always) == ""
