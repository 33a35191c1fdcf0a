"""Tokens are counted as CLIP's own tokenizer counts them."""

import random

import pytest

from dataset import tokens
from trainer.families.configs import tokenizer

CAPTIONS = [
    "", " ", "a", "a photo of sks dog", "1girl, solo, long hair, >_<, ^_^, <o>_<o>, hair_ornament", "don't, we'll",
    "naïve café, 12 m², ½, Ⅷ, 一二三, 猫耳, ΣΑΣ, İstanbul, Ǆ", "🙂🙂 _under_score_ !!'s ''s", "e\u0301te\u0301",
    "<|startoftext|>a<|endoftext|>", "tab\tand\u00a0space\u3000wide", "supercalifragilisticexpialidocious" * 3,
]


@pytest.fixture(scope="module")
def clip():
    return tokenizer()


@pytest.mark.parametrize("caption", CAPTIONS)
def test_counts_as_the_tokenizer_does(clip, caption):
    assert tokens.exact()
    assert tokens.count(caption) == len(clip(caption).input_ids) - 2


def test_counts_as_the_tokenizer_does_whatever_is_written(clip):
    dice = random.Random(0)
    letters = "abc 's'll 0 ² é ß _-.,!<|>()Ⅷ三\u0301 \t\n🙂ABCłQ'"
    texts = ["".join(dice.choice(letters) for _ in range(dice.randint(1, 60))) for _ in range(300)]
    assert [tokens.count(text) for text in texts] == [len(clip(text).input_ids) - 2 for text in texts]


def test_the_cut_is_at_the_last_word_that_fits():
    text = "one, two, " * 40
    seen, unseen = tokens.split(text)
    assert tokens.count(seen) == tokens.LIMIT and unseen.startswith("two") is not unseen.startswith(",")
    assert "".join((seen + unseen).split()) == "".join(text.split())


def test_a_short_caption_is_seen_whole():
    assert tokens.split("a dog") == ("a dog", "")


def test_without_the_list_of_words_it_is_an_estimate(monkeypatch):
    tokens._tokens.cache_clear()
    monkeypatch.setattr(tokens, "_ranks", dict)
    try:
        assert not tokens.exact()
        assert 18 <= tokens.count("a photo of a small brown dog, sitting on the grass in front of a house, day") <= 24
    finally:
        tokens._tokens.cache_clear()


def test_the_borders_are_the_tokenizers(clip):
    dice = random.Random(1)
    letters = "abc 's'll 0 ² é ß _-.,!<|>()Ⅷ三\u0301 \t\n🙂ABCłQ'"
    texts = ["".join(dice.choice(letters) for _ in range(dice.randint(1, 60))) for _ in range(200)]
    for text in [*CAPTIONS, *texts]:
        found = tokens.borders(text)
        assert len(found) == len(clip(text).input_ids) - 2
        spelled = [tokens.composed(text)[start:end].lower() for start, end in found]
        known = [clip.decode([token]).strip() for token in clip(text).input_ids[1:-1]]
        pairs = [(ours, its) for ours, its in zip(spelled, known) if "\ufffd" not in its]
        assert all(ours.replace("ς", "σ") == its.replace("ς", "σ") for ours, its in pairs), text
    assert tokens.borders("café 🙂") == [(0, 4), (5, 6)]


def test_borders_of_another_vocabulary(monkeypatch):
    ranks = tokens.ranks_of([("a", "b</w>"), ("c", "d"), ("cd", "e</w>")])
    assert tokens.borders("AB abx, cde", ranks) == [(0, 2), (3, 4), (4, 5), (5, 6), (6, 7), (8, 11)]
    monkeypatch.setattr(tokens, "_ranks", dict)
    assert tokens.borders("wonderfully so") == [(0, 5), (5, 11), (12, 14)]
