"""JoyCaption on a tiny random LLaVA: what is asked, and drawing words."""

import pytest

from captioners.joycaption import ASKED, JoyCaption, JoyCaptionSettings, asked
from settings.errors import SettingsError, check
from tests.captioners.tiny_joycaption import tiny_joycaption
from tests.captioners.writing import loaded, pictures, raw, spoken, watch


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_joycaption(tmp_path_factory.mktemp("tiny") / "joycaption").model


@pytest.fixture(scope="module")
def joy(folder):
    return loaded(JoyCaption, JoyCaptionSettings(model=folder, max_tokens=8))


def test_drawn_words_depend_on_the_picture_and_the_seed_not_on_the_batch(joy, folder):
    together = raw(spoken(joy, pictures(3)))
    assert len(set(together)) == 3
    # Padding is on the left and masked, so a longer question beside it changes nothing.
    assert raw(spoken(joy, pictures(3)[1:])) == together[1:]
    assert raw(spoken(joy, pictures(3), 1)) != together == raw(spoken(joy, pictures(3)))
    assert raw(spoken(loaded(JoyCaption, joy.options, seed=9), pictures(3))) != together


def test_the_picture_stands_once_in_the_conversation_and_it_begins_once(joy, monkeypatch):
    calls = watch(monkeypatch, joy.model)
    spoken(joy, pictures(1))
    tokens = joy.processor.tokenizer.convert_ids_to_tokens(calls[0]["input_ids"][0])
    assert tokens.count("<image>") == 4 and tokens.count("<|begin|>") == 1 and tokens[-1] == "<|assistant|>"
    assert not calls[0]["do_sample"] and calls[0]["temperature"] is None  # its folder says otherwise


def test_every_style_and_length_makes_a_whole_sentence():
    for style in ASKED:
        for options in ({"length": "any"}, {"length": "very long"}, {"words": 30}):
            text = asked(JoyCaptionSettings(style=style, **options))
            assert "{" not in text and "  " not in text and text.endswith(".")
            assert ("30 words" in text) == ("words" in options)
    assert asked(JoyCaptionSettings(length="short")).startswith("Write a short straightforward caption")


def test_wishes_and_a_prompt_of_ones_own_have_fields(joy):
    picture = pictures(1, tags="red, dog")[0]
    try:
        joy.options = JoyCaptionSettings(wishes="Tags: {tags}.\nBefore: {existing}.")
        assert joy.prompt_for(picture).endswith("Tags: red, dog.")
        joy.options = JoyCaptionSettings(prompt="What is in {directory}/{name}?")
        assert joy.prompt_for(picture) == "What is in dogs/0?"
    finally:
        joy.options = JoyCaptionSettings(model=joy.options.model, max_tokens=8)
    with pytest.raises(SettingsError, match="{person}"):
        check(JoyCaptionSettings, {"wishes": "Call them {person}"})
