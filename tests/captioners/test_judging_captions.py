"""What may not stand as a caption: nothing, loops, refusals and the prompt; and what may."""

import pytest

from captioners.gate import objection

LOOP = "a cat on a mat and a cat on a mat and a cat on a mat"
PROMPT = "Write a long description of this picture, naming {tags}."


@pytest.mark.parametrize("text", ["", "  \n", ",,, ...", "<>"])
def test_an_empty_answer(text):
    assert objection(text) == "is empty"


@pytest.mark.parametrize("text", [LOOP, "dog dog dog dog", "red, red, red, red, red", "赤い花" * 5])
def test_an_answer_that_runs_in_circles(text):
    assert objection(text) == "repeats itself"


@pytest.mark.parametrize("text", [
    "I'm sorry, but I can't help with that.",
    "I’m unable to describe this image.",
    "I cannot identify people in pictures.",
    "Sorry, I can't.",
    "As an AI language model, I do not see pictures",
    "Unfortunately, the picture cannot be described",
    "I don't have the ability to view images",
])
def test_a_refusal(text):
    assert objection(text) == "is a refusal"


@pytest.mark.parametrize("text", [
    "Write a long description of this picture, naming dog and cat.",
    "write a long description of this picture naming things: a dog",
    "<image> a dog", "USER: a dog", "a dog<|im_end|>",
])
def test_an_echo_of_the_prompt(text):
    assert objection(text, PROMPT) == "repeats the prompt"


@pytest.mark.parametrize("text", [
    "a red star on a blue background and a red star on a green background",
    "a sign that says I cannot wait", "a very, very tall man", "dog", "星の絵", "I love you written on a wall",
    "a picture of this and that", ">_< face",
])
def test_a_caption(text):
    assert objection(text, PROMPT) == ""


def test_one_sentence_of_a_long_prompt_is_an_echo():
    prompt = "Describe this picture in one sentence.\nThese tags may help: {tags}\nDon't speak of the picture itself!"
    assert objection("A dog. Don't speak of the picture itself", prompt) == "repeats the prompt"
    assert objection("these tags: a picture in one sentence", prompt) == ""


def test_a_short_prompt_that_begins_the_caption_is_no_echo():
    """BLIP's prompt is the beginning of its answer."""
    assert objection("a picture of a dog", "a picture of") == ""
    assert objection("a picture of", "a picture of") == "repeats the prompt"
    assert objection("a dog", "") == objection("a dog", "{tags}") == ""
