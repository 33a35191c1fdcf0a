"""BLIP-2 on a tiny random model."""

import pytest

from captioners.blip2 import Blip2, Blip2Settings, question
from captioners.weights import find
from tests.captioners.tiny_blip2 import tiny_blip2
from tests.captioners.writing import loaded, pictures, raw, spoken


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_blip2(tmp_path_factory.mktemp("tiny") / "blip2").model


@pytest.fixture(scope="module")
def blip2(folder):
    return loaded(Blip2, Blip2Settings(model=folder, max_tokens=8))


def test_each_picture_is_described_by_itself(blip2):
    together = raw(spoken(blip2, pictures(3)))
    assert all(together) and len(set(together)) == 3
    assert [raw(spoken(blip2, [one]))[0] for one in pictures(3)] == together


def test_the_question_is_asked_and_not_in_the_answer(blip2, monkeypatch):
    plain = raw(spoken(blip2, pictures(2)))
    asked = blip2.options.model_copy(update={"prompt": "Question: what is it? Answer:"})
    monkeypatch.setattr(blip2, "options", asked)
    texts = raw(spoken(blip2, pictures(2)))
    assert texts != plain and not any("Question" in text or "<image>" in text for text in texts)


def test_the_places_for_a_picture_come_first(blip2):
    tokens = blip2.processor.tokenizer.convert_ids_to_tokens(question(blip2.processor, "hi")["input_ids"][0])
    assert tokens == ["<image>"] * 4 + ["h", "i"]


def test_a_folder_that_does_not_know_the_number_of_places_works_as_well(folder, blip2, tmp_path):
    """Older folders lack it, and then nothing marked where the picture belongs (reported to kohya_ss thrice)."""
    import json
    import shutil

    old = shutil.copytree(folder, tmp_path / "old")
    path = old / "processor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"num_query_tokens": None}))
    again = loaded(Blip2, Blip2Settings(model=str(old), max_tokens=8))
    assert raw(spoken(again, pictures(3))) == raw(spoken(blip2, pictures(3)))


def test_four_bits_without_a_card_are_told_and_not_tried(folder):
    blip2 = loaded(Blip2, Blip2Settings(model=folder, max_tokens=8, four_bit=True))
    assert "4 bits need an NVIDIA" in blip2.notes[0] and all(raw(spoken(blip2, pictures(1))))


@pytest.mark.gpu
def test_it_runs_in_four_bits_on_a_graphics_card(folder):
    from captioners.base import Place

    blip2 = Blip2(Blip2Settings(model=folder, max_tokens=8, four_bit=True), Place("cuda", "float16"))
    blip2.load(find(folder, {}), lambda *_: None)
    assert all(raw(spoken(blip2, pictures(2))))
