"""Writing captions: every format reads back what was written, and nothing that a person wrote is lost."""

import codecs
import json
import os
import random
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from dataset import caption_files
from dataset.caption_files import FORMATS, CaptionStore, combined, one_line, read
from dataset.captions import MAX_BYTES, CaptionFinder, read_caption
from dataset.files import ASIDE, FileError
from dataset.journal import Journal, JournalError
from dataset.scan import scan
from dataset.settings import Folder

ROOT = Path(__file__).resolve().parents[2]
SIDECARS, TABLES = FORMATS[:2], FORMATS[2:]
POSIX = pytest.mark.skipif(os.name != "posix", reason="links and permissions as POSIX has them")
every_format = pytest.mark.parametrize("format", FORMATS)

# what captions, and the texts of damaged ones, are made of
PIECES = ["a cat", "long_hair", ">_<", "1girl", ",", ", ", " ", "\t", "\n", "\r\n", "\r", "\0", "\ufeff", "é",
          "e\u0301", "кот", "猫", "🦊", "\u2028", "\x85", "\\(x\\)", "\"", "'", "{", "}", "<img onerror=x>", "\ud800",
          "\u3000", "a" * 300, ":"]


def noise(rng):
    return "".join(rng.choice(PIECES) for _ in range(rng.randrange(12)))


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / f"{name}.png").write_bytes(b"a picture")
    return folder


def store(root, format="txt", label="test"):
    return CaptionStore(root, format, Journal(root), label)


def texts(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*"))
            if path.is_file() and path.suffix != ".png" and ".loratory" not in path.relative_to(root).parts}


def place(root, format, name="a"):
    return root / (format if format in TABLES else f"{name}.{format}")


# every format


@every_format
def test_written_and_read_and_undone(root, format):
    with store(root, format) as captions:
        for name in "abc":
            picture = root / f"{name}.png"
            assert captions.before(picture) == ""
            assert captions.put(picture, f"a {name}", "") == "written"
            assert captions.before(picture) == f"a {name}"
            assert captions.put(picture, f"a {name}", "whatever") == "same"
    assert captions.action_id == Journal(root).history()[0].id
    for name in "abc":
        assert read(root / f"{name}.png", format) == f"a {name}"
        assert CaptionFinder(root).find(root / f"{name}.png").text == f"a {name}"
    data = place(root, format).read_bytes()
    assert data.endswith(b"\n") and b"\r" not in data and not data.startswith(codecs.BOM_UTF8)
    Journal(root).undo()
    assert texts(root) == {}
    Journal(root).redo()
    assert read(root / "c.png", format) == "a c"


@every_format
def test_any_text_comes_back_as_one_line(root, format):
    rng = random.Random(format)
    with CaptionStore(root, format) as captions:
        for _ in range(300):
            picture, text = root / f"{rng.choice('abc')}.png", noise(rng)
            before = captions.before(picture)
            outcome = captions.put(picture, text, before)
            line = one_line(text)
            if not line:
                assert outcome == ("kept" if before else "same")
            else:
                assert outcome == ("same" if before == line else "written")
                captions._place.flush()
                assert captions.before(picture) == read(picture, format) == line
                assert len(line.splitlines()) == 1
                assert CaptionFinder(root, format).find(picture).text == line


@every_format
def test_an_empty_text_is_never_written(root, format):
    with store(root, format) as captions:
        for text in ("", " \n", "\0", "\ufeff"):
            assert captions.put(root / "a.png", text, "") == "same"
        captions.put(root / "a.png", "words", "")
        assert captions.put(root / "a.png", "", "words") == "kept"
    assert read(root / "a.png", format) == "words"
    assert read(root / "b.png", format) is None


@every_format
def test_another_formats_caption_counts_and_stays(root, format):
    """Mode missing asks `before`; a conversion puts the same text in its own place."""
    for other in FORMATS:
        if other != format:
            folder = root / other
            folder.mkdir()
            (folder / "a.png").touch()
            with CaptionStore(folder, other) as captions:
                captions.put(folder / "a.png", "by hand", "")
            old = texts(folder)
            with store(folder, format) as captions:
                assert captions.before(folder / "a.png") == "by hand"
                assert captions.put(folder / "a.png", "by hand", "by hand") == "written"
            assert read(folder / "a.png", format) == "by hand"
            assert old.items() <= texts(folder).items()


