"""BLIP on a tiny random model: prompts, batches, chance, and what is wrong with a folder. And the traps of others."""

import json
import shutil

import pytest
import torch

from captioners.base import CaptionerError, Place
from captioners.blip import Blip, BlipSettings
from captioners.weights import find
from settings.errors import SettingsError, check, warnings
from tests.captioners.tiny_blip import tiny_blip
from tests.captioners.writing import loaded, pictures, raw, spoken, watch


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_blip(tmp_path_factory.mktemp("tiny") / "blip").model


def of(folder, **options):
    return loaded(Blip, BlipSettings(**{"model": folder, "max_tokens": 10} | options))


def test_each_picture_is_described_by_itself(folder):
    blip = of(folder)
    together = raw(spoken(blip, pictures(3)))
    assert all(together) and len(set(together)) == 3
    assert [raw(spoken(blip, [one]))[0] for one in pictures(3)] == together


def test_the_prompt_begins_the_sentence_and_is_not_in_the_caption(folder, monkeypatch):
    blip = of(folder, prompt="a picture of ")
    calls = watch(monkeypatch, blip.model.text_decoder)
    texts = raw(spoken(blip, pictures(2)))
    tokens = blip.processor.tokenizer.convert_ids_to_tokens(calls[0]["input_ids"][0])
    # The first is put in and the last taken away by generate itself: done once, not twice.
    assert tokens == ["[DEC]", "a", "picture", "of"]
    assert all(text and not text.startswith("a picture of") for text in texts)
    assert texts != raw(spoken(of(folder), pictures(2)))


def test_beams_are_followed_and_nothing_is_drawn_unless_asked(folder, monkeypatch):
    blip = of(folder)
    calls = watch(monkeypatch, blip.model.text_decoder)
    spoken(blip, pictures(1))
    assert calls[0]["num_beams"] == 3 and not calls[0]["do_sample"] and "logits_processor" not in calls[0]


def test_drawing_is_the_same_for_a_picture_whatever_its_batch(folder):
    blip = of(folder, sample=True)
    together = raw(spoken(blip, pictures(3)))
    assert raw(spoken(blip, pictures(3))) == together
    assert raw(spoken(blip, pictures(3)[1:])) == together[1:]
    assert raw(spoken(loaded(Blip, blip.options, seed=1), pictures(3))) != together


def test_top_p_is_not_silently_ignored(folder):
    """With transformers' own sampling top_p does nothing unless do_sample is set as well."""
    sure = of(folder, sample=True, top_p=1e-6)
    greedy = of(folder, beams=1)
    assert raw(spoken(sure, pictures(2))) == raw(spoken(greedy, pictures(2)))
    assert raw(spoken(of(folder, sample=True, top_p=1.0), pictures(2))) != raw(spoken(greedy, pictures(2)))


def test_a_second_attempt_says_something_else_and_always_the_same(folder):
    blip = of(folder)
    first, second = raw(spoken(blip, pictures(2))), raw(spoken(blip, pictures(2), 1))
    assert first != second == raw(spoken(blip, pictures(2), 1))


def test_no_more_tokens_than_the_model_has_places_for(folder):
    assert all(raw(spoken(of(folder, max_tokens=400, min_tokens=100, prompt="a red star"), pictures(2))))


def test_a_picture_is_squashed_and_normalised_as_blip_was_taught(folder):
    from PIL import Image

    from captioners.base import Picture

    blip = of(folder)
    wide = Image.new("RGB", (200, 20), (255, 255, 255))
    pixels = blip.prepare(Picture(pictures(1)[0].path, wide)).pixels
    expected = (1 - torch.tensor([0.48145466, 0.4578275, 0.40821073])) / torch.tensor(
        [0.26862954, 0.26130258, 0.27577711]
    )
    torch.testing.assert_close(pixels, expected.view(3, 1, 1).expand(3, 48, 48))


def test_weights_that_are_missing_are_not_replaced_by_random_ones(folder, tmp_path):
    from safetensors.torch import load_file, save_file

    broken = shutil.copytree(folder, tmp_path / "broken")
    weights = load_file(broken / "model.safetensors")
    kept = {name: value for name, value in weights.items() if not name.startswith("vision_model")}
    save_file(kept, broken / "model.safetensors", {"format": "pt"})
    with pytest.raises(CaptionerError, match="weights are not in the files"):
        of(str(broken))


def test_a_torn_file_and_another_kind_of_model_are_told(folder, tmp_path):
    torn = shutil.copytree(folder, tmp_path / "torn")
    with open(torn / "model.safetensors", "r+b") as file:
        file.truncate(2000)
    with pytest.raises(CaptionerError, match="can't be loaded"):
        of(str(torn))
    (torn / "config.json").write_text(json.dumps({"model_type": "llava"}))
    with pytest.raises(CaptionerError, match="'llava', and BLIP takes blip"):
        of(str(torn))
    (torn / "config.json").unlink()
    with pytest.raises(CaptionerError, match="no config.json"):
        of(str(torn))


def test_pickled_weights_are_never_opened(folder, tmp_path):
    pickled = shutil.copytree(folder, tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(CaptionerError, match="can't be loaded"):
        of(str(pickled))


def test_settings_that_make_no_sense_are_told():
    with pytest.raises(SettingsError, match="less than max_tokens"):
        check(BlipSettings, {"min_tokens": 50})
    with pytest.raises(SettingsError, match="no regular expression"):
        check(BlipSettings, {"clean": ["("]})
    assert "beams" in warnings(BlipSettings(sample=True, beams=5))
    assert "top_p" in warnings(BlipSettings(top_p=0.5)) and not warnings(BlipSettings())


@pytest.mark.gpu
def test_it_runs_in_half_precision_on_a_graphics_card(folder):
    options = BlipSettings(model=folder, sample=True)
    blip = Blip(options, Place("cuda", "float16"))
    blip.load(find(folder, {}), lambda *_: None)
    assert blip.model.dtype == torch.float16 and all(raw(spoken(blip, pictures(3))))
