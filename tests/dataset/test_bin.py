"""The bin: pictures go with what belongs to them, and come back to where they were."""

import pytest

from dataset.bin import Bin, Companions, throw
from dataset.deeds import BIN, Deeds
from dataset.scan import scan
from dataset.settings import Folder
from tests.dataset.test_deeds import contents


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "set"
    (folder / "masks").mkdir(parents=True)
    (folder / "sub").mkdir()
    for name in ("a.png", "a.txt", "a.caption", "a.wd14.txt", "a.npz", "a-masklabel.png", "masks/a.png", "a.b.png",
                 "a.b.txt", "c.jpg", "c.png", "c.txt", "sub/a.png", "sub/a.txt", "lonely.txt", "masks/none.png"):
        (folder / name).write_bytes(f"of {name}".encode())
    return folder


def names(root, paths):
    return [path.relative_to(root).as_posix() for path in paths]


def into_bin(root, *pictures):
    companions = Companions()
    with Deeds(root).begin("to the bin") as deed:
        for picture in pictures:
            throw(deed, (root / picture, *companions.taken_with(root / picture)))
    return deed.id


def test_everything_of_a_picture_s_name_belongs_to_it(root):
    companions = Companions()
    assert sorted(names(root, companions.of(root / "a.png"))) == [
        "a-masklabel.png", "a.caption", "a.npz", "a.txt", "a.wd14.txt", "masks/a.png"]
    assert names(root, companions.of(root / "a.b.png")) == ["a.b.txt"]
    assert names(root, companions.of(root / "sub" / "a.png")) == ["sub/a.txt"]
    assert companions.of(root / "nothing.png") == []


def test_what_two_pictures_share_goes_with_the_last_of_them(root):
    companions = Companions()
    assert companions.taken_with(root / "c.jpg") == []
    assert names(root, companions.taken_with(root / "c.png")) == ["c.txt"]


def test_pictures_are_not_found_in_the_bin_and_come_back(root):
    before = contents(root)
    into_bin(root, "a.png", "sub/a.png")
    assert not [name for name in contents(root) if name.startswith(("a.txt", "a.png", "a-mask", "sub/"))]
    assert not [item for item in scan([Folder(path=str(root))]).items if ".loratory" in item.path.parts]
    things = Bin(root).things()
    assert names(root, (thing.origin for thing in things)) == ["a.png", "sub/a.png"]
    assert len(things[0].with_it) == 6 and things[0].label == "to the bin" and things[0].bytes == len(b"of a.png")
    outcome = Bin(root).put_back([things[0].id])
    assert outcome.changed == 7 and outcome.kept == []
    assert [thing.origin for thing in Bin(root).things()] == [root / "sub" / "a.png"]
    assert Bin(root).put_back([thing.id for thing in Bin(root).things()]).changed == 2
    assert contents(root) == before and Bin(root).things() == [] and not list((root / BIN).iterdir())


def test_putting_back_can_be_undone_and_then_all_of_it(root):
    before = contents(root)
    into_bin(root, "a.png")
    (thing,) = Bin(root).things()
    Bin(root).put_back([thing.id])
    assert Deeds(root).undo().changed == 7  # into the bin again
    assert [one.origin.name for one in Bin(root).things()] == ["a.png"]
    assert Deeds(root).undo().changed == 7
    assert contents(root) == before


def test_a_deed_is_undone_as_far_as_it_wasn_t_put_back(root):
    before = contents(root)
    id = into_bin(root, "a.png", "sub/a.png")
    Bin(root).put_back([Bin(root).things()[0].id])
    assert Deeds(root).undo(id).changed == 2
    assert contents(root) == before


def test_a_new_file_of_the_same_name_is_never_replaced(root):
    into_bin(root, "a.png")
    (root / "a.png").write_bytes(b"a new one")
    (thing,) = Bin(root).things()
    (problem,) = Bin(root).put_back([thing.id]).kept
    assert problem.path == root / "a.png" and "another file" in problem.reason
    assert (root / "a.png").read_bytes() == b"a new one" and Bin(root).things() == [thing]


def test_files_without_a_picture_are_things_of_their_own(root):
    with Deeds(root).begin("x") as deed:
        throw(deed, [root / "lonely.txt"])
    (thing,) = Bin(root).things()
    assert thing.origin == root / "lonely.txt" and thing.with_it == ()


def test_ids_are_those_that_were_given_out(root):
    into_bin(root, "a.png")
    for wrong in ("", "..", "../../a.png", "/etc/passwd", "x/a.png"):
        assert Bin(root).put_back([wrong]).changed == 0


def test_an_emptied_bin_is_empty(root):
    into_bin(root, "a.png")
    kept = contents(root)
    assert Bin(root).empty() == 7
    assert Bin(root).things() == [] and contents(root) == kept
    assert Bin(root).empty() == 0
    assert len(Deeds(root).undo().kept) == 7


def test_a_bin_that_is_a_link_is_left_alone(root, tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "a.png").write_bytes(b"theirs")
    (root / ".loratory").mkdir()
    (root / BIN).symlink_to(tmp_path / "theirs")
    with pytest.raises(ValueError, match="link"):
        Bin(root).empty()
    assert (tmp_path / "theirs" / "a.png").read_bytes() == b"theirs"
