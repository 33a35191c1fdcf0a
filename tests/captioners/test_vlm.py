"""Any vision-language model, on a tiny random Qwen2-VL, whose pictures take as many tokens as they are large."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from captioners.base import CaptionerError, Picture
from captioners.vlm import Vlm, VlmSettings
from captioners.writers.chat import Question, framed, limited
from settings.errors import SettingsError, check
from tests.captioners.tiny_vlm import tiny_vlm
from tests.captioners.writing import loaded, pictures, raw, spoken, watch


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_vlm(tmp_path_factory.mktemp("tiny") / "vlm").model


@pytest.fixture(scope="module")
def vlm(folder):
    return loaded(Vlm, VlmSettings(model=folder, max_tokens=8, prompt="What?\nTags: {tags}"))


def test_each_picture_is_described_by_itself_whatever_its_size(vlm):
    some = [*pictures(2), *pictures(1, tags="a, much longer, question than the others have")]
    together = raw(spoken(vlm, some))
    assert len(set(together)) == 3
    assert [raw(spoken(vlm, [one]))[0] for one in some] == together


def test_the_prompt_is_filled_for_each_picture(vlm, monkeypatch):
    calls = watch(monkeypatch, vlm.model)
    spoken(vlm, pictures(1, tags="red, dog"))
    text = vlm.processor.tokenizer.decode(calls[0]["input_ids"][0])
    assert "What?\nTags: red, dog<|im_end|>" in text and text.endswith("<|im_start|>assistant\n")


def test_a_system_prompt_comes_first(vlm):
    try:
        vlm.options = vlm.options.model_copy(update={"system": "You see."})
        assert vlm.conversation("x", vlm.form).startswith("<|im_start|>system\nYou see.<|im_end|>")
    finally:
        vlm.options = vlm.options.model_copy(update={"system": ""})


def test_a_model_without_a_place_for_pictures_in_its_template_is_refused(folder, tmp_path):
    blind = shutil.copytree(folder, tmp_path / "blind")
    (blind / "chat_template.jinja").write_text("{% for message in messages %}{{ message['role'] }}{% endfor %}")
    with pytest.raises(CaptionerError, match="no place for a picture"):
        loaded(Vlm, VlmSettings(model=str(blind)))
    (blind / "chat_template.jinja").write_text("{{ raise_exception('only text here') }}")
    with pytest.raises(CaptionerError, match="only text here"):
        loaded(Vlm, VlmSettings(model=str(blind)))


def test_a_model_that_transformers_does_not_know_is_told(folder, tmp_path):
    foreign = shutil.copytree(folder, tmp_path / "foreign")
    config = json.loads((foreign / "config.json").read_text())
    (foreign / "config.json").write_text(json.dumps(config | {"model_type": "from_the_future"}))
    with pytest.raises(CaptionerError, match="from_the_future"):
        loaded(Vlm, VlmSettings(model=str(foreign)))


def test_large_pictures_are_made_smaller_in_their_own_proportions():
    assert limited(Image.new("RGB", (4000, 1000)), 1.0).size == (2000, 500)
    assert limited(Image.new("RGB", (20_000, 1)), 0.01).height == 1
    small = Image.new("RGB", (30, 20))
    assert limited(small, 1.0) is small


def test_strips_and_specks_are_described_too(vlm):
    for size in ((1, 1), (1, 3000), (3000, 3)):
        assert len(spoken(vlm, [Picture(Path("strip.png"), Image.new("RGB", size))])) == 1
    assert framed(Image.new("RGB", (10, 400))).size == (20, 400)
    strip = framed(Image.new("RGB", (3000, 3)))
    assert strip.size == (3000, 150)
    assert strip.getpixel((5, 5)) == (255, 255, 255) and strip.getpixel((5, 75)) == (0, 0, 0)


def test_a_shape_that_the_model_refuses_is_that_pictures_problem_alone(vlm):
    with pytest.raises(CaptionerError, match="does not take it .*aspect ratio"):
        vlm.say([Question("strip", Image.new("RGB", (3000, 1)), "what?")])


def test_unknown_fields_and_lost_brackets_are_told():
    for wrong in ("{artist}", "{tags.__class__}", "{0}", "{tags", "{tags!r}"):
        with pytest.raises(SettingsError, match="prompt"):
            check(VlmSettings, {"prompt": wrong})
