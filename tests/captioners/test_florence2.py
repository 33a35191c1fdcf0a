"""Florence-2 on a tiny random model: the tasks, and reading its answers."""

import json
import shutil

import pytest

from captioners.base import CaptionerError
from captioners.florence2 import TOKENS, Florence2, Florence2Settings
from tests.captioners.tiny_florence2 import tiny_florence2
from tests.captioners.writing import loaded, pictures, raw, spoken, watch


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_florence2(tmp_path_factory.mktemp("tiny") / "florence2").model


@pytest.fixture(scope="module")
def florence2(folder):
    return loaded(Florence2, Florence2Settings(model=folder, max_tokens=8))


def doing(florence2, task):
    florence2.options = florence2.options.model_copy(update={"task": task})
    return florence2


def test_each_picture_is_described_by_itself(florence2):
    together = raw(spoken(doing(florence2, "sentences"), pictures(3)))
    assert all(together) and len(set(together)) > 1
    assert [raw(spoken(florence2, [one]))[0] for one in pictures(3)] == together


@pytest.mark.parametrize("task", TOKENS)
def test_every_task_is_one_that_the_processor_knows_and_asks_for_something_else(florence2, monkeypatch, task):
    calls = watch(monkeypatch, florence2.model)
    assert len(spoken(doing(florence2, task), pictures(2))) == 2
    asked = florence2.processor.tokenizer.decode(calls[0]["input_ids"][0], skip_special_tokens=True)
    assert asked == florence2.processor.task_prompts_without_inputs[TOKENS[task]]
    assert calls[0]["num_beams"] == 3 and not calls[0]["do_sample"]


def test_objects_are_listed_once_each(florence2):
    picture = florence2.prepare(pictures(1)[0])
    place, other = "<loc_1><loc_2><loc_3><loc_4>", "<loc_5><loc_6><loc_7><loc_8>"
    text = f"</s><s>car{place}red door{place}car{other}</s><pad><pad>"
    assert doing(florence2, "objects").told(text, picture).text == "car, red door"
    assert doing(florence2, "regions").told("</s><s></s>", picture).text == ""


def test_sentences_are_cleaned_and_half_ones_left_out(florence2):
    picture = florence2.prepare(pictures(1)[0])
    tell = doing(florence2, "paragraph").told
    assert tell("</s><s>The image shows a red car. It is parked.</s><pad>", picture).text == "A red car. It is parked."
    assert tell("</s><s>The image shows a red car. It is par", picture).text == "A red car."
    assert doing(florence2, "text").told("</s><s>STOP. 50", picture).text == "STOP. 50"


def test_the_models_that_bring_their_own_code_are_refused_with_a_way_out(folder, tmp_path):
    """microsoft/Florence-2-* look alike, and break in every new version of transformers."""
    original = shutil.copytree(folder, tmp_path / "original")
    config = json.loads((original / "config.json").read_text())
    (original / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "modeling_florence2.X"}}))
    with pytest.raises(CaptionerError, match="never run.*florence-community"):
        loaded(Florence2, Florence2Settings(model=str(original)))
