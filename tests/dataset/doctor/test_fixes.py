"""Fixes: each mends what was found, once however often it is done, and is undone to the byte, also after a restart."""

import json
import os
import shutil

import pytest
from PIL import Image, ImageOps

from dataset import tokens
from dataset.deeds import Deeds
from dataset.doctor import fixes
from dataset.doctor.check import Aim, Case
from dataset.doctor.examine import examine, restored
from dataset.doctor.fixes import Ground, fix_of
from dataset.doctor.steps import ToBin, apply
from dataset.editor import marks
from dataset.reading import Reader
from dataset.settings import DatasetSettings
from settings.errors import SettingsError
from tests.dataset.doctor.test_hashes import drawn
from tests.dataset.test_deeds import HOSTILE, contents, snapshot

SETTINGS = DatasetSettings(resolution=128, bucket_step=64)
SIDE = (160, 160)


def add(folder, name, image, caption=None, **how):
    folder.mkdir(parents=True, exist_ok=True)
    image.save(folder / name, **how)
    if caption is not None:
        (folder / name).with_suffix(".txt").write_text(caption, encoding="utf-8")


@pytest.fixture(scope="module")
def drawn_set(tmp_path_factory):
    """A folder with something of every kind that can be mended."""
    folder = tmp_path_factory.mktemp("drawn") / "4_sks dog"
    for number in range(5):
        add(folder, f"{number}.png", drawn(number, SIDE), f"sks dog, red hair, place {number}")
    (folder / "cut.png").write_bytes((folder / "0.png").read_bytes()[:999])
    (folder / "1.txt").write_bytes(b"\xef\xbb\xbfsks dog, red hair\r\n\r\nsecond line.\r\nthird\r\n")
    (folder / "2.txt").write_bytes("sks dog, red hair, Käse".encode("cp1252"))
    (folder / "3.txt").write_text("Doggy, red hair")
    (folder / "4.txt").write_bytes(b" \r\n")
    add(folder, "long.png", drawn(6, SIDE), "sks dog, red hair, " + ", ".join(f"thing {n}" for n in range(60)))
    add(folder, "same.png", drawn(7, SIDE), "sks dog, red hair, same")
    add(folder, "same.jpg", drawn(8, SIDE))
    add(folder, "copy.bmp", Image.open(folder / "0.png"))
    add(folder, "near.png", drawn(1, (320, 320)), "sks dog, red hair, near")
    add(folder, "mirror.png", ImageOps.mirror(drawn(2, SIDE)), "sks dog, red hair, mirror")
    add(folder, "moving.gif", drawn(9, SIDE), "sks dog, red hair, moving", save_all=True,
        append_images=[drawn(10, SIDE)])
    glass = drawn(11, SIDE).convert("RGBA")
    glass.putpixel((3, 3), (0, 0, 0, 0))
    add(folder, "glass.png", glass, "sks dog, red hair, glass")
    add(folder, "jpeg.png", drawn(12, SIDE), "sks dog, red hair, jpeg", format="JPEG")
    add(folder, "tiny.png", drawn(13, (40, 50)), "sks dog, red hair, tiny")
    add(folder, "dark.png", drawn(14, SIDE).point(lambda value: value // 9), "sks dog, red hair, dark")
    (folder / "masks").mkdir()
    Image.new("L", SIDE).save(folder / "masks" / "dark.png")
    return folder


@pytest.fixture
def root(drawn_set, tmp_path):
    return shutil.copytree(drawn_set, tmp_path / drawn_set.name)


@pytest.fixture(scope="module")
def found(drawn_set):
    """{name: finding} of that folder, as JSON, so that it can be told of a copy of it."""
    return json.dumps(examine(drawn_set, SETTINGS, Aim("sks dog")).as_dict())


def cases_of(found, root, name):
    told = json.loads(found) | {"folder": str(root)}
    return next(finding.cases for finding in restored(told) if finding.name == name)


def planned(root, cases, name, how="", **more):
    return fix_of(name, how).plan(Ground(root, aim=Aim("sks dog"), **more), cases)


EVERY = [
    ("captions.encoding", ""), ("captions.lines", ""), ("captions.empty", ""), ("captions.trigger", ""),
    ("captions.long", ""), ("captions.common", ""), ("captions.folder_words", "exclude"),
    ("files.same_name", "rename"), ("files.same_name", "bin"), ("files.misnamed", "rename"),
    ("files.animated", "flatten"), ("files.transparent", "flatten"), ("files.left_out", "bin"), ("files.tiny", "bin"),
    ("files.tiny", "exclude"), ("quality.dark", "bin"), ("quality.dark", "exclude"), ("duplicates.exact", "bin"),
    ("duplicates.near", "bin"), ("duplicates.mirrored", "exclude"),
]


def excluded(root):
    return {name for name, mark in marks.read(root).items() if mark.excluded}


@pytest.mark.parametrize("name, how", EVERY)
def test_done_twice_is_done_once_and_undone_is_as_before(root, found, name, how):
    before, cases = snapshot(root), cases_of(found, root, name)
    plan = planned(root, cases, name, how)
    assert plan.steps and not plan.problems and all(step.told()["what"] for step in plan.steps)
    outcome = apply(root, plan)
    after = contents(root)
    assert outcome.changed and outcome.kept == []
    assert (after != {file: data for file, (data, _) in before.items()}) or excluded(root)
    again = planned(root, cases, name, how)
    assert again.steps == []
    assert apply(root, again).id is None and contents(root) == after
    assert Deeds(root).undo(outcome.id).kept == []  # from the disk alone, as after a restart
    assert contents(root) == {file: data for file, (data, _) in before.items()}
    assert not excluded(root)
    assert Deeds(root).redo(outcome.id).kept == []
    assert contents(root) == after


@pytest.mark.parametrize("name, how", EVERY)
def test_what_was_found_is_gone_after_the_fix(root, found, name, how):
    apply(root, planned(root, cases_of(found, root, name), name, how))
    left = {finding.name for finding in examine(root, SETTINGS, Aim("sks dog")).findings}
    assert name not in left, left


def test_an_old_plan_harms_nothing(root, found):
    """What was changed between the preview and the fix stays as the person wants it."""
    plans = [planned(root, cases_of(found, root, name), name, how) for name, how in
             (("captions.lines", ""), ("files.misnamed", ""), ("quality.dark", "bin"), ("captions.trigger", ""))]
    (root / "1.txt").write_text("mine")
    (root / "jpeg.jpg").write_bytes(b"mine")
    (root / "dark.png").unlink()
    (root / "3.txt").unlink()
    before = contents(root)
    kept = [problem.path.name for plan in plans for problem in apply(root, plan).kept]
    assert kept == ["1.txt", "jpeg.jpg", "dark.png", "3.txt"]
    assert contents(root) == before and Deeds(root).history() == []


def test_a_caption_that_was_changed_after_the_fix_stays_when_it_is_undone(root, found):
    outcome = apply(root, planned(root, cases_of(found, root, "captions.common"), "captions.common"))
    (root / "0.txt").write_text("mine")
    back = Deeds(root).undo(outcome.id)
    assert [problem.path.name for problem in back.kept] == ["0.txt"] and back.changed == outcome.changed - 1
    assert (root / "0.txt").read_text() == "mine"


def test_captions_become_clean_lines(root, found):
    for name in ("captions.lines", "captions.encoding", "captions.empty", "captions.trigger", "captions.long"):
        apply(root, planned(root, cases_of(found, root, name), name))
    assert (root / "1.txt").read_bytes() == b"sks dog, red hair, second line. third\n"
    assert (root / "2.txt").read_bytes() == "sks dog, red hair, Käse\n".encode()
    assert (root / "3.txt").read_bytes() == b"sks dog, Doggy, red hair\n"
    assert not (root / "4.txt").exists()
    cut = (root / "long.txt").read_text()
    assert tokens.count(cut) <= tokens.LIMIT and cut.startswith("sks dog, red hair, thing 0, ") and cut[-2] != ","


def test_captions_are_cut_at_what_is_read_or_where_a_person_says(root, found):
    cases, sizes = cases_of(found, root, "captions.long"), {}
    for reader, options in ((Reader("clip", 150), {}), (Reader("t5", 40), {}), (Reader(), {"tokens": "150"})):
        plan = fix_of("captions.long").plan(Ground(root, aim=Aim(reader=reader), options=options), cases)
        texts = [step.after.decode().strip() for step in plan.steps] or [(root / "long.txt").read_text().strip()]
        sizes[reader.name] = [reader.count(text) for text in texts]
    assert 75 < sizes["clip-75"][0] <= 150 and 75 < sizes["clip-150"][0] <= 150 and 30 < sizes["t5-40"][0] <= 40


def test_choices_of_a_fix(root, found):
    lines = planned(root, cases_of(found, root, "captions.lines"), "captions.lines",
                    options={"lines": "keep the first"})
    assert [step.after for step in lines.steps] == [b"sks dog, red hair\n"]
    (root / "2.txt").write_bytes("собака".encode("cp1251"))
    cyrillic = planned(root, cases_of(found, root, "captions.encoding"), "captions.encoding",
                       options={"encoding": "cp1251"})
    assert [step.texts[0][1] for step in cyrillic.steps] == ["собака"]
    (root / "2.txt").write_bytes(b"caf\xe9")
    wrong = planned(root, cases_of(found, root, "captions.encoding"), "captions.encoding",
                    options={"encoding": "gb18030"})
    assert wrong.steps == [] and "gb18030" in wrong.problems[0].reason
    for options in ({"encoding": "rot13"}, {"x": "y"}):
        with pytest.raises(SettingsError, match="no choice"):
            planned(root, (), "captions.encoding", options=options)


def test_only_the_chosen_tags_are_taken_out_and_no_caption_becomes_empty(root):
    (root / "3.txt").write_text("Red_hair")
    (root / "0.txt").write_text("A dog with red hair, which is sitting on the grass of a park.")
    apply(root, planned(root, (Case((), about="red hair"),), "captions.common"))
    assert (root / "3.txt").read_text() == "Red_hair"
    assert "red hair" in (root / "0.txt").read_text()
    assert (root / "same.txt").read_text() == "sks dog, same\n"


def test_equal_names_get_names_and_captions_of_their_own(root, found):
    apply(root, planned(root, cases_of(found, root, "files.same_name"), "files.same_name"))
    assert {path.name for path in root.glob("same*")} == {"same.jpg", "same.txt", "same_2.png", "same_2.txt"}
    assert (root / "same_2.txt").read_bytes() == (root / "same.txt").read_bytes()


def test_flat_copies_are_what_training_saw(root, found):
    before = {item.path.stem: item for item in examine(root, SETTINGS).subject.items}
    for name in ("files.animated", "files.transparent"):
        apply(root, planned(root, cases_of(found, root, name), name))
    with Image.open(root / "moving.png") as moving, Image.open(root / "glass.png") as glass:
        assert moving.format == glass.format == "PNG" and moving.mode == glass.mode == "RGB"
        assert glass.getpixel((3, 3)) == (255, 255, 255)
    after = {item.path.stem: item for item in examine(root, SETTINGS).subject.items}
    assert {stem: item.caption for stem, item in after.items()} == {stem: i.caption for stem, i in before.items()}
    told = {finding.name for finding in examine(root, SETTINGS).findings}
    assert not told & {"files.animated", "files.transparent"}


def test_a_mask_goes_to_the_bin_with_its_picture(root, found):
    plan = planned(root, cases_of(found, root, "quality.dark"), "quality.dark", "bin")
    assert plan.steps == [ToBin(root / "dark.png", (root / "dark.txt", root / "masks" / "dark.png"))]


def test_another_one_can_be_kept(root, found):
    (case,) = cases_of(found, root, "duplicates.near")
    assert case.keep == root / "near.png"
    plan = planned(root, (case,), "duplicates.near", keep=frozenset({root / "1.png"}))
    assert [step.picture for step in plan.steps] == [root / "near.png"]


def test_no_group_is_ever_thrown_away_as_a_whole(root, found):
    cases = cases_of(found, root, "duplicates.exact")
    cases[0].keep.unlink()
    plan = planned(root, cases, "duplicates.exact")
    assert plan.steps == [] and "to keep" in plan.problems[0].reason


def test_tables_of_captions_are_mended_and_follow_their_pictures(tmp_path):
    root = tmp_path / "set"
    add(root, "a.png", drawn(1, SIDE), format="JPEG")
    add(root, "b.png", drawn(2, SIDE))
    rows = [{"file_name": "a.png", "text": "a dog\nin a park", "more": 1}, {"file_name": "b.png", "text": "a cat"}]
    (root / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    before = contents(root)
    ids = []
    for name in ("captions.lines", "captions.trigger", "files.misnamed"):
        cases = next(one.cases for one in examine(root, SETTINGS, Aim("sks")).findings if one.name == name)
        ids.append(apply(root, fix_of(name).plan(Ground(root, aim=Aim("sks")), cases)).id)
    told = [json.loads(line) for line in (root / "metadata.jsonl").read_text().splitlines()]
    assert told == [{"file_name": "a.jpg", "text": "sks, a dog, in a park", "more": 1},
                    {"file_name": "b.png", "text": "sks, a cat"}]
    items = {item.path.name: item.caption for item in examine(root, SETTINGS).subject.items}
    assert items == {"a.jpg": "sks, a dog, in a park", "b.png": "sks, a cat"}
    for id in reversed(ids):
        assert Deeds(root).undo(id).kept == []
    assert contents(root) == before


def test_meta_cap_too(tmp_path):
    root = tmp_path / "set"
    add(root, "a.png", drawn(1, SIDE), format="JPEG")
    (root / "meta_cap.json").write_text(json.dumps({"a.png": {"caption": "a dog\nin a park", "tags": ["x", "y"]}}))
    for name in ("captions.lines", "files.misnamed"):
        cases = next(one.cases for one in examine(root, SETTINGS).findings if one.name == name)
        apply(root, fix_of(name).plan(Ground(root), cases))
    assert json.loads((root / "meta_cap.json").read_text()) == {
        "a.jpg": {"caption": "a dog, in a park", "tags": ["x", "y"]}}


def test_excluded_pictures_are_told_as_that_and_can_be_included_again(root, found):
    apply(root, planned(root, cases_of(found, root, "quality.dark"), "quality.dark", "exclude"))
    findings = {finding.name: finding for finding in examine(root, SETTINGS).findings}
    assert "quality.dark" not in findings and findings["files.excluded"].severity == "note"
    assert [case.paths for case in findings["files.excluded"].cases] == [(root / "dark.png",)]
    assert "dark.png" not in {path.name for case in findings["files.left_out"].cases for path in case.paths}
    apply(root, planned(root, findings["files.excluded"].cases, "files.excluded"))
    assert "quality.dark" in {finding.name for finding in examine(root, SETTINGS).findings}


def test_a_picture_keeps_its_stars_when_it_is_renamed(root, found):
    marks.change(root, ["jpeg.png"], marks.Change(stars=4, note="mine"))
    apply(root, planned(root, cases_of(found, root, "files.misnamed"), "files.misnamed"))
    assert marks.read(root)["jpeg.jpg"] == marks.Mark(stars=4, note="mine")


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names(tmp_path, name):
    root = tmp_path / "set"
    try:
        add(root, name, drawn(1, SIDE), format="JPEG")
    except OSError:
        pytest.skip("this disk doesn't allow such a name")
    (root / name).with_suffix(".txt").write_text("a\nb")
    before = contents(root)
    findings = examine(root, SETTINGS, Aim("sks")).findings
    for one in findings:
        for fix in fixes.fixes(one.name):
            outcome = apply(root, fix.plan(Ground(root, aim=Aim("sks")), one.cases))
            assert outcome.kept == [] or one.name == "sizes.lonely"
            assert Deeds(root).undo(outcome.id).kept == [] if outcome.id else True
            assert contents(root) == before
    assert {"captions.lines", "files.misnamed", "captions.trigger"} <= {one.name for one in findings}


def test_a_write_protected_folder_is_told(root, found, monkeypatch):
    if os.name != "posix" or os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    root.chmod(0o555)
    try:
        with pytest.raises(OSError, match="nothing can be written"):
            apply(root, planned(root, cases_of(found, root, "captions.lines"), "captions.lines"))
    finally:
        root.chmod(0o755)


def test_a_stop_in_the_middle_can_be_undone(root, found):
    before = contents(root)

    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply(root, planned(root, cases_of(found, root, "captions.common"), "captions.common"), stop)
    assert [one.state for one in Deeds(root).history()] == ["interrupted"]
    assert Deeds(root).undo().changed == 2
    assert contents(root) == before


def test_a_plan_is_known_by_what_it_does(root, found):
    cases = cases_of(found, root, "captions.lines")
    first = planned(root, cases, "captions.lines").digest
    assert planned(root, cases, "captions.lines").digest == first
    (root / "1.txt").write_text("other\nlines")
    assert planned(root, cases, "captions.lines").digest != first


def test_findings_of_checks_that_are_yet_to_be_written_can_be_mended():
    assert [fix.how for fix in fixes.fixes("meaning.something")] == ["exclude", "bin"]
    assert fixes.fixes("files.turned") == fixes.fixes("files.empty") == []
    with pytest.raises(SettingsError, match="nothing can be done"):
        fix_of("files.turned")
    with pytest.raises(SettingsError, match="known are clean"):
        fix_of("captions.lines", "burn")
