import os
import random
import shutil

import pytest
from PIL import Image

from dataset.scan import scan
from dataset.settings import DatasetSettings, Folder
from dataset.stats import bucket_info, dataset_dirs, stats, tag_frequency


@pytest.fixture
def draw(tmp_path):
    """draw("10_sks dog/a.png", size=…, caption=…) makes a picture below the test's folder."""
    def make(name, size=(24, 16), caption=None, **options):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, "red").save(path, **options)
        if caption is not None:
            path.with_suffix(".txt").write_text(caption, encoding="utf-8")
        return path

    make.root = tmp_path / "data"
    return make


def scanned(path, **folder):
    return scan([Folder(path=str(path), **folder)])


def found(dataset, root):
    return {item.path.relative_to(root).as_posix(): (item.repeats, item.folder, item.caption) for item in dataset.items}


def said(dataset):
    return {problem.path.name: problem.reason for problem in dataset.problems}


def test_a_leaf_folder(draw):
    draw("b.jpg", (24, 16), caption="two")
    draw("a.webp", (16, 24))
    dataset = scanned(draw.root, class_words="a thing")
    assert [(item.path.name, item.width, item.height, item.caption, item.repeats) for item in dataset.items] == [
        ("a.webp", 16, 24, "a thing", 1), ("b.jpg", 24, 16, "two", 1)]
    assert [item.caption_from for item in dataset.items] == [None, draw.root / "b.txt"]
    assert "1 of 2 pictures" in said(dataset)["data"]


def test_a_leaf_folder_with_a_number(draw):
    path = draw("10_sks dog/a.png").parent
    assert found(scanned(path), draw.root) == {"10_sks dog/a.png": (10, "10_sks dog", "sks dog")}
    assert scanned(path).problems == []


def test_a_kohya_parent(draw):
    draw("10_sks dog/a.png", caption="sks dog on grass")
    draw("10_sks dog/deeper/b.png")
    draw("2_my_cat/c.png")
    draw("other/d.png")
    draw("0_never/e.png")
    draw("20240131_walk/g.png")
    draw("f.png")
    dataset = scanned(draw.root)
    assert found(dataset, draw.root) == {
        "10_sks dog/a.png": (10, "10_sks dog", "sks dog on grass"),
        "10_sks dog/deeper/b.png": (10, "10_sks dog", "sks dog"),
        "2_my_cat/c.png": (2, "2_my_cat", "my_cat"),
    }
    told = said(dataset)
    assert set(told) == {"other", "0_never", "20240131_walk", "data"}
    assert "1 picture beside the folder '0_never'" in told["data"] and "0 repeats" in told["0_never"]


def test_any_tree(draw):
    for name in ("x/a.png", "x/y/b.png", "z/3_cat/c.png", "d.png"):
        draw(name, caption="c")
    assert found(scanned(draw.root), draw.root) == {
        "d.png": (1, "data", "c"), "x/a.png": (1, "data/x", "c"), "x/y/b.png": (1, "data/x/y", "c"),
        "z/3_cat/c.png": (3, "3_cat", "c")}


@pytest.mark.proves("dataset.folders.repeats", "dataset.folders.class_words")
def test_settings_win_over_names(draw):
    draw("10_sks dog/a.png")
    dataset = scanned(draw.root, repeats=3, class_words="a hound", regularisation=True)
    assert [(i.repeats, i.caption, i.regularisation) for i in dataset.items] == [(3, "a hound", True)]
    assert dataset.training == [] and dataset.regularisation == dataset.items


def test_a_prepared_folder_gives_its_pictures_only(draw):
    for name in ("img/10_sks dog/a.png", "reg/1_dog/b.png", "model/sample.png"):
        draw(name)
    assert [item.path.name for item in scanned(draw.root).items] == ["a.png"]
    assert [item.path.name for item in scanned(draw.root, regularisation=True).items] == ["b.png"]


def test_many_repeats_are_doubted(draw):
    draw("2023_summer/a.png")
    assert "2,023 repeats" in said(scanned(draw.root))["2023_summer"]


