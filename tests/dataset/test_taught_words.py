"""New words are counted before a run as the trainer's tokenizer, which was taught them, counts them."""

import json

import pytest
from PIL import Image

from dataset import new_words, seen, spelling, tokens
from dataset.new_words import NewWords
from dataset.scan import scan
from dataset.seen_command import main
from dataset.settings import Folder
from tests.models import clip_tokenizer
from trainer.config import NewWord
from trainer.inversion.new_words import extend

WORDS = (("sks", 3), ("<my-dog>", 2), ("toto", 1))
CAPTIONS = ("a sks dog", "SKS,sks and <My-Dog>!", "tasks, sks_1, sks-dog, my-dog", "", "sks", "é sks  toto 12 toto",
            "<my-dog> <my-dog>sks", "(sks) [toto]")


@pytest.fixture(scope="module")
def taught():
    tokenizer = clip_tokenizer()
    extend(tokenizer, [NewWord(word=word, vectors=vectors) for word, vectors in WORDS])
    return tokenizer


@pytest.mark.parametrize("caption", CAPTIONS)
def test_a_caption_has_as_many_tokens_as_for_the_trainers_tokenizer(taught, caption):
    ranks = tokens.ranks_of(tuple(pair) for pair in merges(taught))
    ids = taught(caption, add_special_tokens=False).input_ids
    found = spelling.spelled(caption, spelling.Vocabulary(ranks, 75, new=NewWords(WORDS)))
    assert len(found.borders) == len(ids)
    first = taught.convert_tokens_to_ids(chr(0xE000))
    shown = [found.text[start:end].lower() for start, end in found.borders]
    heads = {first: "sks", first + 3: "<my-dog>", first + 5: "toto"}
    for number, text in zip(ids, shown):
        assert number < first or text == heads.get(number, "")


def merges(tokenizer):
    found = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    return [pair.split() if isinstance(pair, str) else pair for pair in found]


def test_counts_and_cuts_of_the_editor_know_them():
    new = NewWords((("sks", 10),))
    plain = tokens.count("a dog, day")
    assert tokens.count("a dog, sks day", new) == plain + 10 and tokens.count("a dog, tasks", new) < plain + 10
    assert tokens.split("a dog sks", 12, new) == ("a dog sks", "")
    assert tokens.split("a dog sks", 11, new) == ("a dog", "sks"), "a word that is not read whole is cut off"
    assert tokens.borders("a sks", {}, new)[1:] == [(2, 5)] + [(5, 5)] * 9


def test_brackets_and_new_words(taught):
    read = spelling.Vocabulary(None, 75, True, NewWords(WORDS))
    found = spelling.spelled("(sks:1.3) dog", read)
    assert [found.text[start:end] for start, end in found.borders] == ["sks", "", "", "dog"]


def test_the_pattern_is_the_trainers():
    assert NewWord(word="sks").pattern == new_words.pattern("sks")


def test_what_a_run_sees_counts_its_words(tmp_path, capsys):
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("a sks dog")
    data = scan([Folder(path=str(tmp_path))])

    def borders(**sections):
        settings = seen.showing(sections)
        picture = seen.seen(tmp_path / "a.png", settings, data)
        told = seen.told(picture, settings)
        return told["caption"]["borders"], told["turns"][0]["borders"]

    rows = [{"word": "sks", "vectors": 8, "initialiser": "dog", "learning_rate": 1e-3}]
    one = len(borders()[0])
    caption, turn = borders(words={"new": rows, "stop_at": 0.5})
    assert caption == turn and len(caption) == 10 > one and caption[1:9] == [(2, 5)] + [(5, 5)] * 7
    assert len(borders(words={"new": ["sks"]})[0]) == 3, "a bare word is one vector"
    config = tmp_path / "run.toml"
    config.write_text('[[words.new]]\nword = "sks"\nvectors = 8\n')
    assert main([str(tmp_path / "a.png"), "--config", str(config)]) == 0
    assert "(10 of 75 tokens)" in capsys.readouterr().out
