"""Copies in the tag editor: found by a work of their own, told as far as they are known, and kept for the doctor."""

import shutil

import pytest
from fastapi.testclient import TestClient
from PIL import ImageOps

from dataset import work
from dataset.doctor import look as looking
from dataset.doctor.examine import examine
from dataset.doctor.job import looks
from dataset.doctor.known import Known
from dataset.settings import DatasetSettings
from jobs import process
from tests.dataset.doctor.test_hashes import drawn
from tests.gui.test_tag_routes import Browser


@pytest.fixture
def begun(monkeypatch):
    """The folders of works that were started; each is done at once, in this process."""
    folders = []

    def start(job):
        folders.append(job.folder)
        work.main([str(job.folder)])

    monkeypatch.setattr(process, "start", start)
    return folders


@pytest.fixture
def root(tmp_path):
    """Seven pictures: `a` with a copy, a small one and a mirrored one; three that are like no other."""
    made = tmp_path / "set"
    made.mkdir()
    for seed, name in enumerate("abcd"):
        drawn(seed, (320, 240)).save(made / f"{name}.png")
    shutil.copy(made / "a.png", made / "a_same.png")
    drawn(0, (320, 240)).resize((200, 150)).save(made / "a_small.jpg", quality=60)
    ImageOps.mirror(drawn(0, (320, 240))).save(made / "a_turned.png")
    (made / "a_same.txt").write_text("has words")
    return made


def names(page, line, **more):
    return [page.line(number)["name"] for number in page.post("filter", line=line, **more)["numbers"]]


@pytest.fixture
def fresh(routed, window, root):
    """Nothing was asked yet."""
    return Browser(TestClient(routed[1]), root)


@pytest.fixture
def page(fresh, begun):
    """After the first question, which begins the looking."""
    page = fresh
    told = page.post("filter", line="dup:near")
    assert told["copies"] == {"looked": 0, "pictures": 7, "unread": 0, "work": begun[0].name} and told["numbers"] == []
    return page


def test_each_kind_of_copy_and_the_one_to_keep(page, begun):
    assert names(page, "dup:same") == ["a.png", "a_same.png"]
    assert names(page, "dup:near") == ["a_same.png", "a_small.jpg"], "of the same ones the one with words"
    assert names(page, "dup:mirrored") == ["a_same.png", "a_turned.png"]
    assert names(page, "dup:") == ["a.png", "a_same.png", "a_small.jpg", "a_turned.png"]
    assert names(page, "dup:others") == ["a.png", "a_small.jpg", "a_turned.png"]
    assert names(page, "dup: -dup:others") == ["a_same.png"] and names(page, "-dup:") == ["b.png", "c.png", "d.png"]
    assert names(page, "dup:turned") == names(page, "dup:") and names(page, "dup:b.png") == []
    assert page.post("filter", line="dup:")["copies"] == {"looked": 7, "pictures": 7, "unread": 0, "work": ""}
    assert len(begun) == 1, "nothing is looked at twice"


def test_they_are_those_of_the_doctor(page, root):
    with Known(looks()) as known:
        found = {finding.name: finding for finding in
                 examine(root, DatasetSettings(resolution=128, bucket_step=64), known=known).findings}
    for kind, finding in {"same": "exact", "near": "near", "mirrored": "mirrored"}.items():
        (case,) = found[f"duplicates.{finding}"].cases
        assert sorted(path.name for path in case.paths) == names(page, f"dup:{kind}")
        assert case.keep.name == "a_same.png"


def test_the_doctor_decodes_nothing_that_the_editor_has_looked_at(page, root, monkeypatch):
    monkeypatch.setattr(looking, "look", lambda *about: pytest.fail("decoded again"))
    with Known(looks()) as known:
        assert len(examine(root, DatasetSettings(), thumbnails=True, known=known).subject.items) == 7


def test_copies_side_by_side(page):
    alike = ["a_same.png", "a.png", "a_small.jpg", "a_turned.png"]
    assert names(page, "", by="dup") == [*alike, "b.png", "c.png", "d.png"]


def test_only_what_is_new_is_looked_at_and_what_cannot_be_read_is_said_once(page, root, begun):
    drawn(1, (320, 240)).resize((160, 120)).save(root / "b_small.png")
    data = (root / "c.png").read_bytes()
    half = len(data) // 2
    (root / "hurt.png").write_bytes(data[:half] + bytes(half // 2) + data[half + half // 2 :])
    page.post("open")
    assert page.post("filter", line="dup:")["copies"]["work"] == begun[1].name
    assert names(page, "dup:b_small") == ["b.png", "b_small.png"]
    told = page.post("filter", line="dup:")["copies"]
    assert told == {"looked": 8, "pictures": 9, "unread": 1, "work": ""} and len(begun) == 2


def test_what_a_person_stopped_is_begun_again_only_when_asked(fresh, monkeypatch):
    begun = []

    def stopped(job):
        begun.append(job.id)
        (job.folder / "events.jsonl").write_text('{"kind": "stopped", "time": 0}\n')
        (job.folder / "process.json").write_text('{"pid": 0, "born": 0}')

    monkeypatch.setattr(process, "start", stopped)
    for _ in range(3):
        told = fresh.post("filter", line="dup:")
    assert told["copies"] == {"looked": 0, "pictures": 7, "unread": 0, "work": ""} and len(begun) == 1
    assert {fresh.line(number)["name"] for number in told["numbers"]} == {"a.png", "a_same.png"}, "told by their bytes"
    assert fresh.post("look")["work"] == begun[1]


def test_an_edit_means_the_copies_that_the_page_shows(page, root, begun):
    bulk = {"edit": "add", "values": {"tags": "copy"}, "scope": "filtered", "filter": "dup:near"}
    assert page.post("preview", **bulk)["count"] == 0, "they were found since, but not shown yet"
    assert page.shown("dup:near") and page.post("preview", **bulk)["count"] == 2


def test_other_lines_begin_nothing(fresh, begun):
    assert fresh.post("filter", line="w>10 tag:x OR name:dup")["copies"] is None and begun == []