@every_format
def test_changed_outside_since_is_kept(root, format):
    with CaptionStore(root, format) as captions:
        captions.put(root / "a.png", "old", "")
    with store(root, format) as captions:
        before = captions.before(root / "a.png")
        path = place(root, format)
        path.write_bytes(path.read_bytes().replace(b"old", b"by a person"))
        assert captions.put(root / "a.png", "new", before) == "kept"
        assert captions.put(root / "b.png", "new", "") == "written"
    assert read(root / "a.png", format) == "by a person"
    assert read(root / "b.png", format) == "new"


@every_format
def test_written_outside_since_is_kept(root, format):
    with store(root, format) as captions:
        assert captions.before(root / "a.png") == ""
        with CaptionStore(root, format) as other:
            other.put(root / "a.png", "by a person", "")
        assert captions.put(root / "a.png", "new", "") == "kept"
    assert read(root / "a.png", format) == "by a person"


@every_format
def test_deleted_since_is_not_brought_back(root, format):
    with CaptionStore(root, format) as captions:
        captions.put(root / "a.png", "old", "")
    with store(root, format) as captions:
        before = captions.before(root / "a.png")
        place(root, format).unlink()
        assert captions.put(root / "a.png", "old, more", before) == "kept"
    assert texts(root) == {}


@every_format
@pytest.mark.parametrize("name", ["a b", "[a]*?", "it's \"so\"", "кот", "猫", unicodedata.normalize("NFD", "é"), "é",
                                  "a.b.c", "{x}%s", "x" * 240, "-v", "a\nb", "#", "🦊"])
def test_any_name_in_any_folder(root, format, name):
    folder = root / "10_sks dog" / "inner"
    folder.mkdir(parents=True)
    (folder / f"{name}.png").touch()
    with store(root, format) as captions:
        assert captions.put(folder / f"{name}.png", "words", captions.before(folder / f"{name}.png")) == "written"
    picture = folder / f"{name}.png"
    assert read(picture, format) == CaptionFinder(root, format).find(picture).text == "words"


