"""Captions are split at separators and never inside sentences; what was split is joined the same."""

import random

import pytest

from dataset.editor import words

TAGS = ["1girl", "long hair", "blue_eyes", ">_<", "<o>_<o>", "hatsune miku \\(vocaloid\\)", "(smile:1.2)", "no. 5",
        "a.b", "né", "猫耳", "looking at viewer", "sks dog", "vs.", "50%", "it's", "a", "?!"]  # fmt: skip


@pytest.mark.parametrize("caption", [
    "A woman in a red dress, holding an umbrella, walks down the street.",
    "a red star on a blue background",
    "The cat sleeps. It is black, white, and grey.",
    "there is a dog sitting on the grass with a ball in its mouth, looking at the camera of the man",
    "Dies ist ein Bild von der Katze in the house of the man.",
])
def test_sentences_are_prose(caption):
    assert words.is_prose(caption) and words.split(caption) == (caption,)


@pytest.mark.parametrize("caption", [
    "", "cat", "1girl, solo, long hair, looking at viewer", "a photo of sks dog, outdoors, grass, sitting",
    "masterpiece, best quality, from above, hand on hip, no. 5, vs.", "sks_dog, on_grass",
    "hatsune_miku_(vocaloid), eyes_visible_through_hair, hand_on_own_hip", "red star",
    "blue eyes, red hair, standing in the rain at night, umbrella, street",
])
def test_lists_of_tags_are_not(caption):
    assert not words.is_prose(caption)


def test_who_knows_better_is_heard():
    assert words.split("a, b", prose=True) == ("a, b",)
    assert words.split("A dog, and a cat, on the street.", prose=False) == ("A dog", "and a cat", "on the street.")
    assert words.split("  ", prose=True) == ()


@pytest.mark.parametrize("separator", [",", ", ", ";", "|||", " | ", "，"])
def test_split_and_join_undo_each_other(separator):
    dice = random.Random(separator)
    for _ in range(300):
        tags = tuple(dice.choices(TAGS, k=dice.randint(0, 9)))
        assert words.split(words.join(tags, separator), separator, prose=False) == tags


def test_empty_pieces_are_dropped():
    assert words.split(" a,, b ,,  , c, ") == ("a", "b", "c")
    assert words.split("a b  c", " ") == ("a", "b", "c")


def test_the_same_tag_in_other_spellings():
    same = ["Long_Hair", "long hair", " long  hair ", "LONG_hair"]
    assert {words.key(tag) for tag in same} == {"long hair"}
    assert words.key("miku_\\(vocaloid\\)") == words.key("Miku (vocaloid)")
    assert words.key("cafe\u0301") == words.key("CAFÉ")
    assert words.key("long hair") != words.key("longhair")


@pytest.mark.parametrize(("text", "phrase", "found"), [
    ("a photo of sks dog", "sks", True), ("a photo of sksy dog", "sks", False), ("asks, sks", "SKS", True),
    ("sks_dog, grass", "sks dog", True), ("", "sks", False), ("sks", "sks", True), ("a(sks)", "sks", True),
    ("a <sks> b", "<sks>", True), ("anything", " ", True), ("sks2", "sks", False), ("日本語", "本", False),
])  # fmt: skip
def test_words_are_found_whole(text, phrase, found):
    assert words.has_phrase(text, phrase) is found


def test_wildcards_mean_the_whole_tag():
    def like(pattern, tag):
        return bool(words.wildcards(pattern).match(tag))

    assert like("*hair", "long hair") and not like("*hair", "hairy") and like("c?t", "cat") and not like("c?t", "ct")
    assert like("a*b*c", "a--b--b-c") and not like("a*b*c", "a-c-b") and like("*", "") and like("a.c", "a.c")
    assert not like("a.c", "abc") and like("*.*", "no. 5")
    assert not words.wildcards("*a" * 30 + "b").match("a" * 20_000)
