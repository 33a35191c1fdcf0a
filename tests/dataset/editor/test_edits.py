"""Every bulk edit does what it says, nothing else, and where it should, doing it twice changes nothing more."""

import random
from pathlib import Path

import pytest

from dataset import tokens
from dataset.editor import edits, words
from dataset.editor.edits import EDITS, Caption
from settings.errors import SettingsError, check
from settings.section import section_help, settings

PROSE = "A woman in a red dress, holding an umbrella, walks down the street."


def done(name, text, /, prose=None, **values):
    edit, caption = check(EDITS[name], values), Caption.of(text, prose=prose)
    edit.look([caption])
    return edit.apply(caption)


@pytest.mark.parametrize(("name", "values", "before", "after"), [
    ("add", {"tags": "c, A, c"}, "a, b", "a, b, c"),
    ("add", {"tags": "c, d", "where": "first"}, "a, b", "c, d, a, b"),
    ("add", {"tags": "c", "where": "at", "position": 2}, "a, b", "a, c, b"),
    ("add", {"tags": "c", "where": "at", "position": 9}, "a, b", "a, b, c"),
    ("add", {"tags": "c"}, "", "c"),
    ("add", {"tags": "Long Hair"}, "a,long_hair", "a,long_hair"),
    ("add", {"tags": "sks woman", "where": "first"}, PROSE, f"sks woman, {PROSE}"),
    ("add", {"tags": "hd"}, PROSE, f"{PROSE} hd"),
    ("add", {"tags": "red dress"}, PROSE, PROSE),
    ("remove", {"tags": "B, d"}, "a, b, c, b", "a, c"),
    ("remove", {"tags": "*hair"}, "long_hair, hair, hairy", "hairy"),
    ("remove", {"tags": "x"}, " a,b ,", " a,b ,"),
    ("remove", {"tags": "holding an umbrella"}, PROSE, PROSE),
    ("remove", {"tags": "a"}, "a", ""),
    ("rename", {"old": "long hair", "new": "hair"}, "a, long_hair, b", "a, hair, b"),
    ("rename", {"old": "a", "new": "B"}, "a, b, c", "b, c"),
    ("rename", {"old": "a", "new": "A"}, "b, a", "b, A"),
    ("rename", {"old": "a", "new": "x, b"}, "a, b, a", "x, b"),
    ("merge", {"tags": "a, c, z*", "into": "q"}, "x, c, y, a, zz", "x, q, y"),
    ("merge", {"tags": "a, c", "into": "c"}, "a, b, c", "c, b"),
    ("replace", {"find": "red", "by": "blue"}, "Red hat, bored", "blue hat, boblue"),
    ("replace", {"find": "red", "by": "blue", "within": "whole words"}, "red hat, bored", "blue hat, bored"),
    ("replace", {"find": "red", "by": "blue", "within": "whole tags"}, "red hat, red", "red hat, blue"),
    ("replace", {"find": "red", "by": "", "within": "whole tags"}, "a, red, b", "a, b"),
    ("replace", {"find": "Red", "by": "x", "match_case": True}, "red, Red", "red, x"),
    ("replace", {"find": ".", "by": r"\1"}, "a.b", r"a\1b"),
    ("replace", {"find": "red ", "by": ""}, PROSE, PROSE.replace("red ", "")),
    ("pattern", {"pattern": r"(\w+) hair", "by": r"hair \1"}, "red hair, blue eyes", "hair red, blue eyes"),
    ("pattern", {"pattern": r"(?P<c>red|blue) (\w+)", "by": r"\2 \g<c>"}, "red hat", "hat red"),
    ("pattern", {"pattern": r"^(.)(x)?$", "by": r"<\1\2>", "each": "tag"}, "a, bb, c", "<a>, bb, <c>"),
    ("pattern", {"pattern": "^A", "by": "z"}, "a, a", "z, a"),
    ("pattern", {"pattern": "^A", "by": "z", "match_case": True}, "a, a", "a, a"),
    ("pattern", {"pattern": r",\s*b", "by": ""}, "a, b, c", "a, c"),
    ("sort", {}, "c, B, a_x, a", "a, a_x, B, c"),
    ("sort", {"keep": 1}, "z, c, b", "z, b, c"),
    ("sort", {"first": "sks, *girl"}, "a, 2girl, z, 1girl, sks", "sks, 1girl, 2girl, a, z"),
    ("sort", {"by": "shortest"}, "ccc, bb, a, aa", "a, aa, bb, ccc"),
    ("sort", {}, PROSE, PROSE),
    ("deduplicate", {}, "a_b, x, A b,  a  b", "a_b, x"),
    ("deduplicate", {"parts": True}, "hair, long hair, air", "long hair, air"),
    ("deduplicate", {}, " a,b", " a,b"),
    ("prefix", {"text": "a photo of sks dog"}, "on grass", "a photo of sks dog, on grass"),
    ("prefix", {"text": "A photo."}, "on grass", "A photo. on grass"),
    ("prefix", {"text": "a_photo"}, "A photo, on grass", "A photo, on grass"),
    ("prefix", {"text": "a"}, "ab", "a, ab"),
    ("prefix", {"text": "x"}, "", "x"),
    ("suffix", {"text": "hd"}, "a dog,", "a dog, hd"),
    ("suffix", {"text": "HD"}, "a dog, hd", "a dog, hd"),
    ("suffix", {"text": "hd"}, "a shd", "a shd, hd"),
    ("trigger", {"word": "sks"}, "a, SKS, b", "SKS, a, b"),
    ("trigger", {"word": "sks"}, "a, b", "sks, a, b"),
    ("trigger", {"word": "sks", "move": False}, "a, sks", "a, sks"),
    ("trigger", {"word": "sks"}, "a photo of sks dog, b", "a photo of sks dog, b"),
    ("trigger", {"word": "sks"}, "", "sks"),
    ("trigger", {"word": "sks woman"}, PROSE, f"sks woman, {PROSE}"),
    ("trigger", {"word": "woman"}, PROSE, PROSE),
    ("underscores", {}, "long_hair, ^_^, o_o, a_b", "long hair, ^_^, o_o, a b"),
    ("underscores", {"to": "underscores"}, "long hair, sks", "long_hair, sks"),
    ("lower", {}, "Long Hair, ÀB", "long hair, àb"),
    ("lower", {}, PROSE, PROSE),
    ("lower", {"sentences": True}, PROSE, PROSE.lower()),
    ("strip", {}, " a ,,b  c,", "a, b c"),
    ("strip", {}, "a，b;c", "a，b;c"),
    ("strip", {"separators": True}, "a，b; c、d", "a, b, c, d"),
    ("strip", {}, f" {PROSE}  ", PROSE),
    ("write", {"text": " new  text "}, "", "new text"),
    ("write", {"text": "new"}, "old", "old"),
    ("write", {"text": "", "empty_only": False}, "old", ""),
])  # fmt: skip
def test_it_does_what_it_says(name, values, before, after):
    assert done(name, before, **values) == after


