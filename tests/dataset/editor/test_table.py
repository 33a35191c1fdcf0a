"""The table of tags counts captions, within a choice of them too, and tells what goes together."""

import random
from collections import defaultdict

from dataset.editor import table, words


class Entry:
    def __init__(self, text):
        self.tags = words.split(text, prose=False)


class Album:
    def __init__(self, *texts):
        self.entries = [Entry(text) for text in texts]
        self.index = defaultdict(set)
        for number, entry in enumerate(self.entries):
            for tag in entry.tags:
                self.index[words.key(tag)].add(number)


ALBUM = Album("Long_Hair, cat, long hair", "cat, dog", "", "dog, long hair", "cat, once")


def test_tags_are_counted_once_a_caption_and_spelt_as_they_stand_first():
    rows = table.counts(ALBUM, categories={"cat": "general"})
    assert [(row.tag, row.count) for row in rows] == [("cat", 3), ("dog", 2), ("Long_Hair", 2), ("once", 1)]
    assert rows[0].share == 0.6 and rows[0].category == "general" and rows[1].category == ""


def test_of_some_captions_only_theirs_count():
    rows = table.counts(ALBUM, [3, 1, 3])
    assert [(row.tag, row.count) for row in rows] == [("dog", 2), ("cat", 1), ("long hair", 1)]
    assert [row.share for row in rows] == [1.0, 0.5, 0.5]
    assert table.counts(ALBUM, []) == [] and table.counts(Album()) == []


def test_what_stands_beside_a_tag():
    assert [(row.tag, row.count) for row in table.together(ALBUM, "CAT")] == [("dog", 1), ("Long_Hair", 1), ("once", 1)]
    assert [row.tag for row in table.together(ALBUM, "cat", most=1)] == ["dog"]
    assert table.together(ALBUM, "unknown") == []


def test_the_figures_are_those_of_a_count_by_hand():
    dice = random.Random(5)
    album = Album(*(", ".join(dice.choices("abcdefgh", k=dice.randint(0, 6))) for _ in range(80)))
    numbers = dice.sample(range(80), 30)
    counted = {row.tag: row.count for row in table.counts(album, numbers)}
    assert counted == {tag: many for tag in "abcdefgh" if (many := sum(tag in album.entries[n].tags for n in numbers))}
    beside = {row.tag: row.count for row in table.together(album, "a")}
    assert beside == {tag: many for tag in "bcdefgh"
                      if (many := sum({"a", tag} <= set(entry.tags) for entry in album.entries))}  # fmt: skip