@every_format
def test_a_relative_path_and_a_link_to_the_folder(root, tmp_path, format, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with store("set", format) as captions:
        assert captions.put(Path("set/a.png"), "words", captions.before(root / "a.png")) == "written"
        assert captions.before(Path("set/../set/a.png")) == "words"
    if os.name == "posix":
        (tmp_path / "link").symlink_to(root)
        with store(tmp_path / "link", format) as captions:
            assert captions.put(root / "a.png", "more", captions.before(tmp_path / "link/a.png")) == "written"
    assert read(root / "a.png", format) == "more"
    assert [Journal(root).undo().changed for _ in "ab"] == ([1, 1] if os.name == "posix" else [1, 0])
    assert texts(root) == {}


@every_format
def test_a_picture_of_another_folder(root, tmp_path, format):
    (tmp_path / "other.png").touch()
    with store(root, format) as captions, pytest.raises(FileError, match="isn't in"):
        captions.put(tmp_path / "other.png", "words", "")


@every_format
def test_a_random_life_is_undone_step_by_step(root, format):
    """Runs in all modes, a person's edits between them, and then back through all of it."""
    rng = random.Random(format)
    states = [texts(root)]
    for number in range(12):
        with store(root, format, str(number)) as captions:
            for picture in rng.sample(sorted(root.glob("*.png")), 2):
                before = captions.before(picture)
                text = combined(before, noise(rng), rng.choice(["missing", "append", "prepend", "overwrite"]))
                captions.put(picture, text, before)
        if captions.action_id:
            states.append(texts(root))
    for state in states[-2::-1]:
        assert not Journal(root).undo().kept
        assert texts(root) == state
    for state in states[1:]:
        assert not Journal(root).redo().kept
        assert texts(root) == state


@every_format
def test_looking_writes_nothing(root, format):
    with CaptionStore(root, format) as captions:
        captions.before(root / "a.png")
    assert sorted(os.listdir(root)) == ["a.png", "b.png", "c.png"]
    with store(root, format):
        pass
    assert Journal(root).history() == []


def test_a_folder_that_cannot_be_written_is_told_at_once(root):
    (root / ".loratory").write_text("")
    with pytest.raises(JournalError):
        store(root)


def test_an_unknown_format(root):
    with pytest.raises(ValueError, match="known are txt"):
        CaptionStore(root, "docx")


# text files


@pytest.mark.parametrize("data, before", [
    (b"a cat\r\n", "a cat"), (codecs.BOM_UTF8 + b"a cat", "a cat"), ("猫".encode("utf-16"), "猫"),
    ("café".encode("cp1252"), "café"), (b"\n\n a cat", "a cat"), (b"", ""), (b" \r\n", ""), (b"\0" * 40, ""),
])
def test_any_encoding_is_replaced_by_utf8_and_comes_back_exactly(root, data, before):
    (root / "a.txt").write_bytes(data)
    with store(root) as captions:
        assert captions.before(root / "a.png") == before
        assert captions.put(root / "a.png", combined(before, "new", "append"), before) == "written"
    assert (root / "a.txt").read_text("utf-8") == (f"{before}, new\n" if before else "new\n")
    Journal(root).undo()
    assert (root / "a.txt").read_bytes() == data


def test_what_needs_no_change_keeps_each_byte(root):
    (root / "a.txt").write_bytes("\ufeffcafé\r\n".encode())
    with store(root) as captions:
        assert captions.put(root / "a.png", "café", captions.before(root / "a.png")) == "same"
    assert (root / "a.txt").read_bytes() == "\ufeffcafé\r\n".encode()


def test_lines_below_the_caption_stay_when_it_is_added_to(root):
    (root / "a.txt").write_bytes(b"a cat\r\n\r\nnotes of mine\r\n")
    with store(root) as captions:
        captions.put(root / "a.png", "a cat, tabby", captions.before(root / "a.png"))
        assert (root / "a.txt").read_bytes() == b"a cat, tabby\n\nnotes of mine\n"
        captions.put(root / "a.png", "a dog", "a cat, tabby")
        assert (root / "a.txt").read_bytes() == b"a dog\n"
    Journal(root).undo()
    assert (root / "a.txt").read_bytes() == b"a cat\r\n\r\nnotes of mine\r\n"


def test_another_text_of_the_same_name_is_no_missing_caption(root):
    """`before` finds no caption in it, but a book beside its cover is no free place."""
    book = b"Chapter one. " * MAX_BYTES
    (root / "a.txt").write_bytes(book)
    with store(root) as captions:
        assert captions.before(root / "a.png") == ""
        with pytest.raises(FileError, match="too long"):
            captions.put(root / "a.png", "a cover", "")
    assert (root / "a.txt").read_bytes() == book


def test_a_caption_that_nobody_could_read_again_is_not_written(root):
    with store(root) as captions, pytest.raises(FileError, match="too long"):
        captions.put(root / "a.png", "x" * MAX_BYTES, "")
    assert texts(root) == {}


@POSIX
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_caption_that_may_not_be_read_is_no_missing_one(root):
    (root / "a.txt").write_text("mine")
    (root / "a.txt").chmod(0o200)
    with store(root) as captions:
        assert captions.before(root / "a.png") == ""
        with pytest.raises(FileError):
            captions.put(root / "a.png", "new", "")
    (root / "a.txt").chmod(0o600)
    assert (root / "a.txt").read_text() == "mine"


@POSIX
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_left_and_nobody_waits_for_it(root, make):
    make(root / "a.txt")
    with store(root) as captions:
        assert captions.before(root / "a.png") == ""
        with pytest.raises(FileError, match="isn't a file"):
            captions.put(root / "a.png", "new", "")
        assert captions.put(root / "b.png", "new", "") == "written"


def test_a_write_protected_caption_is_left_and_the_rest_goes_on(root):
    (root / "a.txt").write_text("mine")
    (root / "a.txt").chmod(0o444)
    with store(root) as captions:
        with pytest.raises(FileError, match="write-protected"):
            captions.put(root / "a.png", "mine, more", captions.before(root / "a.png"))
        captions.put(root / "b.png", "new", "")
    assert texts(root) == {"a.txt": b"mine", "b.txt": b"new\n"}


@POSIX
def test_links_are_followed_inside_only(root, tmp_path):
    (tmp_path / "theirs.txt").write_text("theirs")
    (root / "a.txt").symlink_to(tmp_path / "theirs.txt")
    (root / "shared.txt").write_text("ours")
    (root / "b.txt").symlink_to("shared.txt")
    (root / "c.txt").symlink_to("nowhere.txt")
    with store(root) as captions:
        with pytest.raises(FileError, match="outside"):
            captions.put(root / "a.png", "theirs, more", captions.before(root / "a.png"))
        captions.put(root / "b.png", "ours, more", captions.before(root / "b.png"))
        with pytest.raises(FileError, match="isn't there"):
            captions.put(root / "c.png", "new", captions.before(root / "c.png"))
    assert (tmp_path / "theirs.txt").read_text() == "theirs"
    assert (root / "b.txt").is_symlink() and (root / "shared.txt").read_text() == "ours, more\n"


def test_pictures_that_share_a_caption_file(root):
    """The one that is met first has it; the other's words would replace them."""
    (root / "a.jpg").touch()
    with store(root) as captions:
        befores = {name: captions.before(root / name) for name in ("a.jpg", "a.png", "b.png")}
        with pytest.raises(FileError, match="shares the caption file a.txt with a.jpg"):
            captions.put(root / "a.png", "of the png", befores["a.png"])
        assert captions.put(root / "a.jpg", "of the jpg", befores["a.jpg"]) == "written"
    assert read_caption(root / "a.png").text == "of the jpg"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a.TXT is a.txt")
def test_an_extension_in_capitals_is_the_same_file(root):
    (root / "a.TXT").write_text("mine")
    with store(root) as captions:
        captions.put(root / "a.png", "mine, more", captions.before(root / "a.png"))
    assert texts(root) == {"a.TXT": b"mine, more\n"}


def test_a_caption_that_hides_the_new_one_is_told(root):
    (root / "a.txt").write_text("a cat")
    for format in ("caption", *TABLES):
        with store(root, format) as captions:
            captions.put(root / "a.png", "a dog", captions.before(root / "a.png"))
        assert [(problem.path.name, problem.used) for problem in captions.problems] == [("a.txt", True)]


# tables


def test_only_the_row_changes_in_metadata_jsonl(root):
    lines = ['{"text": "a cat", "file_name": "./a.png", "seed": 7, "score": 1.10}\r', "", "half a li", "[1, 2]",
             '{"file_name": "other/z.png", "text": "caf\\u00e9"}', '{"file_name":"b.png"}',
             '{"file_name": "c.png", "caption": "in its own key", "text": ""}',
             '{"file_name": "a.png", "text": "twice"}']
    table = root / "metadata.jsonl"
    table.write_bytes(codecs.BOM_UTF8 + "\n".join(lines).encode())
    with store(root, "metadata.jsonl") as captions:
        for name, before in zip("abc", ("a cat", "", "in its own key")):
            assert captions.before(root / f"{name}.png") == before
            assert captions.put(root / f"{name}.png", f"{name} 猫", before) == "written"
        (root / "d.png").touch()
        captions.put(root / "d.png", "last", "")
    new = table.read_bytes().decode().split("\n")
    assert new[0] == '{"text": "a 猫", "file_name": "./a.png", "seed": 7, "score": 1.1}\r'
    assert new[1:5] == lines[1:5] and new[7] == lines[7]
    assert new[5] == '{"file_name": "b.png", "text": "b 猫"}'
    assert json.loads(new[6]) == {"file_name": "c.png", "caption": "c 猫", "text": ""}
    assert new[8:] == ['{"file_name": "d.png", "text": "last"}', ""]
    Journal(root).undo()
    assert table.read_bytes() == codecs.BOM_UTF8 + "\n".join(lines).encode()


def test_only_the_caption_changes_in_meta_cap(root):
    old = {"/elsewhere/z.jpg": {"caption": "z"}, "b": {"tags": "x, y", "image_size": [1, 2]}, "extra": 3,
           "a": {"train_resolution": [512, 512], "caption": "a cat", "tags": "tabby"}, "c": {"tags": ["x", "y"]}}
    (root / "meta_cap.json").write_text(json.dumps(old))
    with store(root, "meta_cap.json") as captions:
        for name, before in zip("abc", ("a cat, tabby", "x, y", "x, y")):
            assert captions.before(root / f"{name}.png") == before
            captions.put(root / f"{name}.png", f"{before}, new", before)
        (root / "d.png").touch()
        captions.put(root / "d.png", "last", "")
    new = json.loads((root / "meta_cap.json").read_text())
    assert list(new) == [*old, "d"]
    assert new["a"] == {"train_resolution": [512, 512], "caption": "a cat", "tags": "tabby, new"}
    assert new["b"] == {"tags": "x, y, new", "image_size": [1, 2]}
    assert new["c"] == {"tags": ["x", "y", "new"]}
    assert (new["extra"], new["/elsewhere/z.jpg"], new["d"]) == (3, {"caption": "z"}, {"caption": "last"})
    with store(root, "meta_cap.json") as captions:
        captions.put(root / "a.png", "a dog", captions.before(root / "a.png"))
    assert json.loads((root / "meta_cap.json").read_text())["a"] == {"train_resolution": [512, 512], "caption": "a dog"}


@pytest.mark.parametrize("text", ["{", "[1]", "[" * 100_000, "\0", "null"])
def test_a_broken_meta_cap_is_left(root, text):
    (root / "meta_cap.json").write_text(text)
    with store(root, "meta_cap.json") as captions:
        assert captions.before(root / "a.png") == ""
        with pytest.raises(FileError, match="isn't a table"):
            captions.put(root / "a.png", "new", "")
    assert (root / "meta_cap.json").read_text() == text


def test_equal_names_in_tables(root):
    (root / "a.jpg").touch()
    for format in TABLES:
        with store(root, format) as captions:
            for name in ("a.jpg", "a.png"):
                assert captions.put(root / name, f"of {name}", captions.before(root / name)) == "written"
        assert [read(root / name, format) for name in ("a.jpg", "a.png")] == ["of a.jpg", "of a.png"]


def test_equal_names_that_share_a_row(root):
    (root / "a.jpg").touch()
    (root / "meta_cap.json").write_text('{"a": {"caption": "either"}}')
    with store(root, "meta_cap.json") as captions:
        assert captions.put(root / "a.jpg", "jpg", captions.before(root / "a.jpg")) == "written"
        with pytest.raises(FileError, match="shares its row"):
            captions.put(root / "a.png", "png", captions.before(root / "a.png"))
    assert read(root / "a.jpg", "meta_cap.json") == "jpg"


@pytest.mark.parametrize("format", TABLES)
def test_a_table_above_is_added_to_rather_than_hidden(root, format):
    (root / "sub").mkdir()
    (root / "sub/x.png").touch()
    with store(root, format) as captions:
        captions.put(root / "a.png", "a cat", "")
    with store(root, format) as captions:
        captions.put(root / "sub/x.png", "an x", captions.before(root / "sub/x.png"))
    assert list(texts(root)) == [format]
    finder = CaptionFinder(root)
    assert [finder.find(root / name).text for name in ("a.png", "sub/x.png")] == ["a cat", "an x"]


@pytest.mark.parametrize("format", TABLES)
def test_a_table_is_not_written_for_every_caption(root, format, monkeypatch):
    changes = []
    change = CaptionStore._change
    monkeypatch.setattr(CaptionStore, "_change", lambda *args: changes.append(args) or change(*args))
    with store(root, format) as captions:
        for number in range(100):
            captions.put(root / "a.png", f"text {number}", captions.before(root / "a.png"))
        assert changes == []
        monkeypatch.setattr(caption_files, "EVERY", 0)
        captions.put(root / "b.png", "b", "")
        assert len(changes) == 1
    assert read(root / "a.png", format) == "text 99"


@pytest.mark.parametrize("format", TABLES)
def test_rows_that_a_person_changes_while_others_wait(root, format):
    with CaptionStore(root, format) as captions:
        for name in "abc":
            captions.put(root / f"{name}.png", f"old {name}", "")
    path = root / format
    with store(root, format) as captions:
        for name in "ab":
            captions.put(root / f"{name}.png", f"new {name}", f"old {name}")
        path.write_bytes(path.read_bytes().replace(b"old b", b"by hand").replace(b"old c", b"this too"))
    assert [read(root / f"{name}.png", format) for name in "abc"] == ["new a", "by hand", "this too"]
    assert [problem.path.name for problem in captions.problems] == ["b.png"]


@pytest.mark.parametrize("format", TABLES)
def test_a_write_protected_table_is_told_at_the_first_picture(root, format):
    with CaptionStore(root, format) as captions:
        captions.put(root / "a.png", "a", "")
    (root / format).chmod(0o444)
    with store(root, format) as captions, pytest.raises(FileError, match="write-protected"):
        captions.put(root / "b.png", "b", "")


@pytest.mark.parametrize("format", TABLES)
def test_after_an_error_elsewhere_what_waited_is_written(root, format):
    with pytest.raises(KeyError), store(root, format) as captions:
        captions.put(root / "a.png", "a", "")
        raise KeyError
    assert read(root / "a.png", format) == "a"
    assert Journal(root).history()[0].state == "interrupted"
    Journal(root).undo()
    assert texts(root) == {}


def test_many_rows_take_little_time(root):
    for number in range(3000):
        (root / f"p{number}.png").touch()
    for format in TABLES:
        start = time.perf_counter()
        with store(root, format) as captions:
            for number in range(3000):
                picture = root / f"p{number}.png"
                captions.put(picture, f"text {number}", captions.before(picture))
        assert time.perf_counter() - start < 20  # about two; far more if each read the folder or wrote the table


# joining


@pytest.mark.parametrize("existing, new, mode, separator, result", [
    ("a cat", "dog", "missing", ", ", "a cat"), ("", "dog", "missing", ", ", "dog"),
    ("a cat", "dog", "overwrite", ", ", "dog"), ("a cat", "", "overwrite", ", ", "a cat"),
    ("a cat", "dog, a cat, bird", "append", ", ", "a cat, dog, bird"),
    ("a cat", "dog, a cat, bird", "prepend", ", ", "dog, bird, a cat"),
    ("Long Hair, x", "long_hair, LONG  HAIR, y", "append", ", ", "Long Hair, x, y"),
    ("a cat", "a_cat", "append", ", ", "a cat"), ("a cat", "", "append", ", ", "a cat"),
    ("", "a,b", "append", ", ", "a,b"), ("x", "a,b", "append", ", ", "x, a,b"),
    ("A cat sits.", "sitting, cat", "append", ". ", "A cat sits. sitting, cat"),
    ("x | a", "a, b", "append", " | ", "x | a | b"), ("x,", "y", "append", ", ", "x, y"),
    ("x", "y", "append", "", "xy"), ("x", ">_<, x", "append", ", ", "x, >_<"),
    ("cat", "cats", "append", ", ", "cat, cats"),
    ("a", "b, b", "append", ", ", "a, b"), ("x, , y", "z", "append", ", ", "x, , y, z"),
])
def test_combined(existing, new, mode, separator, result):
    assert combined(existing, new, mode, separator) == result


def test_adding_loses_and_repeats_nothing():
    rng = random.Random(5)
    parts = ["a cat", "A_Cat", "dog", "...", ">_<", "x. y", "", " ", "猫", "a|b"]
    for _ in range(5000):
        separator, mode = rng.choice([", ", ",", ". ", " | ", " ", ""]), rng.choice(["append", "prepend"])
        words = [part for part in parts if "." not in separator or part != "..."]  # a part of nothing but separators
        existing, new = (", ".join(rng.choices(words, k=rng.randrange(5))) for _ in "ab")
        result = combined(existing, new, mode, separator)
        assert existing in result
        assert result.endswith(existing) if mode == "prepend" else result.startswith(existing)
        if existing and separator.strip():
            assert combined(result, new, mode, separator) == result
        assert combined(existing, new, "missing", separator) == (existing or new)


# two at once, kills


WORKER = """
import random, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from dataset.caption_files import CaptionStore
from dataset.journal import Journal
root, format, who = Path(sys.argv[1]), sys.argv[3], sys.argv[4]
rng, pictures, wrote = random.Random(who), sorted(root.glob("*.png")), []
with CaptionStore(root, format, Journal(root), who) as captions:
    print("go", flush=True)
    for number in range(int(sys.argv[5])):
        picture = rng.choice(pictures)
        before = captions.before(picture)
        captions.put(picture, (before + f", {who}{number}").strip(", "), before)
"""


def worker(root, format, who, count=10**9):
    command = [sys.executable, "-c", WORKER, str(root), str(ROOT), format, who, str(count)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"go\n"
    return process


def ended(process):
    code = process.wait(timeout=60)
    process.stdout.close()
    return code


@pytest.mark.parametrize("format", ["txt", "metadata.jsonl"])
def test_two_jobs_at_once_lose_no_word_of_each_other(root, format):
    """Everything that either wrote is in what is there, or was put on what was there: adding only ever adds."""
    workers = [worker(root, format, who, 150) for who in "xy"]
    assert [ended(process) for process in workers] == [0, 0]
    for picture in root.glob("*.png"):
        parts = (read(picture, format) or "").split(", ")
        for who in "xy":
            mine = [int(part[1:]) for part in parts if part.startswith(who)]
            assert mine == sorted(mine) and len(set(mine)) == len(mine)
    history = Journal(root).history()
    written = sum(line.count(b'"after"') for path in (root / ".loratory/journal").glob("*.jsonl")
                  for line in path.read_bytes().splitlines())
    there = sum(len((read(picture, format) or "").split(", ")) for picture in root.glob("*.png"))
    assert len(history) == 2
    if format == "txt":
        assert there == written  # each change that the journal has added one word, and none has gone


@pytest.mark.parametrize("format", ["txt", *TABLES])
def test_killed_at_any_moment_every_caption_is_old_or_new(root, format):
    rng = random.Random(format)
    with CaptionStore(root, format) as captions:
        for name in "ab":
            captions.put(root / f"{name}.png", f"by hand {name}", "")
    old = texts(root)
    for _ in range(2):
        process = worker(root, format, "k")
        time.sleep(rng.uniform(0.0, 0.1))
        process.kill()
        ended(process)
        for name in "ab":
            assert read(root / f"{name}.png", format).startswith(f"by hand {name}")
        assert (read(root / "c.png", format) or "k").startswith("k")
        with store(root, format) as captions:  # a later run, which goes on and clears away
            captions.put(root / "a.png", "words of a later run", captions.before(root / "a.png"))
        assert not [name for name in os.listdir(root) if name.startswith(ASIDE[0]) and name.endswith(ASIDE[1])]
        while Journal(root).undo().id:
            pass
        assert texts(root) == old


def test_the_scan_passes_over_the_journal(root):
    for name in "abc":
        Image.new("RGB", (8, 8)).save(root / f"{name}.png")
    with store(root, "metadata.jsonl") as captions:
        for name in "abc":
            captions.put(root / f"{name}.png", "x" * 9000, "")
    Image.new("RGB", (8, 8)).save(root / ".loratory" / "no.png")
    (root / ".loratory" / "10_sks dog").mkdir()
    dataset = scan([Folder(path=str(root))])
    assert [item.path.name for item in dataset.items] == ["a.png", "b.png", "c.png"]
    assert dataset.problems == []
