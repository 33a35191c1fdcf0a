"""Zips of strangers: nothing lands outside, nothing fills the disk, names are read as they were meant."""

from __future__ import annotations

import io
import os
import random
import shutil
import stat
import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from dataset.exchange.names import Names, contained, is_junk
from dataset.exchange.unzip import ZipError, unwrapped, unzip


def zipped(path: Path, files: dict[str, bytes], kind: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


@pytest.fixture
def place(tmp_path) -> Path:
    made = tmp_path / "deep" / "place"
    made.mkdir(parents=True)
    return made


def landed(place: Path) -> list[str]:
    return sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if not path.is_dir())


OUT = [
    "../x.png",
    "a/../../x.png",
    "/etc/x.png",
    "C:\\x.png",
    "C:x.png",
    "\\\\server\\x.png",
    "..\\x.png",
    "a/.. /x.png",
    "//x.png",
]


@pytest.mark.parametrize("name", OUT)
def test_names_that_lead_out_are_left_out_and_told(name, place, tmp_path):
    file = zipped(tmp_path / "a.zip", {name: b"x", "fine.png": b"y"})
    problems = unzip(file, place)
    assert landed(place) == ["fine.png"] and landed(tmp_path) == ["a.zip", "deep/place/fine.png"]
    assert "leads out" in problems[0].reason


def test_no_name_leads_out_of_its_folder(tmp_path):
    chance = random.Random(1)
    parts = [
        "..",
        ".",
        "",
        "/",
        "\\",
        "a",
        "C:",
        "~",
        "con",
        "nul.txt",
        "a:b",
        "x ",
        "x.",
        "\u202e",
        "é",
        "\n",
        "\0",
        "..\\",
        "x" * 300,
    ]
    root = os.path.realpath(tmp_path)
    for _ in range(3000):
        name = "".join(chance.choice(parts) + chance.choice(["", "/", "\\"]) for _ in range(chance.randrange(1, 7)))
        for windows in (False, True):
            inside = contained(name, windows)
            if inside:
                assert os.path.realpath(os.path.join(root, inside)).startswith(root + os.sep)
                assert all(len(part.encode()) <= 255 for part in inside.split("/"))
                assert contained(inside, windows) == inside
                assert not windows or not any(
                    part.lower().partition(".")[0] in ("con", "nul") for part in inside.split("/")
                )


def test_links_and_devices_are_left_out(place, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, kind in (("link.png", stat.S_IFLNK), ("pipe.png", stat.S_IFIFO), ("file.png", stat.S_IFREG)):
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (kind | 0o777) << 16
            archive.writestr(entry, "/etc/passwd")
    assert len(unzip(tmp_path / "a.zip", place)) == 2
    assert landed(place) == ["file.png"] and not (place / "file.png").is_symlink()
    assert not os.access(place / "file.png", os.X_OK)


@pytest.mark.parametrize(
    ("files", "limit", "said"),
    [
        ({"a.txt": b"0" * 3_000_000}, 10**9, "grow"),
        ({"a.png": bytes(1000), "b.png": bytes(1000)}, 1500, "at most"),
    ],
)
def test_bombs_are_refused_whole(files, limit, said, place, tmp_path):
    with pytest.raises(ZipError, match=said):
        unzip(zipped(tmp_path / "a.zip", files, zipfile.ZIP_DEFLATED), place, limit)
    assert landed(place) == []


def test_a_zip_that_lies_about_its_sizes(place, tmp_path):
    data = os.urandom(5000)
    raw = bytearray(zipped(tmp_path / "a.zip", {"a.png": data}, zipfile.ZIP_DEFLATED).read_bytes())
    central = raw.index(b"PK\x01\x02")
    raw[central + 24 : central + 28] = struct.pack("<I", 10)
    raw[22:26] = struct.pack("<I", 10)
    (tmp_path / "a.zip").write_bytes(raw)
    with pytest.raises(ZipError):
        unzip(tmp_path / "a.zip", place)
    assert sum(path.stat().st_size for path in place.rglob("*")) <= 10


def test_entries_over_each_other(place, tmp_path):
    raw = zipped(tmp_path / "a.zip", {"a.png": os.urandom(20_000)}).read_bytes()
    at, end = raw.index(b"PK\1\2"), raw.index(b"PK\5\6")
    central = raw[at:end] * 500
    foot = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 500, 500, len(central), at, 0)
    (tmp_path / "a.zip").write_bytes(raw[:at] + central + foot)
    with pytest.raises(ZipError, match="times its size"):
        unzip(tmp_path / "a.zip", place)


def test_too_many_files(place, tmp_path, monkeypatch):
    monkeypatch.setattr("dataset.exchange.unzip.MOST_FILES", 5)
    with pytest.raises(ZipError, match="at most 5"):
        unzip(zipped(tmp_path / "a.zip", {f"{n}.png": b"" for n in range(6)}), place)


def test_a_full_disk(place, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "dataset.exchange.unzip.shutil.disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 500_000_100)
    )
    with pytest.raises(ZipError, match="room"):
        unzip(zipped(tmp_path / "a.zip", {"a.png": bytes(1000)}), place)


