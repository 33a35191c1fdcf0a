"""`prepare check`: what it says, its exit codes, and a report that nothing in a file's name can break out of."""

import hashlib
import json
import re
from html.parser import HTMLParser

import pytest
from PIL import Image

from dataset import command
from tests.dataset.doctor.test_hashes import drawn


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "4_sks dog"
    place.mkdir()
    for index in range(3):
        drawn(index, (600, 600)).save(place / f"{index}.png")
        (place / f"{index}.txt").write_text(f"sks dog, place {index}")
    return place


def test_a_good_folder_ends_with_0(folder, capsys):
    assert command.main(["check", str(folder), "--trigger", "sks"]) == 0
    assert capsys.readouterr().out == "3 pictures, 0 findings, 0 serious.\n"


def test_something_serious_ends_with_1(folder, capsys):
    assert command.main(["check", str(folder), "--trigger", "ohwx"]) == 1
    said = capsys.readouterr().out
    assert "3 captions without the trigger word 'ohwx'" in said and "0.png" in said and "1 serious" in said


def test_json_has_findings_and_a_manifest(folder, capsys):
    assert command.main(["check", str(folder), "--trigger", "ohwx", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["serious"] and [finding["name"] for finding in told["findings"]] == ["captions.trigger"]
    assert told["findings"][0]["cases"][0]["paths"] == ["0.png"]
    assert told["buckets"] == [{"size": [512, 512], "pictures": 3, "repeated": 12, "crop_loss": 0, "small": 0,
                                "enlarge": 1}]
    first = told["pictures"][0]
    assert first["sha256"] == hashlib.sha256((folder / "0.png").read_bytes()).hexdigest()
    assert first["caption"] == "sks dog, place 0" and first["repeats"] == 4
    assert re.fullmatch("[0-9a-f]{16}", first["phash"])


@pytest.mark.parametrize("more, cause", [
    (["--resolution", "500"], "resolution"),
    (["--report", "no/such/folder/r.html"], "--report"),
    (["--caption-extension", "."], "caption_extension"),
])
def test_wrong_options_are_one_line(folder, capsys, more, cause):
    assert command.main(["check", str(folder), *more]) == 2
    assert capsys.readouterr().err.startswith(f"{cause}: ")


def test_a_missing_folder_is_one_line(tmp_path, capsys):
    assert command.main(["check", str(tmp_path / "no")]) == 2
    assert capsys.readouterr().err == f"FOLDER: there is no such folder: {tmp_path / 'no'}\n"


def test_names_and_captions_do_not_steer_the_terminal(folder, capsys):
    (folder / "0.txt").write_text("\x1b[2Jcat")
    (folder / "bad\x1b[1m.png").write_bytes(b"x")
    command.main(["check", str(folder), "--trigger", "sks"])
    assert "\x1b" not in capsys.readouterr().out


def test_captions_are_read_as_the_family_reads_or_as_is_said(folder, capsys):
    (folder / "0.txt").write_text("sks " + "one two three " * 30)
    for options, limit in ("", 75), ("--tokens 90", 90), ("--tokens 150", None), ("--family flux", None):
        command.main(["check", str(folder), *options.split()])
        out = capsys.readouterr().out
        assert (f"of more than {limit} tokens" in out) if limit else ("tokens" not in out.split("open_clip")[0])
    assert command.main(["check", str(folder), "--tokens", "0"]) == 2


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.text = [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_the_report_stands_alone_and_escapes_everything(folder, tmp_path):
    evil = "<img src=x onerror=alert(1)>&\"'.png"
    Image.open(folder / "0.png").save(folder / evil)
    (folder / "1.txt").write_text("<script>alert(1)</script>, >_<, <o>_<o>")
    page = tmp_path / "report.html"
    command.main(["check", str(folder), "--trigger", "<b>sks", "--report", str(page)])
    read = Tags()
    read.feed(page.read_text(encoding="utf-8"))
    assert {tag for tag, _ in read.tags} <= {
        "html", "head", "meta", "title", "style", "body", "h1", "h2", "small", "p", "strong", "section", "ul", "li",
        "figure", "img", "figcaption", "span", "table", "tr", "th", "td", "code", "div"}
    assert all(attrs["src"].startswith("data:image/jpeg;base64,") for tag, attrs in read.tags if tag == "img")
    assert any(tag == "img" for tag, _ in read.tags)
    assert not any(name.startswith("on") or name == "href" for _, attrs in read.tags for name in attrs)
    assert evil in read.text and "<script>alert(1)</script>, >_<, <o>_<o>" in read.text and "<b>sks" in read.text
    assert hashlib.sha256((folder / "2.png").read_bytes()).hexdigest() in read.text
    assert "default-src 'none'" in page.read_text(encoding="utf-8")


def test_a_report_replaces_a_report_and_nothing_else(folder, tmp_path, capsys):
    page = tmp_path / "report.html"
    page.write_text("<!doctype html>mine")
    assert command.main(["check", str(folder), "--report", str(page)]) == 2
    assert page.read_text() == "<!doctype html>mine" and "is no report" in capsys.readouterr().err
    page.unlink()
    assert command.main(["check", str(folder), "--report", str(page)]) == 0
    assert command.main(["check", str(folder), "--report", str(page)]) == 0
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["report.html"]


def test_prepare_itself_is_as_it_was(folder, tmp_path, capsys):
    words = ["--source", str(folder), "--destination", str(tmp_path / "out"), "--trigger", "sks", "--yes"]
    assert command.main(words) == 0
    assert (tmp_path / "out" / "img" / "10_sks" / "0.png").exists()
