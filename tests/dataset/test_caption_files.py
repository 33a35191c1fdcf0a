import json

import pytest
from PIL import Image

from dataset.captions import CaptionFinder, decode, read_caption
from dataset.scan import scan
from dataset.settings import Folder


@pytest.fixture
def picture(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.mark.parametrize("data, text, said", [
    (b"a red star", "a red star", ""),
    ("рыжий кот".encode(), "рыжий кот", ""),
    ("\ufeffwith a mark".encode(), "with a mark", ""),
    ("猫, 犬".encode("utf-16"), "猫, 犬", ""),
    ("a star".encode("utf-16-le"), "a star", "utf-16-le"),
    ("a star".encode("utf-16-be"), "a star", "utf-16-be"),
    ("café".encode("cp1252"), "café", "cp1252"),
    (b"a\x81b", "a\x81b", "latin-1"),
    (b"  first \r\n second", "first", "2 lines"),
    (b"\n\n  third\n", "third", ""),
])
def test_any_encoding(picture, data, text, said):
    picture.with_suffix(".txt").write_bytes(data)
    finder = CaptionFinder(picture.parent)
    caption = finder.find(picture)
    assert (caption.text, caption.source) == (text, picture.with_suffix(".txt"))
    assert [said in problem.reason for problem in finder.problems] == [True] * bool(said)
    assert all(problem.used for problem in finder.problems)


@pytest.mark.parametrize("data, said", [(b"", "empty"), (b" \n\t\r\n", "empty"), ("\ufeff".encode(), "empty"),
                                        (b"x" * 70_000, "too long")])
def test_no_caption_in_the_file(picture, data, said):
    picture.with_suffix(".txt").write_bytes(data)
    finder = CaptionFinder(picture.parent)
    assert finder.find(picture) is None
    assert [said in problem.reason for problem in finder.problems] == [True]


def test_own_extension_first(picture):
    picture.with_suffix(".txt").write_text("text")
    picture.with_suffix(".caption").write_text("caption")
    picture.with_suffix(".tags").write_text("tags")
    assert read_caption(picture).text == "text"
    assert read_caption(picture, "caption").text == "caption"
    assert read_caption(picture, ".tags").text == "tags"
    picture.with_suffix(".tags").write_text("")
    assert read_caption(picture, ".tags").text == "text"  # an empty file hides nothing


def test_extension_in_capitals(picture):
    picture.with_name("a.TXT").write_text("loud")
    assert read_caption(picture).text == "loud"


def test_metadata_jsonl(tmp_path):
    for name in ("a.png", "sub/b.png", "c.png", "d.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    (tmp_path / "d.txt").write_text("the file beside it counts")
    lines = [{"file_name": "a.png", "text": "first"}, {"file_name": "./sub\\b.png", "caption": "second"},
             {"file_name": "c.png", "text": "  "}, {"file_name": "d.png", "text": "no"}, {"other": 1}]
    text = "\n".join(map(json.dumps, lines)) + "\n{broken\n"
    (tmp_path / "metadata.jsonl").write_text(text)
    dataset = scan([Folder(path=str(tmp_path))])
    assert {item.path.name: item.caption for item in dataset.items} == {
        "a.png": "first", "b.png": "second", "c.png": "", "d.png": "the file beside it counts"}
    wrong = next(problem for problem in dataset.problems if problem.path.name == "metadata.jsonl")
    assert "2 lines" in wrong.reason and "5, 6" in wrong.reason


def test_meta_cap(tmp_path):
    for name in ("a", "b", "c", "d"):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{name}.png")
    (tmp_path / "meta_cap.json").write_text(json.dumps({
        "a": {"caption": "a cat", "tags": "cat, sitting"}, "C:\\data\\b.png": {"tags": "dog"},
        str(tmp_path / "c.png"): {"caption": "bird"}, "d": 5}))
    found = {item.path.stem: item.caption for item in scan([Folder(path=str(tmp_path))]).items}
    assert found == {"a": "a cat, cat, sitting", "b": "dog", "c": "bird", "d": ""}


@pytest.mark.parametrize("name", ["metadata.jsonl", "meta_cap.json"])
@pytest.mark.parametrize("content", [b"", b"[]", b"[" * 100_000, b"\xff\xfe\x00", b'{"a": "\xff"}', b"null"])
def test_hostile_tables(picture, name, content):
    (picture.parent / name).write_bytes(content)
    assert read_caption(picture) is None


def test_decode_says_the_encoding():
    assert decode("é".encode()) == ("é", "utf-8")
    assert decode(b"\xe9") == ("é", "cp1252")