def test_the_order_is_that_of_the_names(draw, monkeypatch):
    names = [f"{folder}/{name}.png" for folder in ("b", "a b", "a") for name in ("2", "10", "Z", "z", "é", "e\u0301x")]
    random.Random(0).shuffle(names)
    for name in names:
        draw(name)
    first = [item.path for item in scanned(draw.root).items]
    real = os.scandir

    class Backwards:  # another system's sequence
        def __init__(self, path):
            with real(path) as entries:
                self.entries = sorted(entries, key=lambda entry: entry.name, reverse=True)

        def __enter__(self):
            return iter(self.entries)

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(os, "scandir", Backwards)
    assert [item.path for item in scanned(draw.root).items] == first
    assert len(first) == len(names)


def test_what_is_no_picture_is_passed_over(draw):
    draw("a.png")
    for name in (".DS_Store", "Thumbs.db", "notes.txt", "._a.png", ".hidden.png", "model.safetensors"):
        (draw.root / name).write_bytes(b"x")
    draw("__MACOSX/b.png")
    draw(".cache/c.png")
    draw("@eaDir/d.png")
    dataset = scanned(draw.root)
    assert [item.path.name for item in dataset.items] == ["a.png"]
    assert set(said(dataset)) == {"data"}  # only: no captions


def test_broken_files_are_named_and_the_rest_goes_on(draw):
    draw("good.png", caption="good")
    (draw.root / "empty.jpg").write_bytes(b"")
    (draw.root / "text.png").write_text("no picture")
    (draw.root / "phone.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    cut = draw("cut.jpg", (200, 200))
    cut.write_bytes(cut.read_bytes()[:-300])
    Image.new("1", (7000, 6000)).save(draw.root / "big.png")
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime")]
    frames[0].save(draw.root / "moving.gif", save_all=True, append_images=frames[1:])
    (draw.root / "moving.txt").write_text("moving")
    dataset = scanned(draw.root)
    assert [item.path.name for item in dataset.items] == ["good.png", "moving.gif"]
    told = said(dataset)
    for name, reason in {"empty.jpg": "empty", "text.png": "not a picture", "phone.HEIC": ".heic", "cut.jpg": "cut off",
                         "big.png": "42 megapixels", "moving.gif": "animated"}.items():
        assert reason in told[name]
    assert [problem.path.name for problem in dataset.problems if problem.used] == ["moving.gif"]
    assert all(problem.fix for problem in dataset.problems)


def test_damage_in_the_middle_is_found_when_asked(draw):
    path = draw("a.png", (64, 64), caption="a")
    data = bytearray(path.read_bytes())
    middle = data.index(b"IDAT") + 6
    data[middle:middle + 8] = bytes(8)
    path.write_bytes(data)
    assert len(scanned(draw.root).items) == 1
    dataset = scan([Folder(path=str(draw.root))], deep=True)
    assert dataset.items == [] and "a.png" in said(dataset)


def test_two_pictures_share_a_caption(draw):
    draw("a.jpg", caption="both")
    draw("a.png")
    dataset = scanned(draw.root)
    assert [item.caption for item in dataset.items] == ["both", "both"]
    assert "shares the caption file a.txt with a.jpg" in said(dataset)["a.png"]


def test_no_picture_twice(draw):
    draw("x/a.png", caption="a")
    dataset = scan([Folder(path=str(draw.root / "x")), Folder(path=str(draw.root), regularisation=True)])
    assert [(item.path.name, item.regularisation) for item in dataset.items] == [("a.png", False)]
    assert "same file" in said(dataset)["a.png"]


@pytest.mark.skipif(os.name == "nt", reason="links want rights on Windows")
def test_links(draw):
    picture = draw("x/a.png", caption="a")
    (draw.root / "loop").symlink_to(draw.root)
    (draw.root / "x/itself").symlink_to("itself")
    (draw.root / "x/itself.png").symlink_to("itself.png")
    (draw.root / "x/gone.png").symlink_to("nowhere.png")
    (draw.root / "x/again.png").symlink_to(picture)
    dataset = scanned(draw.root)
    assert len(dataset.items) == 1
    assert {"itself.png", "gone.png"} <= set(said(dataset))


@pytest.mark.parametrize("name", ["with space", "quo'te\"s", "[brackets] {x}", "кошка", "猫の写真", "é" * 125,
                                  "%41&;$(x)"])
def test_names(draw, name):
    if os.name == "nt" and '"' in name:
        pytest.skip("not a name on Windows")
    path = draw(f"10_{name[:100]}/{name}.png", caption="ok")
    assert len(path.name.encode()) <= 255
    dataset = scanned(draw.root)
    assert [(item.path, item.caption, item.folder) for item in dataset.items] == [(path, "ok", f"10_{name[:100]}")]
    assert dataset.problems == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_a_name_that_is_no_text(draw):
    draw("a.png", caption="a")
    try:
        shutil.copy(draw.root / "a.png", os.fsencode(draw.root) + b"/\xff.png")
    except OSError:
        pytest.skip("this file system wants text")
    dataset = scanned(draw.root)
    assert [item.path.name for item in dataset.items] == ["a.png"] and len(dataset.problems) == 1


@pytest.mark.parametrize("path, reason", [("", "no folder"), ("missing", "no such folder"), ("data/a.png", "a file"),
                                          ("data/empty", "no pictures"), ("~nobody/x", "no such folder"),
                                          ("x" * 5000, "no such folder"), ("a\0b", "no such folder")])
def test_wrong_folders(draw, path, reason):
    draw("a.png")
    (draw.root / "empty").mkdir()
    whole = path if path in ("", "~nobody/x", "a\0b") else str(draw.root.parent / path)
    dataset = scanned(whole)
    assert dataset.items == [] and [reason in problem.reason for problem in dataset.problems] == [True]


def test_folders_of_one_name_are_told_apart(draw):
    draw("a/1_dog/x.png", caption="Dog, Big")
    draw("b/1_dog/y.png", caption="dog")
    dataset = scan([Folder(path=str(draw.root / "a")), Folder(path=str(draw.root / "b"))])
    assert [item.folder for item in dataset.items] == ["1_dog", "1_dog (2)"]
    assert tag_frequency(dataset.items) == {"1_dog": {"big": 1, "dog": 1}, "1_dog (2)": {"dog": 1}}


def test_what_it_amounts_to(draw):
    draw("img/10_sks/a.png", (128, 128), caption="sks, Red , red,")
    draw("img/10_sks/b.png", (128, 64), caption="sks, blue")
    draw("img/1_more/c.png", (32, 32))
    draw("reg/2_dog/d.png", (64, 64))
    (draw.root / "img/1_more/e.png").write_bytes(b"")
    dataset = scan([Folder(path=str(draw.root / "img")), Folder(path=str(draw.root / "reg"), regularisation=True)])
    settings = DatasetSettings(resolution=64, bucket_step=8, bucket_min=16, bucket_max=128, upscale=True)
    result = stats(dataset, settings)
    assert (result.pictures, result.training, result.regularisation, result.repeated) == (4, 3, 1, 21)
    assert (result.captioned, result.left_out, result.smallest, result.largest) == (2, 1, (32, 32), (128, 128))
    assert [(bucket.size, bucket.pictures, bucket.repeated) for bucket in result.buckets] == [
        ((64, 64), 3, 13), ((88, 40), 1, 10)]
    assert [item.path.name for item in result.upscaled] == ["c.png"]
    assert result.mean_crop_loss == pytest.approx((1 - 88 * 40 / (88 * 44)) / 4)
    assert [(group.name, group.pictures, group.repeats, group.captioned) for group in result.groups] == [
        ("10_sks", 2, 10, 2), ("1_more", 1, 1, 0), ("2_dog", 1, 2, 0)]
    assert tag_frequency(dataset.training) == {"1_more": {"more": 1}, "10_sks": {"red": 2, "sks": 2, "blue": 1}}
    assert dataset_dirs(dataset.training) == {"1_more": {"n_repeats": 1, "img_count": 1},
                                              "10_sks": {"n_repeats": 10, "img_count": 2}}
    assert dataset_dirs(dataset.regularisation) == {"2_dog": {"n_repeats": 2, "img_count": 1}}
    info = bucket_info(dataset.items, settings)
    assert info["buckets"] == {"0": {"resolution": [64, 64], "count": 13}, "1": {"resolution": [88, 40], "count": 10}}
    assert info["mean_img_ar_error"] == pytest.approx(abs(88 / 40 - 2) / 4)
    assert bucket_info(dataset.items, DatasetSettings(buckets=False, resolution=64)) is None


def test_nothing_amounts_to_nothing():
    result = stats(scan([]), DatasetSettings())
    assert result.pictures == 0 and result.buckets == [] and result.mean_crop_loss == 0
    assert bucket_info([], DatasetSettings()) == {"buckets": {}, "mean_img_ar_error": 0.0}
