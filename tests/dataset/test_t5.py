"""T5's tokens are counted by its own tokenizer where there is one, whichever of its files it is in."""

import json
import random
import struct

import pytest

from dataset import t5, tokens

PIECES = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), ("▁a", -2.5), ("▁dog", -4.0), ("s", -3.0),
          ("▁cat", -4.2), (",", -2.2), ("o", -5.0), ("d", -5.1), ("g", -5.2), ("c", -5.3), ("a", -5.4), ("t", -5.5)]
TEXTS = ["", " ", "a dog", "a  dogs, cats", "god", "zz", "cat,dog", "a né dog"]


def message(number, value):
    """A field of a protocol buffer."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def spiece(kind=1):
    rows = (message(1, piece.encode()) + message(2, score) + message(3, 2 if piece == "<unk>" else 1)
            for piece, score in PIECES)  # fmt: skip
    about = message(2, message(3, kind) + message(4, 300)) + message(3, message(1, b"nmt_nfkc"))
    return b"".join(message(1, row) for row in rows) + about


def as_json():
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.Unigram(PIECES, 2, False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.enable_truncation(3)
    return tokenizer.to_str()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(t5, "VOCABULARY", range(len(PIECES), len(PIECES) + 1))
    t5.at_hand.cache_clear()
    yield tmp_path
    t5.at_hand.cache_clear()


def test_without_a_tokenizer_it_is_an_estimate(cache):
    assert not tokens.exact("t5") and tokens.counter("t5")("a dog, a cat") == 5
    assert t5.estimate("") == 0 and t5.estimate("supercalifragilistic") == 4


@pytest.mark.parametrize("place", ["models--x--t5-v1_1-xxl/snapshots/0a", "models--x--flux/snapshots/1/tokenizer_2"])
def test_it_counts_with_the_model_that_was_downloaded(cache, place):
    folder = cache / place
    folder.mkdir(parents=True)
    (folder / "spiece.model").write_bytes(spiece())
    assert tokens.exact("t5")
    assert [t5.count(text) for text in TEXTS[:5]] == [0, 0, 2, 6, 4]


def test_both_files_count_alike(tmp_path):
    (tmp_path / "spiece.model").write_bytes(spiece())
    (tmp_path / "tokenizer.json").write_text(as_json(), encoding="utf-8")
    one, other = (t5.read(tmp_path / name) for name in t5.FILES)
    dice = random.Random(0)
    for text in [*TEXTS, *("".join(dice.choices("adogcts, ▁é", k=20)) for _ in range(100))]:
        assert one.encode(text).ids == other.encode(text).ids


def test_what_is_no_t5_is_passed_over(tmp_path):
    path, dice = tmp_path / "spiece.model", random.Random(1)
    for data in (b"", b"\xff" * 40, b"\x0a", spiece()[:-30], spiece(kind=2)):
        path.write_bytes(data)
        assert t5.read(path, range(1, 3)) is None
    for _ in range(500):
        path.write_bytes(bytes(dice.choices(range(256), k=dice.randint(0, 40))))
        t5.read(path, range(0))
    other = tmp_path / "tokenizer.json"
    for value in ({}, [], {"model": {"type": "BPE", "vocab": []}}, {"model": None}, {"model": {"type": "Unigram"}}):
        other.write_text(json.dumps(value))
        assert t5.read(other) is None
    assert t5.read(tmp_path / "absent.json") is None
