"""Drafts, cached scans and thumbnails: what is kept, and when it is thrown away."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from dataset.pictures import PictureError
from dataset.settings import Folder
from gui.drafts import Drafts
from gui.scans import Scans, files
from gui.thumbnails import Thumbnails
from settings.errors import SettingsError


def test_a_draft_comes_back(tmp_path):
    Drafts(tmp_path / "drafts").save("train", {"name": "猫", "rank": None})
    assert Drafts(tmp_path / "drafts").load("train") == {"name": "猫", "rank": None}


@pytest.mark.parametrize("damage", [b"", b"{", b"[1]", b"\xff\xfe"])
def test_a_damaged_draft_is_an_empty_one(tmp_path, damage):
    (tmp_path / "train.json").write_bytes(damage)
    assert Drafts(tmp_path).load("train") == {}
    assert Drafts(tmp_path).load("never saved") == {}


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.new("RGB", (64, 48)).save(folder / "a.png")
    return folder


def test_a_scan_is_kept_until_something_changes(pictures):
    scans = Scans()
    first = scans.scan([Folder(path=str(pictures))])
    assert scans.scan([Folder(path=str(pictures))]) is first
    (pictures / "a.txt").write_text("a caption")
    second = scans.scan([Folder(path=str(pictures))])
    assert second.items[0].caption == "a caption"
    Image.new("RGB", (32, 32)).save(pictures / "b.png")
    assert scans.scan([Folder(path=str(pictures))]).images == 2
    assert scans.scan([Folder(path=str(pictures), repeats=3)]).items[0].repeats == 3


def test_scans_follow_links_in_a_circle_once(pictures):
    (pictures / "loop").symlink_to(pictures, target_is_directory=True)
    assert Scans().scan([Folder(path=str(pictures))]).images == 1


def test_a_folder_with_too_many_files_is_not_looked_through(pictures, monkeypatch):
    monkeypatch.setattr("gui.scans.MOST", 20)
    for number in range(20):
        (pictures / f"{number}.txt").write_text("")
    with pytest.raises(SettingsError, match="more than 20 files; choose the pictures' folder"):
        Scans().scan([Folder(path=str(pictures))])
    (pictures / "0.txt").unlink()
    assert Scans().scan([Folder(path=str(pictures))]).images == 1


def test_a_look_ends_when_the_same_form_asks_for_another_folder(pictures, tmp_path, monkeypatch):
    scans, other = Scans(), tmp_path / "other"
    other.mkdir()
    asked = []

    def slow(root):
        if root == pictures and not asked:
            asked.append(threading.Thread(target=scans.scan, args=([Folder(path=str(other))], ".txt", "train")))
            asked[0].start()
            while scans._newest["train"] != 1:
                time.sleep(0.001)
        return files(root)

    monkeypatch.setattr("gui.scans.files", slow)
    with pytest.raises(SettingsError, match="another folder was chosen"):
        scans.scan([Folder(path=str(pictures))], by="train")
    asked[0].join(10)
    assert scans.scan([Folder(path=str(pictures))], by="captions").images == 1  # other forms don't mind


def test_folders_that_are_not_there(tmp_path):
    scans = Scans()
    gone = [Folder(path=str(tmp_path / "new")), Folder(path="")]
    assert scans.scan(gone).images == 0
    (tmp_path / "new").mkdir()
    Image.new("RGB", (32, 32)).save(tmp_path / "new" / "a.png")
    assert scans.scan(gone).images == 1


def test_a_thumbnail_is_made_once_and_anew_after_a_change(tmp_path, pictures):
    thumbnails = Thumbnails(tmp_path / "cache")
    small = thumbnails.small(pictures / "a.png", 64)
    assert Image.open(small).size == (64, 48) and Image.open(small).format == "WEBP"
    assert thumbnails.small(pictures / "a.png", 64) == small
    Image.new("RGB", (400, 200)).save(pictures / "a.png")
    other = thumbnails.small(pictures / "a.png", 256)
    assert other != small and Image.open(other).size == (256, 128)


def test_ids_are_given_out_and_nothing_else_is_known(tmp_path, pictures):
    thumbnails = Thumbnails(tmp_path / "cache")
    known = thumbnails.id_of(pictures / "a.png")
    assert thumbnails.path_of(known) == pictures / "a.png"
    for wrong in ("", "..", str(pictures / "a.png"), known[:-1]):
        assert thumbnails.path_of(wrong) is None


def test_what_is_no_picture_raises_and_leaves_nothing(tmp_path, pictures):
    (pictures / "bad.png").write_bytes(b"<svg onload=alert(1)>")
    thumbnails = Thumbnails(tmp_path / "cache")
    with pytest.raises(PictureError):
        thumbnails.small(pictures / "bad.png", 64)
    assert not list((tmp_path / "cache").rglob("*.*"))


def test_two_windows_may_keep_a_draft_at_once(tmp_path, monkeypatch):
    both, move = threading.Barrier(2, timeout=10), os.replace
    monkeypatch.setattr(os, "replace", lambda old, new: (both.wait(), move(old, new)))
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda turn: Drafts(tmp_path).save("train", {"turn": turn}), range(2)))
    assert "turn" in Drafts(tmp_path).load("train") and [path.name for path in tmp_path.iterdir()] == ["train.json"]
