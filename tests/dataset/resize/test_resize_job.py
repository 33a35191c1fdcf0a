"""A whole resize: what is written where, that nothing is written over, and that a run goes on where one stopped."""

import json
import os
from pathlib import Path

import pytest
from PIL import Image

from dataset import masks, work
from dataset.captions import read_caption
from dataset.resize import names
from dataset.resize.job import TABLE, resize
from dataset.resize.made import Made
from dataset.resize.plan import plan
from dataset.resize.recipes import Recipes
from dataset.resize.settings import Settings
from dataset.scan import scan
from dataset.settings import Folder
from settings.errors import SettingsError, check
from tests.captioners import hostile


class Silent:
    """Collects what is told; stops after `after` pictures."""

    def __init__(self, after=None):
        self.problems, self.warnings, self.after, self.done = [], [], after, 0

    def progress(self, name, done, total):
        self.done = done
        if self.after is not None and done >= self.after:
            raise work.Stopped

    def problem(self, problem):
        self.problems.append(problem)

    def warn(self, message):
        self.warnings.append(message)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "photos [1]"
    (made / "10_dog").mkdir(parents=True)
    for number, size in enumerate([(640, 400), (400, 640), (300, 300), (900, 500)]):
        Image.new("RGB", size, (40 * number, 90, 200)).save(made / "10_dog" / f"{number}.png")
        (made / "10_dog" / f"{number}.txt").write_text(f"dog {number}\n")
    return made


def run(folder, output, teller=None, **values):
    settings = check(Settings, {"folder": str(folder), "output": str(output), "width": 128} | values)
    return resize(settings, plan(settings), teller or Silent())


