"""Weights of words in a caption, as A1111's prompts spell them."""

import pytest

from dataset.emphasis import parts

LIGHTER = 1 / 1.1
CASES = {
    "": [],
    "a red dog": [("a red dog", 1)],
    "a (red) dog": [("a ", 1), ("red", 1.1), (" dog", 1)],
    "a ((red)) dog": [("a ", 1), ("red", 1.21), (" dog", 1)],
    "a [red] dog": [("a ", 1), ("red", LIGHTER), (" dog", 1)],
    "a (red:1.5) dog": [("a ", 1), ("red", 1.5), (" dog", 1)],
    "(a (red: .5 ) dog:2)": [("a ", 2), ("red", 1), (" dog", 2)],
    "[(red:2)]": [("red", 2 * LIGHTER)],
    "a (red dog": [("a ", 1), ("red dog", 1.1)],
    "a ((red) dog": [("a ", 1), ("red", 1.21), (" dog", 1.1)],
    "[a (red": [("a ", LIGHTER), ("red", 1.1 * LIGHTER)],
    r"nier \(series\), (red)": [("nier (series), ", 1), ("red", 1.1)],
    r"a \\ b \[c\] d\e": [(r"a \ b [c] de", 1)],
    "at 3:2, b:1.2) c]": [("at 3:2, b:1.2) c]", 1)],
    "(red:much)": [("red:much", 1.1)],
    "(red:1.2.3)": [("red:1.2.3", 1.1)],
    "(red:0)(blue:0)": [("redblue", 0)],
    "(red:-1)": [("red", -1)],
    "()": [],
}


@pytest.mark.parametrize("caption", CASES)
def test_brackets_are_weights(caption):
    found = parts(caption)
    assert [part.text for part in found] == [text for text, _ in CASES[caption]]
    assert [part.weight for part in found] == pytest.approx([weight for _, weight in CASES[caption]])


@pytest.mark.parametrize("caption", CASES)
def test_each_character_knows_its_place(caption):
    for part in parts(caption):
        assert len(part.places) == len(part.text) and "".join(caption[place] for place in part.places) == part.text