def test_every_edit_was_tried_above():
    tried = {case[0] for case in test_it_does_what_it_says.pytestmark[0].args[1]}
    assert tried | {"truncate"} == set(EDITS)


VALUES = {
    "add": {"tags": "cat, new_tag", "where": "first"},
    "remove": {"tags": "cat, *hair"},
    "rename": {"old": "cat", "new": "pet"},
    "merge": {"tags": "cat, dog", "into": "pet"},
    "replace": {"find": "cat", "by": "x", "within": "whole words"},
    "pattern": {"pattern": "(c)at", "by": r"\1ut"},
    "sort": {},
    "deduplicate": {"parts": True},
    "prefix": {"text": "a photo"},
    "suffix": {"text": "the end."},
    "trigger": {"word": "sks"},
    "truncate": {"tokens": 9},
    "underscores": {},
    "lower": {},
    "strip": {"separators": True},
    "write": {"text": "all"},
}
PIECES = ["cat", "Cat", "dog", "long hair", "Long_Hair", "hair", "^_^", "sks", " ", "", "a  b", "the end.", "né",
          "1；2", "x_", "the cat sat on the mat of the house", "No.", "(a:1.2)"]  # fmt: skip
WHOLE = {"replace", "pattern", "lower", "truncate", "prefix", "suffix", "write"}  # these don't go by tags


def test_values_are_given_for_every_edit():
    assert set(VALUES) == set(EDITS)


@pytest.mark.parametrize("name", VALUES)
def test_doing_it_twice_changes_nothing_more(name):
    dice = random.Random(name)
    changed = 0
    for _ in range(300):
        text = dice.choice([", ", ",", ". "]).join(dice.choices(PIECES, k=dice.randint(0, 6)))
        once = done(name, text, **VALUES[name])
        # A tag before a sentence may make it a list of tags to the guess, and then `cat` isn't a tag of it yet.
        prose = words.is_prose(text) if name == "add" else None
        assert done(name, once, prose=prose, **VALUES[name]) == once, text
        changed += once != text
    assert changed > 20


@pytest.mark.parametrize("name", VALUES)
def test_captions_stay_one_line_of_whole_tags(name):
    dice = random.Random(name)
    for _ in range(200):
        after = done(name, ", ".join(dice.choices(PIECES, k=dice.randint(0, 6))), **VALUES[name])
        assert "\n" not in after and after.count(",,") == 0