def tree(folder):
    """{path: bytes} of everything that a person sees there."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*"))
            if path.is_file() and ".loratory" not in path.parts}


def test_copies_have_their_folders_names_and_captions(folder, tmp_path):
    before = tree(folder)
    told = run(folder, tmp_path / "out")
    assert tree(folder) == before
    assert set(tree(tmp_path / "out")) == {f"10_dog/{n}.{end}" for n in range(4) for end in ("jpg", "txt")}
    found = scan([Folder(path=str(tmp_path / "out"))])
    assert [(item.width, item.height, item.caption, item.repeats) for item in found.items] == [
        (128, 128, f"dog {n}", 10) for n in range(4)]
    assert (told["copies_made"], told["captions_made"], told["failed"]) == (4, 4, 0)


def test_a_dry_run_writes_nothing(folder, tmp_path):
    told = run(folder, tmp_path / "out", dry_run=True)
    assert told["new"] == 4 and told["dry_run"] and told["sizes"] == {"128x128": 4}
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("where", ["", "inside", "10_dog/deeper", "..", "link"])
def test_the_output_is_never_the_input(folder, tmp_path, where):
    if where == "link":
        (tmp_path / "other").symlink_to(folder)
        output = tmp_path / "other" / "copies"
    else:
        output = folder / where
    before = tree(folder)
    with pytest.raises(SettingsError) as raised:
        run(folder, output)
    assert "output" in raised.value.problems and tree(folder) == before


def test_the_input_is_not_read_through_a_link_into_itself(folder, tmp_path):
    (folder / "10_dog" / "loop").symlink_to(folder)
    assert run(folder, tmp_path / "out")["copies_made"] == 4


def test_files_of_others_stay(folder, tmp_path):
    theirs = tmp_path / "out" / "10_dog"
    theirs.mkdir(parents=True)
    (theirs / "0.jpg").write_bytes(b"mine")
    (theirs / "1.txt").write_text("my words")
    (theirs / "else.jpg").write_bytes(b"else")
    teller = Silent()
    told = run(folder, tmp_path / "out", teller)
    assert (theirs / "0.jpg").read_bytes() == b"mine" and (theirs / "1.txt").read_text() == "my words"
    assert (theirs / "else.jpg").read_bytes() == b"else"
    assert (told["kept"], told["copies_made"], told["captions_kept"]) == (1, 3, 1)
    assert {problem.path.name for problem in teller.problems} == {"0.jpg", "1.txt"}


def test_the_same_name_from_another_folder_is_not_replaced(folder, tmp_path):
    run(folder, tmp_path / "out")
    other = tmp_path / "other" / "10_dog"
    other.mkdir(parents=True)
    Image.new("RGB", (200, 200), "red").save(other / "0.png")
    before = tree(tmp_path / "out")
    assert run(tmp_path / "other", tmp_path / "out")["kept"] == 1
    assert tree(tmp_path / "out") == before


def test_a_second_run_does_nothing_and_other_settings_make_them_anew(folder, tmp_path):
    run(folder, tmp_path / "out")
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.jpg")}
    told = run(folder, tmp_path / "out")
    assert (told["done"], told["copies_same"], told.get("copies_made")) == (4, 4, None)
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    told = run(folder, tmp_path / "out", width=64)
    assert (told["again"], told["copies_again"]) == (4, 4)
    assert Image.open(tmp_path / "out" / "10_dog" / "0.jpg").size == (64, 64)


def test_a_copy_that_was_changed_since_is_kept(folder, tmp_path):
    run(folder, tmp_path / "out")
    changed = tmp_path / "out" / "10_dog" / "2.jpg"
    Image.new("RGB", (128, 128), "green").save(changed)
    (tmp_path / "out" / "10_dog" / "1.txt").write_text("better words")
    data, teller = changed.read_bytes(), Silent()
    told = run(folder, tmp_path / "out", teller, width=64)
    assert changed.read_bytes() == data
    assert (told["kept"], told["copies_again"]) == (1, 3)
    assert (tmp_path / "out" / "10_dog" / "1.txt").read_text() == "better words"
    assert [problem.path.name for problem in teller.problems] == ["2.jpg"]  # newer words are nobody's problem


def test_changed_pictures_and_captions_follow(folder, tmp_path):
    run(folder, tmp_path / "out")
    Image.new("RGB", (500, 500), "white").save(folder / "10_dog" / "3.png")
    (folder / "10_dog" / "3.txt").write_text("a white dog")
    told = run(folder, tmp_path / "out")
    assert (told["copies_again"], told["captions_again"], told["copies_same"]) == (1, 1, 3)
    assert (tmp_path / "out" / "10_dog" / "3.txt").read_text() == "a white dog"


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_stopped_run_goes_on(folder, tmp_path, after):
    with pytest.raises(work.Stopped):
        run(folder, tmp_path / "out", Silent(after))
    for path in (tmp_path / "out").rglob("*.jpg"):
        assert Image.open(path).size == (128, 128)  # each is whole
    assert not [path for path in (tmp_path / "out").rglob("*") if path.name.endswith(".part")]
    told = run(folder, tmp_path / "out")
    assert told["done"] >= after and told["pictures"] == 4
    run(folder, tmp_path / "whole")
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_a_killed_run_goes_on(folder, tmp_path):
    """Whatever the moment: half a line in the record, a file that was not yet named, one that is there already."""
    run(folder, tmp_path / "out")
    record = tmp_path / "out" / ".loratory" / "resize.jsonl"
    lines = record.read_bytes().splitlines(keepends=True)
    record.write_bytes(b"".join(lines[:-1]) + lines[-1][: len(lines[-1]) // 2])
    (tmp_path / "out" / "10_dog" / "1.jpg").unlink()
    (tmp_path / "out" / "10_dog" / ".loratory-0123456789abcdef.part").write_bytes(b"half")
    run(folder, tmp_path / "out")
    run(folder, tmp_path / "whole")
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")
    torn = lines[-1][: len(lines[-1]) // 2]
    assert all(json.loads(line) for line in record.read_bytes().splitlines() if line != torn)


def test_names_count_and_keep_their_numbers(folder, tmp_path):
    values = {"rename": "{folder}-{n:03}"}
    run(folder, tmp_path / "out", **values)
    assert set(tree(tmp_path / "out")) == {f"10_dog/10_dog-00{n}.{end}" for n in range(1, 5) for end in ("jpg", "txt")}
    Image.new("RGB", (200, 200), "red").save(folder / "10_dog" / "00.png")  # first in order
    before = tree(tmp_path / "out")
    told = run(folder, tmp_path / "out", **values)
    assert told["copies_made"] == 1 and told["kept"] == 0
    after = tree(tmp_path / "out")
    assert set(after) - set(before) == {"10_dog/10_dog-005.jpg"} and before.items() <= after.items()


def test_equal_names_become_different_ones(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.png", "a.webp", "A.bmp"):
        Image.new("RGB", (99, 99), "red").save(folder / name)
    (folder / "a.txt").write_text("shared")
    run(folder, tmp_path / "out")
    made = [name for name in tree(tmp_path / "out") if name.endswith(".jpg")]
    assert len({name.lower() for name in made}) == 3
    first = tree(tmp_path / "out")
    run(folder, tmp_path / "out")
    assert tree(tmp_path / "out") == first
    assert len([name for name in first if name.endswith(".txt")]) == 2  # of both pictures that share it


@pytest.mark.parametrize("pattern", ["", " ", "x", "{name", "name}", "{other}", "{name:04}", "{n:>4}", "{name!r}",
                                     "{0}", "a/{name}", "{name}?", "{n.real}", "{n:09999}"])
def test_patterns_that_cannot_be_are_refused(pattern):
    assert names.wrong(pattern)


@pytest.mark.parametrize("pattern", ["{name}", "{n}", "{n:04}", "{folder} {n:04d}", "{{x}} {name}", "猫{n}"])
def test_patterns_that_can(pattern):
    assert not names.wrong(pattern)


def test_names_fit_every_system():
    assert names.fitting("CON") == "_CON" and names.fitting("a. ") == "a" and names.fitting("...") == "_"
    long = [names.fitting("x" * 300), names.fitting("猫" * 120), names.fitting("x" * 301)]
    assert all(len(name.encode()) <= names.MAX_STEM for name in long) and len(set(long)) == 3


def test_captions_of_every_format_follow(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a", "b", "c", "d"):
        Image.new("RGB", (99, 99), "red").save(folder / f"{name}.png")
    (folder / "a.TXT").write_bytes("猫".encode("utf-16"))
    (folder / "b.caption").write_text("two\nlines")
    (folder / "metadata.jsonl").write_text(json.dumps({"file_name": "c.png", "text": "from a table"}))
    (folder / "meta_cap.json").write_text(json.dumps({"d": {"tags": "one, two"}}))
    (folder / "b.json").write_text('{"caption": "two"}')
    run(folder, tmp_path / "out", rename="{n:02}")
    out = tmp_path / "out"
    assert [read_caption(out / f"0{n}.jpg").text for n in range(1, 5)] == ["猫", "two", "from a table", "one, two"]
    assert (out / "02.caption").read_text() == "two\nlines" and (out / "02.json").exists()
    run(folder, tmp_path / "none", captions=False)
    assert all(name.endswith(".jpg") for name in tree(tmp_path / "none"))


@pytest.mark.parametrize("layout", ["masks", "masklabel", "none"])
def test_masks_follow(folder, tmp_path, layout):
    mask = Image.new("L", (640, 400), 0)
    mask.paste(255, (0, 0, 320, 400))
    masks.place(folder / "10_dog" / "0.png").parent.mkdir()
    mask.save(masks.place(folder / "10_dog" / "0.png"))
    mask.resize((400, 640)).save(folder / "10_dog" / "1-masklabel.png")
    mask.resize((300, 300)).save(folder / "10_dog" / "2_mask.png")
    told = run(folder, tmp_path / "out", keep="left", masks=layout, rename="x{name}")
    assert told["copies_made"] == 4  # masks are no pictures
    places = {name: path for name in "012" if (path := masks.find(tmp_path / "out" / "10_dog" / f"x{name}.jpg"))}
    assert set(places) == (set() if layout == "none" else set("012"))
    for path in places.values():
        assert Image.open(path).size == (128, 128) and Image.open(path).mode == "L"
        assert path.parent.name == ("masks" if layout == "masks" else "10_dog")
    if places:
        assert Image.open(places["0"]).getpixel((20, 60)) == 255
        assert run(folder, tmp_path / "out", keep="left", masks=layout, rename="x{name}")["done"] == 4
        places["0"].unlink()  # it comes back
        assert run(folder, tmp_path / "out", keep="left", masks=layout, rename="x{name}")["masks_made"] == 1


def test_crops_by_hand_are_used_and_remembered(folder, tmp_path):
    image = Image.new("RGB", (640, 400), "blue")
    image.paste("red", (100, 100, 200, 200))
    image.save(folder / "10_dog" / "0.png")
    run(folder, tmp_path / "out", format="png")
    before = tree(tmp_path / "out")
    Recipes(folder).put({folder / "10_dog" / "0.png": (100 / 640, 100 / 400, 200 / 640, 200 / 400)})
    told = run(folder, tmp_path / "out", format="png", upscale=True)
    assert told["by_hand"] == 1
    told = run(folder, tmp_path / "out", format="png")
    assert Image.open(tmp_path / "out" / "10_dog" / "0.png").getcolors() == [(100 * 100, (255, 0, 0))]
    Recipes(folder).undo()
    run(folder, tmp_path / "out", format="png")
    assert tree(tmp_path / "out") == before


def test_crops_of_inner_folders_count_too(folder, tmp_path):
    inner = folder / "10_dog"
    Recipes(inner).put({inner / "0.png": (0, 0, 0.25, 0.4)})
    assert run(folder, tmp_path / "out")["by_hand"] == 1
    assert run(inner, tmp_path / "other")["by_hand"] == 1
    Recipes(folder).put({inner / "1.png": (0, 0, 0.25, 0.4)})
    assert run(inner, tmp_path / "third", dry_run=True)["by_hand"] == 2


def test_a_picture_that_is_too_small_is_named(folder, tmp_path):
    teller = Silent()
    told = run(folder, tmp_path / "out", teller, width=512, height=400)
    assert told["smaller_than_asked"] == len([problem for problem in teller.problems if problem.kind == "small"]) == 2
    assert run(folder, tmp_path / "large", width=512, height=400, upscale=True)["sizes"] == {"512x400": 4}


def test_without_a_face_model_it_is_said(folder, tmp_path):
    teller = Silent()
    told = run(folder, tmp_path / "out", teller, keep="face")
    assert "YuNet" in teller.warnings[0] and told["by"].get("subject")
    with pytest.raises(SettingsError, match="face_model"):
        (tmp_path / "no.onnx").write_bytes(b"no model")
        run(folder, tmp_path / "other", keep="face", face_model=str(tmp_path / "no.onnx"))


@pytest.mark.parametrize("mode", ["cover", "contain", "bucket"])
def test_the_hostile_corpus(tmp_path, mode):
    folder = tmp_path / "in"
    folder.mkdir()
    odd, broken = hostile.odd(folder), hostile.broken(folder)
    before, teller = tree(folder), Silent()
    told = run(folder, tmp_path / "out", teller, mode=mode, width=256, upscale=mode != "bucket",
               format="webp", quality=50, keep="face" if mode == "cover" else "centre")
    assert tree(folder) == before
    named = {problem.path for problem in teller.problems if not problem.used}
    assert {path for path in broken if path.suffix not in (".svg",)} <= named | {folder / "drawing.svg"}
    pictures = {item.path for item in scan([Folder(path=str(folder))]).items}
    assert pictures <= odd | {folder / "damaged.png"}  # broken in the middle, which is found when it is read
    assert told["copies_made"] + told["failed"] == told["pictures"]
    assert told["pictures"] + len(named & pictures) - told["failed"] == len(pictures)
    for path in (tmp_path / "out").rglob("*.webp"):
        with Image.open(path) as copy:
            copy.load()
            assert copy.mode == "RGB" and (mode != "cover" or copy.size == (256, 256))


def test_a_disk_that_refuses_ends_it_in_words(folder, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dataset.resize.made.swap", full)
    with pytest.raises(OSError, match="No space"):
        run(folder, tmp_path / "out")


def test_a_picture_that_goes_away_meanwhile_is_named(folder, tmp_path):
    settings = check(Settings, {"folder": str(folder), "output": str(tmp_path / "out"), "width": 64})
    made = plan(settings)
    (folder / "10_dog" / "2.png").unlink()
    (folder / "10_dog" / "1.txt").unlink()
    teller = Silent()
    told = resize(settings, made, teller)
    assert (told["failed"], told["copies_made"]) == (2, 3)
    assert {problem.path.name for problem in teller.problems} == {"1.png", "2.png"}


def test_only_what_was_made_counts_as_ours(tmp_path):
    made = Made(tmp_path)
    source = Path("/somewhere/a.png")
    assert made.put(tmp_path / "a.jpg", source, b"one", "key", "p") == "made"
    assert made.put(tmp_path / "a.jpg", source, b"one", "key", "p") == "same"
    assert made.put(tmp_path / "a.jpg", Path("/other.png"), b"two") == "kept"
    assert made.put(tmp_path / "a.jpg", source, b"three", "new", "p") == "again"
    made.close()
    later = Made(tmp_path)
    assert later.is_done(tmp_path / "a.jpg", source, "new") and not later.is_done(tmp_path / "a.jpg", source, "key")
    assert later.name_of(source, "p") == "a.jpg" and later.name_of(source, "q") is None
    (tmp_path / "a.jpg").write_bytes(b"mine")
    assert later.put(tmp_path / "a.jpg", source, b"four") == "kept"
    assert (tmp_path / "a.jpg").read_bytes() == b"mine"


def test_it_is_a_work_of_the_window(folder, tmp_path, workspace):
    job = work.create("resize", check(Settings, {"folder": str(folder), "output": str(tmp_path / "out"), "width": 64}))
    assert work.main([str(job.folder)]) == 0
    assert job.state() == "finished" and job.last_event["copies_made"] == 4
    table = json.loads((job.folder / TABLE).read_text())
    assert [row["after"] for row in table["rows"]] == [[64, 64]] * 4
    assert table["rows"][0]["copy"] == os.path.join("10_dog", "0.jpg").replace(os.sep, "/")
