"""What the writing captioners share: cleaning up, prompt templates, dice."""

from pathlib import Path

import pytest
from PIL import Image

from captioners import captioners
from captioners.base import Picture
from captioners.writers.clean import OPENINGS, broken, cleaned, respaced, unquoted, whole_sentences
from captioners.writers.prompts import filled, problems


@pytest.mark.parametrize(("said", "caption"), [
    ("arafed dog on a sofa", "dog on a sofa"),
    ("araffes in a field", "in a field"),
    ("there is a arafed dog", "a dog"),
    ("there are two dogs", "two dogs"),
    ("a picture of a cat", "a cat"),
    ("The image shows a man. The image is old.", "A man. The image is old."),
    ("In this picture, we can see Two dogs", "Two dogs"),
    ("Sure! Here is a caption for the image: **A red car**, parked.", "A red car, parked."),
    ('Caption: "a red car"', "a red car"),
    ("<think>the user wants\n\na caption</think>\nA dog.", "A dog."),
    ("it was cut while <think>thinking", "it was cut while"),
    ("- a dog\n- a cat", "a dog a cat"),
    ("", ""),
    ("a photograph", "a photograph"),
    ("photo of imagination", "photo of imagination"),
    ('"yes" and "no"', '"yes" and "no"'),
])  # fmt: skip
def test_openings_that_say_nothing_are_taken_out(said, caption):
    assert cleaned(said, OPENINGS) == caption
    assert cleaned(caption, OPENINGS) == caption


def test_without_patterns_words_stay():
    assert cleaned("there is a  dog\n") == "there is a dog"
    assert list(broken(["a(", "b+"]))[0].startswith("'a('")
    assert unquoted("'tis a dog'") == "'tis a dog'"


def test_word_pieces_are_put_together_again():
    assert respaced("a man ' s t - shirt , red") == "a man's t-shirt, red"
    assert respaced("it ' s ( very ) old !") == "it's (very) old!"


def test_half_sentences_are_left_out_where_enough_is_left():
    assert whole_sentences("One. Two. Thr") == "One. Two."
    assert whole_sentences("A sentence of 3.5 metres without end") == "A sentence of 3.5 metres without end"
    assert whole_sentences("Mr. Smith walks a very long way to somewhere") == (
        "Mr. Smith walks a very long way to somewhere"
    )


def picture(**known) -> Picture:
    return Picture(Path("/data/10_sks dog/a.b.png"), Image.new("RGB", (4, 4)), **known)


def test_fields_are_filled_and_lines_with_nothing_in_them_left_out():
    template = "Describe {name} of {directory}.\nTags: {tags}\nBefore: {existing} {caption}\nBe brief, {{really}}."
    assert filled(template, picture()) == "Describe a.b of 10_sks dog.\nBe brief, {really}."
    known = picture(tags="red, {blue}", caption="a dog")
    assert "Tags: red, {blue}\nBefore:  a dog\n" in filled(template, known)


def test_templates_that_would_fail_are_told_before():
    assert not list(problems("{tags} {{x}}"))
    assert "{artist}" in next(problems("by {artist}"))
    assert "partner" in next(problems("{tags\n}"))


def test_all_six_are_found_and_say_captions():
    found = captioners()
    for name in ("blip", "blip2", "florence2", "joycaption", "vlm", "endpoint"):
        assert found[name].says == "caption"
        assert not list(found[name].settings().conflicts()) and not list(found[name].settings().warnings())
    assert next(iter(found["blip"].published)) == found["blip"].settings().model


def test_drawing_follows_the_probabilities():
    import torch

    from captioners.writers.chance import Chance, seed_of

    scores = torch.log(torch.tensor([0.5, 0.3, 0.15, 0.05])).expand(4000, 4)
    seeds = [seed_of(0, 0, str(number)) for number in range(4000)]
    drawn = torch.bincount(Chance(seeds, 1.0, 1.0, "cpu")(None, scores).argmax(1), minlength=4) / 4000
    torch.testing.assert_close(drawn, torch.tensor([0.5, 0.3, 0.15, 0.05]), atol=0.03, rtol=0)
    few = torch.bincount(Chance(seeds, 1.0, 0.75, "cpu")(None, scores).argmax(1), minlength=4)
    assert few[2:].sum() == 0 and few[1] > 1000
    cold = torch.bincount(Chance(seeds, 0.1, 1.0, "cpu")(None, scores).argmax(1), minlength=4)
    assert cold[0] > 3900