@pytest.mark.parametrize("name", sorted(set(VALUES) - WHOLE))
def test_tags_that_are_not_meant_keep_their_spelling_and_order(name):
    others = ["Qu_ux", "zebra crossing", "B&W"]
    text = ", ".join([others[0], "cat", "long hair", others[1], "sks", others[2], "Cat"])
    after = [tag for tag in words.split(done(name, text, **VALUES[name])) if tag in others or tag == "Qu ux"]
    assert after == (sorted(others, key=words.key) if name == "sort" else
                     ["Qu ux", *others[1:]] if name == "underscores" else others)  # fmt: skip


@pytest.mark.parametrize("encoder", ["clip", "t5"])
def test_truncating_never_leaves_more_and_takes_no_more_than_needed(encoder):
    dice, count = random.Random(encoder), tokens.counter(encoder)
    for _ in range(300):
        pieces = dice.choices([*PIECES, "supercalifragilistic", "🙂🙂", "!!!"], k=dice.randint(0, 30))
        text, limit = dice.choice([", ", " ", ". "]).join(pieces), dice.randint(1, 40)
        after, prose = done("truncate", text, tokens=limit, encoder=encoder), words.is_prose(text)
        assert count(after) <= limit
        if count(text) <= limit:
            assert after == text
        elif not prose:
            tags = words.split(text)
            kept = words.split(after, prose=False)
            assert tags[: len(kept)] == kept
            assert kept == tags or count(words.join(tags[: len(kept) + 1])) > limit


def test_sorting_by_frequency_goes_by_all_captions_of_the_edit():
    class Entry:
        def __init__(self, text):
            self.text, self.tags, self.prose = text, words.split(text), False

    entries = [Entry("a, b, c"), Entry("B, c"), Entry("c"), Entry("a, a, a, a")]
    changes = edits.preview(check(EDITS["sort"], {"by": "most frequent"}), entries, [0, 1, 2])
    assert changes == [(0, "a, b, c", "c, b, a"), (1, "B, c", "c, B")]
    changes = edits.preview(check(EDITS["sort"], {"by": "least frequent"}), entries, [1, 0, 3])
    assert changes == []


@pytest.mark.parametrize(("name", "values", "field", "said"), [
    ("add", {}, "tags", "say"),
    ("remove", {"tags": " , "}, "tags", "say"),
    ("rename", {"old": "a"}, "new", "Remove"),
    ("rename", {"new": "a"}, "old", "say"),
    ("merge", {"tags": "a", "into": "b, c"}, "into", "one"),
    ("replace", {}, "find", "say"),
    ("pattern", {}, "pattern", "write"),
    ("pattern", {"pattern": "a(b"}, "pattern", "character 4"),
    ("pattern", {"pattern": "(a)", "by": r"\2"}, "by", "group"),
    ("pattern", {"pattern": "(?P<n>a)", "by": r"\g<m>"}, "by", "group"),
    ("pattern", {"pattern": "a", "by": "\\"}, "by", "escape"),
    ("prefix", {"text": " "}, "text", "say"),
    ("suffix", {}, "text", "say"),
    ("trigger", {"word": "a, b"}, "word", "one"),
    ("truncate", {"tokens": 0}, "tokens", "at least 1"),
    ("write", {}, "text", "say"),
    ("sort", {"by": "colour"}, "by", "must be"),
    ("add", {"tags": "a", "where": "at", "position": 0}, "position", "at least"),
])
def test_what_is_wrong_is_said_of_the_field(name, values, field, said):
    with pytest.raises(SettingsError) as caught:
        check(EDITS[name], values)
    assert list(caught.value.problems) == [field] and said in caught.value.problems[field]


def test_a_group_that_took_no_part_is_nothing():
    assert done("pattern", "ab, a", pattern="a(b)?", by=r"[\1]") == "[b], []"


def test_a_pattern_that_takes_years_is_given_up(monkeypatch):
    monkeypatch.setattr(edits, "PATIENCE", 0.2)
    with pytest.raises(SettingsError) as caught:
        done("pattern", "a" * 3000 + "!", pattern="(a|aa)+$", by="x")
    assert "simpler" in caught.value.problems["pattern"]


def test_each_tells_what_it_does_in_a_few_words():
    said = {check(EDITS[name], values).told() for name, values in VALUES.items()}
    assert len(said) == len(EDITS) and all(0 < len(words) < 60 for words in said)
    assert check(EDITS["remove"], {"tags": "a,b,c,d,e"}).told() == "Remove a, b, c and 2 more"


def test_every_edit_can_be_shown_as_a_form():
    for name, kind in EDITS.items():
        assert kind.name == name and kind.label and kind.group and section_help(kind)
        assert all(setting.help for setting in settings(kind))


def test_the_documentation_names_every_edit():
    page = (Path(__file__).resolve().parents[3] / "docs" / "tags.md").read_text(encoding="utf-8")
    assert [kind.label for kind in EDITS.values() if kind.label not in page] == []
