"""CLIP interrogate on a tiny random CLIP: its modes, its cache, and the nine defects of clip-interrogator, by name."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from captioners.base import CaptionerError, Picture, Place
from captioners.clip import lists, table
from captioners.clip.model import Clip
from captioners.clip.rank import Chain, Phrases, fitting, joined, rank
from captioners.clip_interrogate import ClipInterrogate, ClipInterrogateSettings
from settings.errors import SettingsError, check, warnings
from tests.captioners.tiny_clip_interrogate import tiny_folder
from toy import clip as toy_clip
from toy.draw import draw

LABELS = [f"{colour} {thing}" for colour in ("red", "blue", "green") for thing in ("star", "box", "moon", "tree")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def clip(folder) -> Clip:
    return Clip(folder, str(folder))


@pytest.fixture(scope="module")
def image(clip) -> np.ndarray:
    return clip.pictures(clip.prepare(draw(5, 0)[0])[None])[0]


@pytest.fixture(scope="module")
def phrases(clip) -> Phrases:
    return Phrases(LABELS, clip.texts(LABELS))


def interrogator(model: Path, **options: object) -> ClipInterrogate:
    values = {"model": str(model), "caption_model": "", "lists": ["mediums"], "least": 2, "most": 3} | options
    captioner = ClipInterrogate(check(ClipInterrogateSettings, values), Place())
    captioner.load(captioner.weights(captioner.options), lambda *_: None)
    return captioner


def said(captioner: ClipInterrogate, caption: str = "") -> str:
    picture = Picture(Path("drawn.png"), draw(5, 0)[0], caption=caption)
    return captioner.say([captioner.prepare(picture)])[0].text


def write_list(folder: Path, name: str, labels: Sequence[str]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("\n".join(labels))
    return folder


# --- the nine defects of clip-interrogator ------------------------------------------------------------------------


def test_defect_1_the_last_ranking_of_chunks_forgets_the_direction(image, phrases):
    worst = np.argsort((phrases.table * image).sum(1), kind="stable")[:4]
    assert rank(image, phrases.table, 4, reverse=True, chunk=5).tolist() == worst.tolist()


def test_defect_2_a_reverse_chain_ends_after_its_first_phrase_because_signs_are_mixed(clip, image, phrases):
    chain = Chain(clip.texts, clip.fits, 0, 6, 0, reverse=True)
    text = chain.grow(image, phrases)
    fit = float((clip.texts([text]) @ image)[0])
    assert chain.score == pytest.approx(-fit, abs=1e-6)
    assert len(text.split(", ")) > 1 and fit < float((phrases.table @ image).min())


def test_defect_3_many_chunks_keep_no_phrase_at_all(image, phrases):
    """More phrases than the square of the chunk: the original keeps int(chunk / chunks) = 0 of each."""
    assert len(rank(image, phrases.table, 3, chunk=2)) == 3


def test_defect_4_all_candidates_are_read_in_one_batch(folder, image):
    clip, batches = Clip(folder, str(folder), chunk=5), []
    read = clip.model.encode_text
    clip.model.encode_text = lambda words, **options: (batches.append(len(words)), read(words, **options))[1]
    Chain(clip.texts, clip.fits, 2, 2, 0).grow(image, Phrases(LABELS, clip.texts(LABELS)), "a cat")
    assert max(batches) == 5 and sum(batches) == clip.encoded


def test_defect_5_a_truncated_text_is_too_long_by_its_commas(clip):
    """Words of one token each: with the commas counted, every text that is made fits exactly or less."""
    for count in range(1, 20):
        text = fitting("a star", ["moon"] * count, clip.fits)
        assert clip.fits([text]) == [True]
    assert clip.fits([joined(text, "moon")]) == [False]
    assert len(clip.tokenizer.tokenizer(text).input_ids) in (toy_clip.LENGTH - 1, toy_clip.LENGTH)


def test_defect_6_padding_is_taken_for_zero(clip):
    """This tokenizer pads with the token that ends a text, as those of many models do."""
    assert 0 not in clip.tokenizer(["a star"])[0].tolist()
    assert clip.fits(["a star", "star " * 40]) == [True, False]


def test_defect_6_the_usual_tokenizer_is_asked_too(clip, monkeypatch):
    from open_clip.tokenizer import SimpleTokenizer

    monkeypatch.setattr(clip, "tokenizer", SimpleTokenizer(context_length=8))
    assert clip.fits(["one two three four five six", "one two three four five six seven"]) == [True, False]


def test_defect_7_autocast_is_used_whatever_the_device(folder, monkeypatch):
    monkeypatch.setattr(torch, "autocast", None)
    monkeypatch.setattr(torch.cuda.amp, "autocast", None)
    clip = Clip(folder, str(folder))
    assert clip.texts(["a star"]).dtype == np.float32
    assert {value.dtype for value in clip.model.parameters()} == {torch.float32}


def test_defect_8_a_failed_download_is_passed_over(monkeypatch, workspace):
    """A server that answers, but not with 200."""
    import urllib.request
    from contextlib import contextmanager
    from types import SimpleNamespace

    from captioners.clip import published

    @contextmanager
    def answer(*_: object, **__: object):
        yield SimpleNamespace(status=204, read=lambda _: b"")

    monkeypatch.setattr(urllib.request, "urlopen", answer)
    with pytest.raises(CaptionerError, match="status 204"):
        published.lists(lambda *_: None)
    assert not list((workspace / "cache").rglob("*.txt"))


def test_defect_9_tables_are_lost_because_versions_name_them_otherwise(folder, tmp_path, workspace):
    """The same phrases are known again, whatever file they come from."""
    first = interrogator(folder, folder=str(write_list(tmp_path / "a", "things.txt", LABELS)))
    assert first.clip.encoded > 0
    again = interrogator(folder, folder=str(write_list(tmp_path / "b", "other.top2.txt", LABELS)))
    assert again.clip.encoded == 0


# --- the cache ----------------------------------------------------------------------------------------------------


def test_an_edited_list_is_read_again(folder, tmp_path):
    lists_of = write_list(tmp_path / "lists", "things.txt", LABELS)
    interrogator(folder, folder=str(lists_of))
    write_list(lists_of, "things.txt", [*LABELS[:-1], "a white tree"])
    assert interrogator(folder, folder=str(lists_of)).clip.encoded == len(LABELS)


def test_commas_do_not_make_two_lists_one(clip):
    table.table(["a", "b"], "model", clip.texts)
    assert len(table.table(["a,b"], "model", clip.texts)) == 1


def test_another_model_has_its_own_tables(folder, tmp_path):
    interrogator(folder)
    other = tiny_folder(tmp_path / "other", quick_gelu=False)
    assert interrogator(other).clip.encoded > 0


@pytest.mark.parametrize("ruin", [b"", b"half a file", None])
def test_a_torn_table_is_computed_again(folder, workspace, ruin):
    interrogator(folder)
    (path,) = (workspace / "cache" / "clip").glob("*.safetensors")
    whole = path.read_bytes()
    path.write_bytes(whole[:-10] if ruin is None else ruin)
    assert interrogator(folder).clip.encoded > 0
    assert path.read_bytes() == whole


def test_a_table_is_what_the_model_says_in_chunks_or_not(clip, monkeypatch):
    monkeypatch.setattr(table, "AT_ONCE", 5)
    told = []
    vectors = table.table(LABELS, "model", clip.texts, lambda done, total: told.append((done, total)))
    assert np.allclose(vectors, clip.texts(LABELS), atol=1e-3)
    assert told == [(5, 12), (10, 12), (12, 12)]


# --- the model ----------------------------------------------------------------------------------------------------


def test_quick_gelu_is_in_every_block_where_the_model_wants_it(clip):
    from open_clip.transformer import QuickGELU

    blocks = [*clip.model.transformer.resblocks, *clip.model.visual.transformer.resblocks]
    assert all(isinstance(block.mlp.gelu, QuickGELU) for block in blocks)


def test_quick_gelu_is_right_for_openais_weights_even_if_the_configuration_is_silent(tmp_path):
    from open_clip.transformer import QuickGELU

    folder = tiny_folder(tmp_path)
    path = folder / toy_clip.SETTINGS
    config = json.loads(path.read_text())
    del config["model_cfg"]["quick_gelu"]
    path.write_text(json.dumps(config))
    for name in ("timm/vit_large_patch14_clip_224.openai", "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"):
        clip = Clip(folder, name)
        assert isinstance(clip.model.transformer.resblocks[0].mlp.gelu, QuickGELU) is name.endswith("openai")


def test_a_model_built_with_the_wrong_activation_is_refused(folder, monkeypatch):
    from open_clip import factory

    monkeypatch.setattr(factory, "CLIP", lambda quick_gelu=False, **rest: built(**rest))
    from open_clip.model import CLIP as built

    with pytest.raises(CaptionerError, match="without QuickGELU"):
        Clip(folder, str(folder))


def test_texts_are_the_same_in_any_chunks(folder, clip):
    assert np.allclose(Clip(folder, "x", chunk=3).texts(LABELS), clip.texts(LABELS), atol=1e-6)


def test_less_memory_means_smaller_chunks(folder, clip):
    scarce, batches = Clip(folder, "x", chunk=64), []
    read = scarce.model.encode_text

    def encode(words, **options):
        batches.append(len(words))
        if len(words) > 20:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return read(words, **options)

    scarce.model.encode_text = encode
    assert np.allclose(scarce.texts(LABELS * 3), clip.texts(LABELS * 3), atol=1e-6)
    assert batches == [36, 32, 16, 16, 4]


def test_folders_without_a_model_are_told(tmp_path):
    with pytest.raises(CaptionerError, match="holds no open_clip model"):
        interrogator(tmp_path)
    toy_clip.write_folder(tmp_path)
    (tmp_path / "open_clip_pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(CaptionerError, match="pickled ones could run code"):
        interrogator(tmp_path)
    (tmp_path / toy_clip.WEIGHTS).write_bytes(b"torn")
    with pytest.raises(CaptionerError, match="can't be loaded"):
        interrogator(tmp_path)


def test_models_go_by_their_names_in_open_clip_too():
    weights = ClipInterrogate.weights(ClipInterrogateSettings(model="ViT-L-14/openai"))
    assert weights.model in ClipInterrogate.published and weights.published


# --- the modes ----------------------------------------------------------------------------------------------------


def test_classic_takes_the_best_of_each_list(folder, clip, image, tmp_path):
    write_list(tmp_path / "lists", "a.top2.txt", LABELS[:6])
    write_list(tmp_path / "lists", "b.txt", LABELS[6:])
    text = said(interrogator(folder, mode="classic", lists=[], folder=str(tmp_path / "lists")), "a cat")
    fit = np.float16(clip.texts(LABELS)).astype(np.float32) @ image
    first, second = np.argsort(-fit[:6])[:2]
    assert text.split(", ") == ["a cat", LABELS[first], LABELS[second], LABELS[6 + int(fit[6:].argmax())]]


def test_fast_says_as_many_phrases_as_asked_and_none_twice(folder, tmp_path):
    names = write_list(tmp_path / "lists", "a.txt", LABELS)
    parts = said(interrogator(folder, mode="fast", phrases=3, lists=[], folder=str(names)), "a cat").split(", ")
    assert parts[0] == "a cat" and len(parts) == 4 == len(set(parts))


def test_best_fits_at_least_as_well_as_every_other_mode(folder, clip, image):
    texts = {mode: said(interrogator(folder, mode=mode), "a cat") for mode in ("fast", "classic", "best")}
    fit = dict(zip(texts, clip.texts(list(texts.values())) @ image))
    assert fit["best"] >= max(fit.values()) - 1e-6
    assert fit["best"] >= float(clip.texts(["a cat"])[0] @ image)


def test_negative_begins_with_nothing_and_fits_worse_than_anything_alone(folder, clip, image):
    text = said(interrogator(folder, mode="negative"), "a cat")
    labels = lists.merged(lists.ours(["mediums", "defects"]))
    assert "a cat" not in text and set(text.split(", ")) <= set(labels)
    assert float((clip.texts([text]) @ image)[0]) < float((clip.texts(labels) @ image).min())


def test_a_phrase_that_the_sentence_has_is_not_said_again(folder, tmp_path):
    names = write_list(tmp_path / "lists", "a.txt", ["an oil painting", "stars", "star"])
    captioner = interrogator(folder, mode="fast", lists=[], folder=str(names))
    assert said(captioner, "Oil painting of a star") == "Oil painting of a star, stars"


def test_a_sentence_that_is_too_long_loses_its_end(folder, clip):
    text = said(interrogator(folder, mode="best"), "star moon " * 30)
    assert text.startswith("star moon star") and clip.fits([text]) == [True]


def test_the_sentence_is_written_by_a_blip_where_nobody_said_one(folder, tmp_path):
    from tests.captioners.tiny_blip import tiny_blip

    blip = tiny_blip(tmp_path / "blip")
    captioner = interrogator(folder, mode="caption", caption_model=blip.model)
    assert [weights.here for weights in captioner.further(captioner.options)] == [True]
    assert said(captioner, "a cat") == "a cat"
    assert captioner.writer is None, "it was not needed"
    text = said(captioner)
    assert text and captioner.writer is not None
    captioner.options.mode = "fast"
    captioner.close()
    again = interrogator(folder, mode="fast", caption_model=blip.model)
    assert said(again).startswith(text)


def test_a_black_picture_is_described_like_any_other(folder):
    captioner = interrogator(folder, mode="fast")
    picture = Picture(Path("black.png"), Image.new("RGB", (1, 700)))
    assert captioner.say([captioner.prepare(picture)])[0].text


# --- the settings -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("values", "field"), [
    ({"lists": ["mediums", "artists"]}, "lists"),
    ({"folder": "/nowhere"}, "folder"),
    ({"tags_of": "/nowhere"}, "tags_of"),
    ({"mode": "caption", "caption_model": ""}, "caption_model"),
    ({"mode": "fast", "lists": []}, "lists"),
    ({"least": 9, "most": 8}, "least"),
])  # fmt: skip
def test_what_cannot_work_is_told_before_a_model_is_loaded(values, field):
    with pytest.raises(SettingsError) as error:
        check(ClipInterrogateSettings, values)
    assert list(error.value.problems) == [field]


def test_settings_without_effect_are_told():
    told = warnings(check(ClipInterrogateSettings, {"mode": "classic", "phrases": 3, "filter": 9, "diversity": 0.1}))
    assert set(told) == {"phrases", "filter", "diversity"}
    assert not warnings(check(ClipInterrogateSettings, {"mode": "fast", "phrases": 3}))


def test_an_empty_name_means_no_list_of_ours(folder, tmp_path):
    names = write_list(tmp_path / "lists", "a.txt", ["star"])
    assert said(interrogator(folder, mode="classic", lists=[""], folder=str(names))) == "star"


def test_nothing_is_downloaded_unless_it_was_agreed_to():
    assert ClipInterrogateSettings().published_lists is False
