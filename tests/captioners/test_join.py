"""What captioners said becomes a caption: fields, empty fields, repeated parts, the trigger."""

import pytest

from captioners.join import joined, with_trigger

SAID = {"wd_tagger": "1girl, long_hair, outdoors", "blip": "a girl with long hair."}


def test_without_a_template_all_of_it_in_order_with_commas_between():
    assert joined("", SAID) == "1girl, long_hair, outdoors, a girl with long hair."
    assert joined("", {"a": "", "b": "x"}) == "x"


@pytest.mark.parametrize(
    "template, expected",
    [
        ("{trigger}, {tags}, {caption}", "sks, a, b, A dog"),
        ("{trigger}, {nothing}, {caption}", "sks, A dog"),
        ("{nothing}, {tags}", "a, b"),
        ("{tags}, {nothing}", "a, b"),
        ("{caption}. Rated {nothing}. {tags}", "A dog. a, b"),
        ("{caption} ({nothing}), {tags}", "A dog, a, b"),
        ("{nothing} {caption}", "A dog"),
        ("{tags}\n{caption}", "a, b A dog"),
        ("{{{caption}}}", "{A dog}"),
        ("{nothing}", ""),
    ],
)
def test_empty_fields_vanish_with_their_comma(template, expected):
    trigger = "sks" if "{trigger}" in template else ""
    assert joined(template, {"tags": "a, b", "caption": "A dog", "nothing": ""}, trigger) == expected


def test_a_full_stop_does_not_stand_before_a_comma():
    assert joined("{caption}, {tags}", {"caption": "A dog on grass.", "tags": "a"}) == "A dog on grass, a"


def test_what_one_field_said_the_next_does_not_repeat():
    parts = {"one": "dog, long_hair, grass", "other": "Long Hair, cat, dog"}
    assert joined("{one}, {other}", parts) == "dog, long_hair, grass, cat"
    assert joined("{one} | {one}", parts) == "dog, long_hair, grass"


def test_the_trigger_has_its_place_or_stands_in_front():
    assert joined("", {"a": "dog, grass"}, "sks dog") == "sks dog, dog, grass"
    assert joined("a photo of {trigger}, {a}", {"a": "dog"}, "sks") == "a photo of sks, dog"
    assert joined("{a}, {trigger}", {"a": "dog"}, "sks") == "dog, sks"


def test_joining_again_changes_nothing():
    """kohya_ss puts its prefix in front at every run."""
    once = joined("{trigger}, {existing}", {"existing": "dog, grass"}, "sks")
    assert joined("{trigger}, {existing}", {"existing": once}, "sks") == once == "sks, dog, grass"
    assert with_trigger(with_trigger("dog", "sks"), "sks") == "sks, dog"


@pytest.mark.parametrize("text", ["SKS, dog", "a photo of sks", "sks"])
def test_a_trigger_that_is_there_is_not_put_in_front(text):
    assert with_trigger(text, "sks") == text


def test_a_trigger_inside_another_word_is_not_it():
    assert with_trigger("masks, dog", "sks") == "sks, masks, dog"
    assert with_trigger("", "sks") == "sks"


def test_the_words_of_a_caption_are_only_text():
    """Brackets, percent signs and backslashes in what a model or a person said are no part of the template."""
    said = r"{tags} %s \1 <img onerror=x> >_<, (a:1.2)"
    assert joined("{trigger}, {caption}", {"caption": said}, r"s\k{s}") == rf"s\k{{s}}, {said}"
