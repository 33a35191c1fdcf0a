"""Uploads in parts: lost, torn, repeated and hostile ones; what is said before; the data set that is made of them."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import zipfile
import zlib
from pathlib import Path

import pytest
from PIL import Image

from dataset import work
from dataset.exchange import arriving, uploads
from dataset.exchange.uploads import UploadError, Uploads, Wanted, sorted_out
from dataset.scan import scan
from dataset.settings import Folder


def picture(colour: str = "red", kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(stream, kind)
    return stream.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


@pytest.fixture
def place(workspace) -> Uploads:
    workspace.mkdir()
    return arriving.uploads()


def begin(place: Uploads, files: dict[str, bytes], name: str = "set") -> uploads.Begun:
    return place.begin(name, [Wanted(path, len(data), 7.5) for path, data in files.items()])


def send(place: Uploads, begun: uploads.Begun, data: bytes, until: int | None = None, part: int = 1000) -> int:
    offset = begun.offset
    while offset < (until if until is not None else len(data)):
        piece = data[offset : offset + part]
        offset = place.add(begun.id, offset, piece, zlib.crc32(piece))
    return offset


def arrive(begun: uploads.Begun):
    job = work.create("upload", arriving.Settings(id=begun.id))
    work.main([str(job.folder)])
    return job


def landed(folder: str | Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


def refused(status: int):
    return pytest.raises(UploadError, check=lambda error: error.status == status)


def test_what_is_sent_is_what_arrives(place, workspace):
    files = {
        "set/10_sks dog/a.png": picture(),
        "set/10_sks dog/a.txt": b"a dog",
        "set/3_cat/b.jpg": picture("blue", "JPEG"),
    }
    begun = begin(place, files)
    assert send(place, begun, b"".join(files.values())) == begun.total
    job = arrive(begun)
    assert job.state() == "finished" and job.last_event["pictures"] == 2
    made = job.last_event["folder"]
    assert Path(made) == workspace / "datasets" / "set"
    assert {name: (Path(made) / name).read_bytes() for name in landed(made)} == {
        name.removeprefix("set/"): data for name, data in files.items()
    }
    assert sorted(item.repeats for item in scan([Folder(path=made)]).items) == [3, 10]
    assert place.uploads() == [] and os.listdir(workspace / "datasets") == ["set"]


def test_parts_that_are_lost_torn_or_sent_twice_do_no_harm(place):
    chance = random.Random(5)
    files = {f"{number}.png": picture() + os.urandom(700) for number in range(9)}
    data = b"".join(files.values())
    begun, offset = begin(place, files), 0
    while offset < len(data):
        piece = data[offset : offset + chance.randrange(1, 900)]
        what = chance.choice(["fine", "fine", "torn", "damaged", "twice", "ahead", "long"])
        if what == "torn":  # the checksum was of all of it
            with refused(422):
                place.add(begun.id, offset, piece[:-1], zlib.crc32(piece))
        elif what == "damaged":
            with refused(422):
                place.add(
                    begun.id, offset, b"x" + piece[1:] if piece[:1] != b"x" else b"y" + piece[1:], zlib.crc32(piece)
                )
        elif what == "ahead":
            with pytest.raises(UploadError) as caught:
                place.add(begun.id, offset + 1, piece, zlib.crc32(piece))
            assert (caught.value.status, caught.value.offset) == (409, offset)
        elif what == "long":
            whole = data + b"more"
            with refused(413):
                place.add(begun.id, offset, whole[offset:], zlib.crc32(whole[offset:]))
        else:
            offset = place.add(begun.id, offset, piece, zlib.crc32(piece))
            if what == "twice":
                with pytest.raises(UploadError) as caught:
                    place.add(begun.id, offset - len(piece), piece, zlib.crc32(piece))
                assert caught.value.offset == offset
    assert place.find(begun.id).bytes.read_bytes() == data


def test_the_same_list_goes_on_where_it_stopped(place):
    files = {"a.png": picture(), "b.png": picture("blue")}
    data = b"".join(files.values())
    first = begin(place, files)
    stopped = send(place, first, data, until=len(data) // 2, part=100)
    again = begin(Uploads(place.folder), files)  # the window was started anew, the page reloaded
    assert (again.id, again.offset) == (first.id, stopped)
    other = begin(place, {"a.png": picture() + b"!", "b.png": picture("blue")})
    assert other.id != first.id and other.offset == 0
    assert [one["offset"] for one in place.told()["unfinished"] if one["id"] == first.id] == [stopped]
    send(place, again, data)
    assert arrive(again).last_event["pictures"] == 2


def test_a_part_of_a_part_that_a_killed_window_has_written_is_gone_on_from(place):
    files = {"a.png": picture()}
    begun = begin(place, files)
    with place.find(begun.id).bytes.open("ab") as file:
        file.write(files["a.png"][:17])
    assert begin(place, files).offset == 17


def test_it_isnt_made_before_all_is_there(place):
    begun = begin(place, {"a.png": picture()})
    job = arrive(begun)
    assert job.state() == "failed" and "whole" in job.last_event["cause"]
    assert place.find(begun.id).offset() == 0


def test_room_is_asked_for_before(place, monkeypatch):
    monkeypatch.setenv(uploads.VARIABLE, "0.000002")
    assert place.told()["room"] == 2000
    with refused(413):
        place.begin("x", [Wanted("a.png", 2001)])
    place.begin("x", [Wanted("a.png", 1500)])
    with refused(413):  # what is half here counts
        place.begin("y", [Wanted("b.png", 600)])
    place.begin("x", [Wanted("a.png", 1500)])  # and may go on
    monkeypatch.setenv(uploads.VARIABLE, "nonsense")
    assert uploads.limit() == uploads.LIMIT
    monkeypatch.setattr(uploads.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, uploads.SPARE + 5000))
    with refused(413):
        place.begin("y", [Wanted("b.png", 3000)])
    assert len(place.uploads()) == 1


def test_a_full_disk_keeps_what_is_there(place, monkeypatch):
    begun = begin(place, {"a.png": picture()})
    send(place, begun, picture(), until=10, part=10)

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(uploads, "synced", full)
    piece = picture()[10:]
    with refused(507):
        place.add(begun.id, 10, piece, zlib.crc32(piece))
    assert place.find(begun.id).offset() == 10


def test_files_that_neednt_be_sent():
    names = [
        "a.png",
        "b.HEIC",
        "c.exe",
        ".DS_Store",
        "__MACOSX/a.png",
        "../up.png",
        "/etc/x.png",
        "d.zip",
        "e.txt",
        "C:\\f.png",
        "empty.png",
    ]
    accepted, told = sorted_out([Wanted(name, 0 if name == "empty.png" else 5) for name in names])
    assert [names[number] for number in accepted] == ["a.png", "d.zip", "e.txt"]
    reasons = {problem.path.name: problem.reason for problem in told}
    assert "can't be read" in reasons["b.HEIC"] and "neither" in reasons["c.exe"] and "leads out" in reasons["up.png"]
    assert "empty" in reasons["empty.png"] and ".DS_Store" not in reasons


def test_hostile_lists(place):
    with refused(415):
        place.begin("x", [Wanted("c.exe", 5)])
    with refused(415):
        place.begin("x", [])
    with refused(404):
        place.add("../../etc", 0, b"x", 0)
    with refused(404):
        place.find("0" * 24)
    for name in ("../../up", "/etc", "", "...", "a/b", "\0", "\ud800", "x" * 400, "con."):
        begun = begin(place, {"a.png": picture()}, name)
        send(place, begun, picture())
        made = Path(arrive(begun).last_event["folder"])
        assert made.parent == arriving.home() / "datasets" and made.is_dir()


def test_zips_are_unpacked_and_bad_ones_told(place):
    good = zipped(
        {"inner/5_x/a.png": picture(), "inner/5_x/a.txt": b"a", "__MACOSX/a.png": b"no", "../up.png": picture()}
    )
    bomb = zipped({"b.txt": b"x"}).replace(b"b.txt", b"../.t")
    files = {"good.zip": good, "bad.zip": b"no zip at all", "slip.zip": bomb, "loose.png": picture("blue")}
    begun = begin(place, files)
    send(place, begun, b"".join(files.values()), part=1 << 20)
    job = arrive(begun)
    assert landed(job.last_event["folder"]) == ["good/inner/5_x/a.png", "good/inner/5_x/a.txt", "loose.png"]
    events = [json.loads(line) for line in job.events_path.read_text().splitlines()]
    told = {event["name"]: event["reason"] for event in events if event["kind"] == "problem"}
    assert "damaged" in told["bad.zip"] and "leads out" in told["up.png"]


def test_one_zip_is_the_data_set(place):
    whole = zipped({"my set/a.png": picture(), "my set/b.png": picture("blue")})
    begun = begin(place, {"my set.zip": whole}, "my set")
    send(place, begun, whole, part=1 << 20)
    assert landed(arrive(begun).last_event["folder"]) == ["a.png", "b.png"]


def test_what_isnt_what_its_name_says_is_taken_out(place):
    files = {
        "a.png": picture(),
        "page.png": b"<html><script>alert(1)</script></html>",
        "cut.jpg": picture("red", "JPEG")[:40],
    }
    begun = begin(place, files)
    send(place, begun, b"".join(files.values()))
    job = arrive(begun)
    assert landed(job.last_event["folder"]) == ["a.png"]
    none = begin(place, {"x.png": b"no"})
    send(place, none, b"no")
    failed = arrive(none)
    assert failed.state() == "failed" and "no picture" in failed.last_event["cause"]
    assert len(os.listdir(arriving.home() / "datasets")) == 1


def test_a_name_that_is_taken_gets_a_number(place):
    for _ in range(2):
        begun = begin(place, {"a.png": picture()})
        send(place, begun, picture())
        arrive(begun)
    assert sorted(os.listdir(arriving.home() / "datasets")) == ["set", "set_2"]


def test_discarded_and_forgotten_ones_go(place, monkeypatch):
    one, two = begin(place, {"a.png": picture()}), begin(place, {"b.png": picture()})
    place.discard(one.id)
    assert [upload.folder.name for upload in place.uploads()] == [two.id]
    os.utime(place.find(two.id).bytes, (1, 1))
    three = begin(place, {"c.png": picture()})
    assert [upload.folder.name for upload in place.uploads()] == [three.id]


def test_a_stretch_of_a_file_is_a_file(tmp_path):
    data = os.urandom(5000)
    (tmp_path / "x").write_bytes(data)
    with io.BufferedReader(uploads.Stretch(tmp_path / "x", 100, 3000, "x"), 64) as file:
        assert file.read() == data[100:3100]
        file.seek(-10, io.SEEK_END)
        assert file.read(100) == data[3090:3100]
        file.seek(5)
        assert file.read(7) == data[105:112] and file.tell() == 12
