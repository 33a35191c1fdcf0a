"""What the trainer sees, asked of the window: by a picture's id, under what stands on the training form."""

import io

import numpy as np
import pytest
from PIL import Image

from dataset import looks, seen
from dataset.buckets import fit, pixels
from dataset.settings import DatasetSettings


@pytest.fixture
def window(window, tmp_path):
    made = tmp_path / "pictures"
    made.mkdir()
    ramp = np.mgrid[0:200, 0:300].astype(np.uint8)
    Image.fromarray(np.dstack([ramp[0], ramp[1], ramp[0]])).save(made / "a <b>.png")
    (made / "a <b>.txt").write_text("sks, <script>alert(1)</script>, b, c", encoding="utf-8")
    window.drafts.save("dataset", {"path": str(made)})
    window.picture = made / "a <b>.png"
    return window


def test_without_a_data_set_on_the_form_it_is_the_open_folders_run(window, page):
    window.drafts.save("train", {"dataset": {"resolution": "256"}, "captions": {"shuffle": True, "keep_tokens": 1}})
    found = page.get(f"/api/seen/{window.thumbnails.id_of(window.picture)}").json()
    assert found["of"] == "folder" and found["folder"] == str(window.picture.parent) and found["wrong"] == ""
    assert found["bucket"] == [256, 192] and found["times"] == 10
    assert len({turn["text"] for turn in found["turns"]}) > 1
    assert all(turn["text"].startswith("sks, ") for turn in found["turns"])


def test_class_images_are_a_part_of_the_run(window, page, tmp_path):
    id, typed = window.thumbnails.id_of(window.picture), {"path": str(window.picture.parent), "repeats": 3}
    prior = {"kind": "images", "class_prompt": "a dog", "images": 2}
    draft = {"dataset": {"folders": [typed], "resolution": 256}, "run": {"epochs": 2}}
    for model, steps in (("some/model", 12), (str(tmp_path / "gone.safetensors"), 6)):
        window.drafts.save("train", draft | {"prior": prior, "model": {"base": model}})
        found = page.get(f"/api/seen/{id}").json()
        assert (found["of"], found["times"], found["steps"]) == ("form", 6, steps)


def test_what_is_wrong_on_the_form_is_told_and_the_rest_is_used(window, page):
    id = window.thumbnails.id_of(window.picture)
    typed = {"path": str(window.picture.parent), "repeats": 3}
    window.drafts.save("train", {"dataset": {"folders": [typed], "resolution": 256}})
    found = page.get(f"/api/seen/{id}").json()
    assert (found["of"], found["bucket"], found["repeats"], found["wrong"]) == ("form", [256, 192], 3, "")
    window.drafts.save("train", {"dataset": {"folders": [typed], "resolution": 256}, "run": {"epochs": -1}})
    found = page.get(f"/api/seen/{id}").json()
    assert "run.epochs" in found["wrong"] and found["bucket"] == [256, 192] and found["steps"] == 30


def test_the_pixels_are_exact_and_only_of_pictures_that_were_shown(window, page):
    id = window.thumbnails.id_of(window.picture)
    for mirrored in (False, True):
        reply = page.get(f"/api/seen/{id}/crop.png?mirrored={mirrored}")
        assert reply.headers["content-type"] == "image/png" and reply.headers["cache-control"] == "no-store"
        wanted = pixels(window.picture, fit(300, 200, DatasetSettings()), mirrored)
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(reply.content))), wanted)
    for address in (f"/api/seen/{id}/crop.png?turn=10", f"/api/seen/{id}/crop.png?turn=-1"):
        assert page.get(address).status_code == 404
    for address in (f"/api/seen/{id}/mask.png", f"/api/seen/{id}/other.png", "/api/seen/abc", "/api/seen/..%2F..%2Fa"):
        assert page.get(address).status_code == 404
    window.picture.unlink()
    assert page.get(f"/api/seen/{id}").status_code == 404


def test_each_showing_has_its_own_pixels(window, page):
    options = {"resolution": 128, "more_resolutions": [192], "crop": "random", "colour_jitter": 0.5, "flip": True}
    window.drafts.save("train", {"dataset": {"folders": [{"path": str(window.picture.parent)}]} | options})
    id = window.thumbnails.id_of(window.picture)
    found = page.get(f"/api/seen/{id}").json()
    assert (found["sizes"], found["crop"], found["jitter"]) == ([[64, 64], [192, 128]], "random", 0.5)
    assert {tuple(turn["bucket"]) for turn in found["turns"]} == {(64, 64), (192, 128)}
    assert len({turn["colour"] for turn in found["turns"]}) == 10 and found["turns"][0]["colour"].startswith("hue ")
    settings = seen.showing(window.drafts.load("train"))
    picture = seen.seen(window.picture, settings, window.scans.scan(settings.dataset.folders, ".txt"))
    for number in (0, 9):
        look, told = picture.look(number), found["turns"][number]
        assert told["flip"] == look.flip and told["box"] == [round(side, 2) for side in picture.box(look.crop)]
        reply = page.get(f"/api/seen/{id}/crop.png?turn={number}&mirrored={look.flip}")
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(reply.content))), looks.pixels(window.picture, look))
    folders = [{"path": str(window.picture.parent)}]
    window.drafts.save("train", {"dataset": {"folders": folders}, "run": {"max_steps": 2}})
    assert page.get(f"/api/seen/{id}/crop.png?turn=2").status_code == 404


def test_the_buckets_of_the_dataset_room_are_those_of_every_resolution(window, page):
    window.drafts.save("train", {"dataset": {"resolution": 128, "more_resolutions": [192]}})
    found = page.get("/api/dataset").json()
    assert (found["resolution"], found["more_resolutions"]) == (128, [192])
    assert found["buckets"] == [[64, 64, 1], [192, 128, 1]]
    assert found["items"][0]["buckets"] == [[64, 64], [192, 128]]