def test_encrypted_damaged_and_no_zip_at_all(place, tmp_path):
    raw = bytearray(zipped(tmp_path / "a.zip", {"a.png": b"x" * 100}).read_bytes())
    locked = bytearray(raw)
    locked[6] |= 1
    locked[raw.index(b"PK\x01\x02") + 8] |= 1
    cut, flipped = raw[:-30], bytearray(raw)
    flipped[40] ^= 255
    for content, said in (
        (locked, "password"),
        (cut, "damaged"),
        (flipped, "damaged"),
        (b"", "damaged"),
        (b"PK\5\6", "damaged"),
    ):
        (tmp_path / "a.zip").write_bytes(content)
        with pytest.raises(ZipError, match=said):
            unzip(tmp_path / "a.zip", place)
        for path in place.iterdir():
            path.unlink()


def test_random_damage_never_gets_through(place, tmp_path):
    chance = random.Random(3)
    raw = zipped(
        tmp_path / "a.zip", {f"d/{n}.png": os.urandom(50) for n in range(5)}, zipfile.ZIP_DEFLATED
    ).read_bytes()
    for _ in range(300):
        broken = bytearray(raw)
        for _ in range(chance.randrange(1, 4)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        (tmp_path / "a.zip").write_bytes(broken)
        inside = place / str(len(os.listdir(place)))
        inside.mkdir()
        try:
            unzip(tmp_path / "a.zip", inside)
        except ZipError:
            pass
    assert [name for name in landed(tmp_path) if not name.startswith("deep/place/") and name != "a.zip"] == []


def single(name: bytes) -> bytes:
    """A zip of one file, without the mark that its name is UTF-8."""
    sizes = (zlib.crc32(b"x"), 1, 1, len(name), 0)
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 0, 0, 33, *sizes) + name + b"x"
    central = struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 0, 0, 33, *sizes, 0, 0, 0, 0, 0) + name
    return local + central + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(central), len(local), 0)


@pytest.mark.parametrize(
    ("raw", "meant"), [("пёс.png".encode(), "пёс.png"), (b"M\x81ller.png", "Müller.png"), (b"a b.png", "a b.png")]
)
def test_names_without_a_mark_are_utf8_or_cp437(raw, meant, place, tmp_path):
    (tmp_path / "a.zip").write_bytes(single(raw))
    assert unzip(tmp_path / "a.zip", place) == [] and landed(place) == [meant]


def test_names_with_a_mark_and_second_names(place, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("猫.png", b"1")
        for name, made_for in (("old.png", b"old.png"), ("kept.png", b"another")):
            entry = zipfile.ZipInfo(name)
            body = b"\x01" + struct.pack("<I", zlib.crc32(made_for)) + "новое.png".encode()
            entry.extra = struct.pack("<HH", 0x7075, len(body)) + body
            archive.writestr(entry, b"3")
    assert unzip(tmp_path / "a.zip", place) == []
    assert landed(place) == sorted(["猫.png", "новое.png", "kept.png"])


def test_junk_other_kinds_and_zips_in_zips_are_left_out(place, tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("x.png", b"x")
    files = {
        "set/a.png": b"1",
        "__MACOSX/set/._a.png": b"2",
        "set/.DS_Store": b"3",
        "set/Thumbs.db": b"4",
        "set/run.exe": b"5",
        "set/inner.zip": inner.getvalue(),
        "set/p.heic": b"6",
        "set/sub/": b"",
        "set/sub/a.txt": b"7",
    }
    problems = unzip(zipped(tmp_path / "a.zip", files), place)
    assert landed(place) == ["set/a.png", "set/sub/a.txt"]
    assert [problem.path.name.rpartition("/")[2] for problem in problems] == ["run.exe", "inner.zip", "p.heic"]


def test_the_same_name_twice_and_a_file_that_is_a_folder(place, tmp_path):
    file = zipped(tmp_path / "a.zip", {"a.png": b"1", "A.png": b"2", "B/a.png": b"3"})
    assert unzip(file, place) == [] and len(landed(place)) == 3
    with pytest.raises(ZipError, match="at once"):
        unzip(zipped(tmp_path / "b.zip", {"x.txt": b"1", "x.txt/y.png": b"2"}), place)


def test_one_folder_around_all_is_taken_off_unless_it_says_something(place):
    (place / "my set" / "dogs").mkdir(parents=True)
    (place / "my set" / "a.png").touch()
    assert unwrapped(place) == place / "my set"
    (place / "my set").rename(place / "10_sks dog")
    assert unwrapped(place) == place
    (place / "10_sks dog").rename(place / "img")
    assert unwrapped(place) == place


def test_junk():
    assert all(
        map(
            is_junk,
            ["__MACOSX/a.png", ".DS_Store", "a/.hidden/b.png", "Thumbs.db", "x/desktop.ini", "@eaDir/a.png", "._a.png"],
        )
    )
    assert not any(map(is_junk, ["a.png", "a/b.txt", "a.b.png"]))


def test_free_names():
    names = Names(stems=True)
    assert [
        names.free(name) for name in ("a.png", "A.jpg", "a.png", "d/a.png", "x" * 230 + ".png", "X" * 230 + ".png")
    ][:4] == ["a.png", "A_2.jpg", "a_3.png", "d/a.png"]
