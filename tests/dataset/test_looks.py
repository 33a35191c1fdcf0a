"""Windows, sides and colours of each showing: where they lie, what they follow from, and what moves what."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dataset import buckets, looks, turns
from dataset.buckets import Crop, fit, fits
from dataset.looks import Look, Looks
from dataset.pictures import PictureError
from dataset.scan import Item
from dataset.settings import DatasetSettings
from settings.errors import SettingsError, check, warnings

SMALL = {"resolution": 64, "bucket_step": 32}
PATH = Path("folder/a.png")


def settings(**values) -> DatasetSettings:
    return check(DatasetSettings, SMALL | values)


def item(name: str, size: tuple[int, int], repeats: int = 1, regularisation: bool = False) -> Item:
    return Item(Path(name), *size, "", repeats, "folder", regularisation)


def shown(window: Crop, seed: int = 7, **values) -> list[Look]:
    how = Looks(seed, settings(**values))
    return [how.drawn(PATH, window, False, (step, 0)) for step in range(400)]


def test_without_an_option_every_showing_is_the_centred_crop():
    crop = fit(100, 77, settings())
    assert set(shown(crop)) == {Look(crop)} and Looks(1, settings()).still(PATH, crop) == Look(crop)
    assert Looks(1, settings(flip=True)).all(PATH, crop) == [Look(crop), Look(crop, True)]
    assert Looks(1, settings()).drawn(PATH, crop, True, (3, 1)) == Look(crop, True)


@pytest.mark.proves("dataset.crop")
def test_a_random_window_may_be_anywhere_and_nowhere_else():
    crop = fit(100, 77, settings())
    across, down = crop.over
    assert (across, down) == (10, 0)
    found = shown(crop, crop="random")
    assert {look.crop.left for look in found} == set(range(across + 1)) and {look.crop.top for look in found} == {0}
    assert {replace(look.crop, left=crop.left) for look in found} == {crop} and not any(look.colour for look in found)
    exact = fit(64, 64, settings())
    assert {look.crop for look in shown(exact, crop="random")} == {exact}


def test_what_is_drawn_follows_from_seed_step_and_place_alone():
    crop, options = fit(100, 77, settings()), {"crop": "random", "colour_jitter": 0.5}
    assert shown(crop, **options) == shown(crop, **options) != shown(crop, seed=8, **options)
    how = Looks(7, settings(**options))
    one, two = how.drawn(PATH, crop, False, (5, 1)), how.drawn(PATH, crop, False, (5, 2))
    assert one != two and one == how.drawn(PATH, crop, False, (5, 1))


def test_switching_one_on_does_not_move_the_other_nor_sides_and_words():
    crop = fit(100, 77, settings())
    windows, colours = shown(crop, crop="random"), shown(crop, colour_jitter=0.5)
    both = shown(crop, crop="random", colour_jitter=0.5)
    assert [look.crop for look in both] == [look.crop for look in windows]
    assert [look.colour for look in both] == [look.colour for look in colours]
    assert {look.crop for look in colours} == {crop}


@pytest.mark.proves("dataset.variants")
def test_variants_are_so_many_and_all_of_them_are_known():
    crop, options = fit(100, 77, settings()), {"crop": "random", "colour_jitter": 1.0, "variants": 5}
    found = shown(crop, **options)
    known = Looks(7, settings(**options)).all(PATH, crop)
    assert len(known) == 5 and set(found) == set(known)
    mirrored = Looks(7, settings(flip=True, **options)).all(PATH, crop)
    assert {replace(look, flip=False) for look in mirrored} == set(known) and len(mirrored) == 10
    elsewhere = Looks(7, settings(**options)).all(Path("moved") / PATH.name, crop)
    assert elsewhere == known, "they follow the picture's name, not where it lies"
    assert set(Looks(7, settings(**options)).all(Path("b.png"), crop)) != set(known)
    exact = fit(64, 64, settings())
    assert Looks(7, settings(crop="random", variants=5)).all(PATH, exact) == [Look(exact)], "there is only one way"


@pytest.mark.proves("dataset.flip", "dataset.colour_jitter")
def test_pixels_are_cut_then_mirrored_then_coloured(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (77, 100, 3), dtype=np.uint8)).save(path)
    found = shown(fit(100, 77, settings()), crop="random", colour_jitter=1.0)
    look = replace(next(look for look in found if look.crop.left > 6), flip=True)
    plain = buckets.pixels(path, look.crop)
    assert np.array_equal(looks.pixels(path, replace(look, colour=None)), plain[:, ::-1])
    assert np.array_equal(looks.pixels(path, look), looks.colour.applied(plain, look.colour)[:, ::-1])
    assert not np.array_equal(looks.pixels(path, look), plain[:, ::-1])


def test_focus_goes_where_there_is_most_to_see_and_reads_each_picture_once(tmp_path, monkeypatch, workspace):
    picture = np.full((64, 200, 3), 200, np.uint8)
    picture[20:44, 150:180] = np.random.default_rng(0).integers(0, 256, (24, 30, 3), dtype=np.uint8)
    path = tmp_path / "a.png"
    Image.fromarray(picture).save(path)
    crop, how = fit(200, 64, settings(buckets=False)), Looks(1, settings(crop="focus", buckets=False))
    read = []
    monkeypatch.setattr(looks, "read", lambda path: read.append(path) or Image.open(path).convert("RGB"))
    look = how.still(path, crop)
    assert look.crop.left <= 150 and look.crop.left + 64 >= 180 and (crop.left, crop.top) == (68, 0)
    assert replace(look.crop, left=crop.left) == crop
    assert {how.drawn(path, crop, False, (step, 0)) for step in range(5)} == {look} and read == [path]
    assert how.still(path, fit(64, 64, settings())).crop == fit(64, 64, settings()) and read == [path]
    again = Looks(2, settings(crop="focus", buckets=False))
    assert again.still(path, crop) == look and read == [path], "another run finds it on the disk"
    Image.fromarray(picture[:, ::-1]).save(path)
    changed = Looks(1, settings(crop="focus", buckets=False)).still(path, crop)
    assert changed.crop.left <= 20 and read == [path, path], "a changed picture is looked at anew"
    for kept in (workspace / "cache" / "focus").rglob("*.json"):
        kept.write_text("{")
    assert Looks(1, settings(crop="focus", buckets=False)).still(path, crop) == changed and len(read) == 3
    path.unlink()
    with pytest.raises(PictureError):
        Looks(1, settings(crop="focus", buckets=False)).still(path, crop)


def test_focus_puts_the_window_around_the_largest_face(tmp_path, monkeypatch):
    from dataset.resize.faces import Face

    class Detector:
        def __init__(self, path):
            pass

        def faces(self, image):
            return [Face(0.05, 0.2, 0.15, 0.5, 0.9)]

    Image.effect_noise((200, 64), 80).convert("RGB").save(tmp_path / "a.png")
    model = tmp_path / "face.onnx"
    model.write_bytes(b"123")
    monkeypatch.setattr(looks.faces, "model_file", lambda chosen: model)
    monkeypatch.setattr(looks.faces, "Detector", Detector)
    how = Looks(1, settings(crop="focus", buckets=False))
    crop = fit(200, 64, settings(buckets=False))
    assert Looks(1, settings(crop="focus", buckets=False)).still(tmp_path / "a.png", crop).crop.left <= 10
    monkeypatch.setattr(looks.faces, "model_file", lambda chosen: None)
    without = Looks(1, settings(crop="focus", buckets=False)).still(tmp_path / "a.png", crop).crop.left
    monkeypatch.setattr(looks.faces, "model_file", lambda chosen: model)
    assert how.still(tmp_path / "a.png", crop).crop.left <= 10 != without, "each face model has windows of its own"
    assert how.by == "face.onnx 3" and Looks(1, settings()).by == ""


def test_a_face_model_that_is_none_is_told_by_the_setting(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    (tmp_path / "face.onnx").write_bytes(b"nonsense")
    monkeypatch.setattr(looks.faces, "model_file", lambda chosen: tmp_path / "face.onnx")
    with pytest.raises(SettingsError, match=r"dataset\.crop.*face\.onnx"):
        Looks(1, settings(crop="focus"))


@pytest.mark.proves("dataset.more_resolutions")
def test_every_picture_at_every_resolution_but_never_twice_at_one_size():
    how = settings(more_resolutions=[128, 64, 96])
    assert how.sides == [64, 128, 96]
    assert [crop.bucket for crop in fits(300, 300, how)] == [(64, 64), (128, 128), (96, 96)]
    assert [crop.bucket for crop in fits(70, 110, how)] == [(32, 64), (64, 96)]
    assert fits(50, 60, how) == [fit(50, 60, how)], "smaller than the smallest: at its own size, once"
    enlarged = settings(more_resolutions=[128], upscale=True, bucket_min=32, bucket_max=256)
    assert [crop.bucket for crop in fits(50, 50, enlarged)] == [(64, 64), (128, 128)]
    assert fits(300, 200, settings()) == [fit(300, 200, settings())]


def test_an_epoch_shows_each_size_as_often_and_regularisation_keeps_pace():
    items = [item("a.png", (300, 300), repeats=3), item("b.png", (40, 40)), item("r.png", (300, 300), 1, True)]
    entries = turns.lay_out(settings(more_resolutions=[128]), items)
    assert [(entry.item, entry.crop.bucket, entry.repeats) for entry in entries] == [
        (0, (64, 64), 3), (0, (128, 128), 3), (1, (32, 32), 1), (2, (64, 64), 4), (2, (128, 128), 4)]
    pace = turns.Pace(1, batch_size=2)
    epoch = turns.batches(entries, pace, 0)
    assert len(epoch) == turns.steps_per_epoch(entries, pace) == 1 + 4 + 4
    assert sorted(number for batch in epoch for number in batch) == [0] * 3 + [1] * 3 + [2] + [3] * 4 + [4] * 4
    assert all(len({entries[number].crop.bucket for number in batch}) == 1 for batch in epoch)


def test_resolutions_that_can_not_be_trained_are_named():
    for wrong in ([100], [64, 0], [-64], [65536]):
        with pytest.raises(SettingsError, match=r"more_resolutions"):
            settings(more_resolutions=wrong)
    with pytest.raises(SettingsError, match=r"bucket_max: must not be below the resolution, 1024"):
        settings(more_resolutions=[1024], upscale=True, bucket_min=32, bucket_max=512)
    assert check(DatasetSettings, {"more_resolutions": "768, 1024"}).more_resolutions == [768, 1024]


def test_variants_without_anything_to_vary_are_told():
    assert "variants" in warnings(settings(variants=3))
    assert not warnings(settings(variants=3, colour_jitter=0.1)) and not warnings(settings(crop="random", variants=3))
