"""How much is read: the families' own numbers, and a cut that is where the trainer stops."""

import importlib

import pytest

from dataset.reading import FAMILIES, LENGTHS, Reader
from dataset.tokens import split
from trainer.families import families

CAPTION = "a red hat, " * 60


def test_every_family_is_known_with_its_own_sizes():
    assert list(FAMILIES) == [name for name in families() if name in FAMILIES] and set(FAMILIES) == set(families())
    for name, family in families().items():
        assert FAMILIES[name][:2] == (family.resolution, family.bucket_step)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_reads_as_many_tokens_as_its_file_says(name):
    module = importlib.import_module(families()[name].__module__)
    clip = "clip_words" in families()[name].traits
    assert (FAMILIES[name].encoder == "clip") == clip
    assert FAMILIES[name].tokens == (LENGTHS[0] if clip else getattr(module, "LONGEST", 512))


@pytest.mark.parametrize("encoder", ["clip", "t5", "gemma", "qwen"])
def test_up_to_the_cut_a_caption_is_read_whole(encoder):
    how = Reader(encoder, 50)
    cut = how.cut(CAPTION)
    assert 0 < how.count(CAPTION[:cut]) <= 50 < how.count(CAPTION[: cut + 12]) and how.cut(CAPTION[:cut]) is None
    assert how.exact() == (encoder == "clip" or (encoder == "t5" and how.exact()))


def test_brackets_are_words_or_weights():
    text = "((red hat:1.3), " * 10
    plain, weighted = Reader("clip", 30), Reader("clip", 30, weighted=True)
    assert weighted.count(text) < plain.count(text) and (weighted.cut(text) or len(text)) > plain.cut(text)
    assert plain.cut(text) == len(text) - len(split(text, 30)[1])
