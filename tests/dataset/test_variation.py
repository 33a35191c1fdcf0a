"""How captions are varied: what each setting does to the words, in the order of sd-scripts."""

import random
from collections import Counter

import pytest

from dataset import turns
from dataset.settings import CaptionSettings
from dataset.variation import training_caption, words
from settings.errors import warnings

TAGS = "sks dog,  sitting, outdoors,, grass"


def test_a_caption_is_left_alone_by_default():
    assert training_caption(TAGS, CaptionSettings(), random.Random(0)) == TAGS
    assert training_caption(TAGS, CaptionSettings(keep_tokens=2), random.Random(0)) == TAGS


@pytest.mark.proves("captions.shuffle", "captions.keep_tokens")
def test_shuffling_keeps_the_first_tags_and_loses_none():
    settings, rng = CaptionSettings(shuffle=True, keep_tokens=1), random.Random(0)
    seen = {training_caption(TAGS, settings, rng) for _ in range(200)}
    assert len(seen) == 6  # all orders of the three that move
    for caption in seen:
        parts = caption.split(", ")
        assert parts[0] == "sks dog" and Counter(parts[1:]) == Counter(["sitting", "outdoors", "grass"])


@pytest.mark.proves("captions.separator")
def test_another_separator():
    settings = CaptionSettings(shuffle=True, separator="|", keep_tokens=9)
    assert training_caption("a, b | c", settings, random.Random(0)) == "a, b, c"


@pytest.mark.proves("captions.dropout")
def test_dropout_is_a_share():
    settings, rng = CaptionSettings(dropout=0.25), random.Random(0)
    dropped = sum(training_caption("a", settings, rng) == "" for _ in range(4000))
    assert 900 < dropped < 1100
    assert training_caption("a", CaptionSettings(dropout=1), rng) == ""


def test_the_same_random_numbers_give_the_same_captions():
    settings = CaptionSettings(shuffle=True, dropout=0.3)
    runs = [[training_caption(TAGS, settings, rng) for _ in range(20)] for rng in (random.Random(7), random.Random(7))]
    assert runs[0] == runs[1]


def test_a_setting_without_effect_is_told():
    assert "keep_tokens" in warnings(CaptionSettings(keep_tokens=1))
    assert warnings(CaptionSettings(keep_tokens=1, shuffle=True)) == {}


@pytest.mark.proves("captions.wildcards")
def test_one_of_the_words_in_braces_is_drawn_and_doubled_braces_are_braces():
    settings, rng = CaptionSettings(wildcards=True), random.Random(0)
    text = "a {red|dark blue|} cat, {{as|is}}, {one}, {open"
    drawn = {training_caption(text, settings, rng) for _ in range(100)}
    assert drawn == {f"a {word} cat, {{as|is}}, one, {{open" for word in ("red", "dark blue", "")}
    assert training_caption(text, CaptionSettings(), rng) == text


def vary(text: str, seed: int = 0, **options) -> str:
    return words(text, CaptionSettings(**options), random.Random(seed))


@pytest.mark.proves("captions.keep_separator")
def test_what_is_between_the_marks_moves_and_the_rest_stays():
    text = "sks dog, best ||| a, b, c ||| quality, end"
    seen = {vary(text, seed, shuffle=True, keep_separator="|||", keep_tokens=5) for seed in range(100)}
    assert len(seen) == 6
    assert all(one.startswith("sks dog, best, ") and one.endswith(", quality, end") for one in seen)
    assert vary(text, keep_separator="|||") == "sks dog, best, a, b, c, quality, end", "the mark is never trained"
    assert vary("sks ||| a", keep_separator="|||", tag_dropout=1) == "sks"
    assert vary("sks, a, b", keep_separator="|||", keep_tokens=1, tag_dropout=1) == "sks", "no mark: those in front"


@pytest.mark.proves("captions.tag_dropout")
def test_tag_dropout_is_a_share_of_those_that_may_go():
    text = "sks, " + ", ".join(f"tag{number}" for number in range(1000))
    left = vary(text, tag_dropout=0.3, keep_tokens=1).split(", ")
    assert left[0] == "sks" and 640 < len(left) < 760
    assert left == sorted(left, key=text.split(", ").index), "their order stays"
    assert vary("sks, a, b", tag_dropout=1.0) == ""


@pytest.mark.proves("captions.group_separator")
def test_groups_move_and_go_together():
    seen = {vary("a, red;;;blue, c", seed, shuffle=True, group_separator=";;;") for seed in range(60)}
    assert all("red,blue" in one and len(one.split(", ")) == 3 for one in seen) and len(seen) == 6
    dropped = {vary("red;;;blue", seed, tag_dropout=0.5, group_separator=";;;") for seed in range(40)}
    assert dropped == {"red,blue", ""}
    assert vary("a, red;;;blue", group_separator=";;;") == "a, red,blue", "also where nothing moves, as in sd-scripts"


@pytest.mark.proves("captions.prefix", "captions.suffix")
def test_prefix_and_suffix():
    assert vary("a dog", prefix="sks,", suffix=", photo") == "sks, a dog , photo"
    assert vary("", prefix="sks") == "sks" and vary("a") == "a"
    kept = {vary("a, b, c", seed, prefix="sks,", shuffle=True, keep_tokens=1) for seed in range(30)}
    assert all(one.startswith("sks, ") for one in kept) and len(kept) == 6
    dropped = CaptionSettings(prefix="sks,", dropout=1)
    assert training_caption("a", dropped, random.Random(0)) == "", "no caption at all is none"


@pytest.mark.proves("captions.variants")
def test_only_so_many_variants_are_drawn_and_all_are_known():
    settings = CaptionSettings(shuffle=True, variants=4, dropout=0.2)
    text = ", ".join("abcdefgh")
    seen = {turns.drawn(7, step, 0, False, text, settings)[1] for step in range(400)}
    known = turns.wordings(7, text, settings)
    assert seen == known | {""} and len(known) == 4
    assert turns.wordings(8, text, settings) != known, "another seed, other variants"
    free = {turns.drawn(7, step, 0, False, text, CaptionSettings(shuffle=True))[1] for step in range(400)}
    assert len(free) > 300


@pytest.mark.parametrize("options", [{}, {"prefix": "sks,"}, {"keep_separator": "|||"}])
def test_a_caption_that_does_not_vary_has_one_wording(options):
    settings = CaptionSettings(**options)
    text = "a ||| b, c"
    assert turns.wordings(1, text, settings) == {turns.drawn(1, 5, 0, False, text, settings)[1]}


def test_more_settings_without_effect_are_told():
    assert set(warnings(CaptionSettings(group_separator=";;;", variants=3))) == {"variants"}
    assert not warnings(CaptionSettings(group_separator=";;;", variants=3, shuffle=True))
