"""Looks that were kept: the same as new ones, never those of another file, and no harm when the cache is damaged."""

import os

import pytest

from dataset.doctor import look as looking
from dataset.doctor.examine import examine
from dataset.doctor.known import Known
from dataset.settings import DatasetSettings
from tests.dataset.doctor.test_hashes import drawn

SETTINGS = DatasetSettings(resolution=128, bucket_step=64)


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "set"
    place.mkdir()
    for number in range(4):
        drawn(number, (200, 150)).save(place / f"{number}.png")
    return place


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache" / "looks.sqlite"


@pytest.fixture
def decoded(monkeypatch):
    """The names of the pictures that were decoded."""
    names = []
    real = looking.look

    def counted(path, thumbnail=False):
        names.append(path.name)
        return real(path, thumbnail)

    monkeypatch.setattr(looking, "look", counted)
    return names


def seen(folder, cache, thumbnails=True):
    with Known(cache) as known:
        return examine(folder, SETTINGS, thumbnails=thumbnails, known=known).subject.looks


def test_a_second_examination_decodes_nothing_and_tells_the_same(folder, cache, decoded):
    first = seen(folder, cache)
    assert sorted(decoded) == [f"{number}.png" for number in range(4)]
    decoded.clear()
    assert seen(folder, cache) == first and decoded == []


def test_what_has_changed_is_looked_at_again(folder, cache, decoded):
    first = seen(folder, cache)
    decoded.clear()
    drawn(9, (200, 150)).save(folder / "0.png")
    (folder / "1.png").rename(folder / "x.png")
    os.utime(folder / "2.png", ns=(0, 0))
    again = seen(folder, cache)
    assert sorted(decoded) == ["0.png", "2.png", "x.png"]
    assert again[folder / "0.png"].sha256 != first[folder / "0.png"].sha256
    assert again[folder / "3.png"] == first[folder / "3.png"]


def test_thumbnails_are_added_where_they_are_wanted(folder, cache, decoded):
    assert not seen(folder, cache, thumbnails=False)[folder / "0.png"].thumbnail
    assert seen(folder, cache)[folder / "0.png"].thumbnail and len(decoded) == 8


def test_a_damaged_cache_is_begun_anew(folder, cache, decoded):
    first = seen(folder, cache)
    cache.write_bytes(b"this is no database, whatever its name says" * 100)
    assert seen(folder, cache) == first and len(decoded) == 8
    decoded.clear()
    assert seen(folder, cache) == first and decoded == []


def test_what_isn_t_a_look_counts_as_none(folder, cache):
    seen(folder, cache)
    with Known(cache) as known:
        known._database.execute("UPDATE looks SET look = '{\"format\": 3}'")
        known._database.commit()
        assert known.get(folder / "0.png") is None and known.get(folder / "none.png") is None


def test_what_can_t_be_decoded_is_not_kept(folder, cache, decoded):
    (folder / "0.png").write_bytes((folder / "0.png").read_bytes()[:-300])
    seen(folder, cache)
    decoded.clear()
    seen(folder, cache)
    assert set(decoded) <= {"0.png"}
