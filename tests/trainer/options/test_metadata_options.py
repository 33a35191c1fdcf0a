"""What is said about a LoRA stands in its file, each in its own entry."""

import pytest

from tests.trainer.lora.test_metadata import entries

# option: (its value, the entry that says it)
OPTIONS = {
    "metadata.trigger": ("sks dog", "modelspec.trigger_phrase"),
    "metadata.title": ("My dog", "modelspec.title"),
    "metadata.author": ("me", "modelspec.author"),
    "metadata.description": ("a dog\nin two lines", "modelspec.description"),
    "metadata.license": ("CC0", "modelspec.license"),
    "metadata.tags": ("dog, pet", "modelspec.tags"),
    "metadata.usage_hint": ("at 0.8", "modelspec.usage_hint"),
    "metadata.comment": ("second try", "ss_training_comment"),
}


@pytest.mark.proves(*OPTIONS)
@pytest.mark.parametrize("option", OPTIONS)
def test_it_is_in_its_entry_and_no_other_differs(option):
    said, entry = OPTIONS[option]
    plain, told = entries(), entries(metadata={option.removeprefix("metadata."): said})
    moments = ("ss_training_finished_at", "modelspec.date")
    assert {key for key in told if plain.get(key) != told[key] and key not in moments} == {entry}
    assert told[entry] == said


@pytest.mark.parametrize("captions, told", [
    ({}, {"ss_clip_skip": "None", "ss_max_token_length": "None"}),
    ({"clip_skip": 2, "length": 225},
     {"ss_clip_skip": "2", "ss_max_token_length": "225", "modelspec.encoder_layer": "2"}),
])  # fmt: skip
def test_how_captions_were_read_is_told(captions, told):
    held = entries(captions=captions)
    assert {key: held[key] for key in told} == told and ("modelspec.encoder_layer" in held) == bool(captions)
