"""Lists of phrases: ours, a person's folder, a data set's tags, and those that are downloaded on request."""

import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from PIL import Image

from captioners.base import CaptionerError
from captioners.clip import lists, published

SIZES = {"mediums": 40, "styles": 80, "lighting": 60, "composition": 60, "colours": 60, "materials": 60, "defects": 40}


def quiet(*_: object) -> None:
    """Nobody asks how far it is."""


def test_our_lists_are_there_and_clean():
    assert set(lists.known()) == set(SIZES)
    for one in lists.ours(SIZES):
        assert len(one.labels) >= SIZES[one.name]
        for label in one.labels:
            assert label == label.lower().strip() and label.isascii() and "," not in label and len(label) < 40, label
            assert not label.startswith("by "), "no artists"


def test_a_folder_of_lists_says_how_many_are_taken(tmp_path):
    (tmp_path / "moods.top3.txt").write_text("calm\n\n  cosy  room \n# no phrase\ncalm\nCALM\neerie,\n")
    (tmp_path / "places.TXT").write_bytes("wald\r\nmünchen\r\n".encode("utf-16"))
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "other.md").write_text("no list")
    moods, places = lists.in_folder(tmp_path)
    assert (moods.name, moods.labels, moods.take) == ("moods", ("calm", "cosy room", "eerie"), 3)
    assert (places.name, places.labels, places.take) == ("places", ("wald", "münchen"), 1)


def test_a_folder_without_lists_is_told(tmp_path):
    with pytest.raises(CaptionerError, match="has no lists"):
        lists.in_folder(tmp_path)


def test_the_tags_of_a_data_set_are_a_list(tmp_path):
    captions = ["a_star, red, blue background", "Red, moon", "a sentence of a good many words, red", ""]
    (tmp_path / "deeper").mkdir()
    for number, caption in enumerate(captions):
        path = tmp_path / ("deeper" if number == 1 else "") / f"{number}.png"
        Image.new("RGB", (4, 4)).save(path)
        path.with_suffix(".txt").write_text(caption)
    found = lists.tags_of(tmp_path)
    assert found.labels == ("red", "a star", "blue background", "moon")
    with pytest.raises(CaptionerError, match="no tags"):
        (tmp_path / "other").mkdir()
        lists.tags_of(tmp_path / "other")


class Shop:
    """A server on this machine with one file."""

    def __init__(self):
        self.content, self.status, self.asked = b"", 200, 0


@pytest.fixture
def shop(monkeypatch) -> Iterator[Shop]:
    shop = Shop()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            shop.asked += 1
            self.send_response(shop.status)
            self.send_header("Content-Length", str(len(shop.content)))
            self.end_headers()
            self.wfile.write(shop.content)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    texts = {name: f"{Path(name).stem} one\n{Path(name).stem} two\n".encode() for name in published.FILES}
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name, text in {**texts, published.LICENCE: b"MIT", "clip_interrogator/evil.py": b"boo"}.items():
            file.writestr(name, text)
    shop.content = archive.getvalue()
    monkeypatch.setattr(published, "URL", f"http://127.0.0.1:{server.server_port}/lists.whl")
    monkeypatch.setattr(published, "BYTES", len(shop.content))
    monkeypatch.setattr(published, "CHECKSUM", hashlib.sha256(shop.content).hexdigest())
    monkeypatch.setattr(published, "FILES", {name: hashlib.sha256(text).hexdigest() for name, text in texts.items()})
    yield shop
    server.shutdown()
    thread.join()
    server.server_close()


def test_lists_are_downloaded_once_with_their_licence(shop, workspace):
    told: list[tuple[str, int, int]] = []
    found, negative = published.lists(lambda *progress: told.append(progress))
    assert [one.name for one in found] == ["mediums", "movements", "flavors"]
    assert negative.labels == ("negative one", "negative two")
    assert told[-1][1] == told[-1][2] == len(shop.content)
    folder = workspace / "cache" / "clip" / "clip-interrogator"
    assert (folder / "LICENSE").read_text() == "MIT"
    assert not list(folder.glob("*.py")) and not list(folder.glob("artists*"))
    published.lists(quiet)
    assert shop.asked == 1
    (folder / "flavors.txt").write_text("half a")
    published.lists(quiet)
    assert shop.asked == 2, "a damaged list is fetched again"


@pytest.mark.parametrize("ruin", ["cut", "changed", "longer"])
def test_a_download_that_is_not_the_known_one_leaves_nothing(shop, workspace, ruin):
    whole = shop.content
    shop.content = {"cut": whole[:-9], "changed": b"\0" + whole[1:], "longer": whole + b"\0" * 300_000}[ruin]
    with pytest.raises(CaptionerError, match="nothing was kept"):
        published.lists(quiet)
    assert not list((workspace / "cache").rglob("*.txt"))


def test_the_pinned_archive_is_named_by_its_address():
    """The address of a file on the package index holds its BLAKE2b hash; ours is of the right length, and https."""
    assert published.URL.startswith("https://files.pythonhosted.org/packages/")
    first, second, rest = published.PLACE.split("/")[-3:]
    assert len(first + second + rest) == 64 and len(published.CHECKSUM) == 64
