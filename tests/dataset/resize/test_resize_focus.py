"""The window over what matters: exactly the best one, and never without the face."""

import json

import numpy as np
import pytest
from PIL import Image, ImageDraw

from dataset.resize import faces
from dataset.resize.faces import Face, decode, thinned
from dataset.resize.focus import Focus
from dataset.resize.geometry import cut
from dataset.resize.saliency import best, saliency, window_sums
from dataset.resize.settings import Settings
from settings.errors import SettingsError
from toy.onnx_file import Node, Port, onnx_file

DICE = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (7, 12), (16, 5)])
def test_the_best_window_is_the_one_of_brute_force(shape):
    for _ in range(20):
        weights = DICE.random(shape)
        width, height = int(DICE.integers(1, shape[1] + 1)), int(DICE.integers(1, shape[0] + 1))
        sums = np.array([[weights[y : y + height, x : x + width].sum() for x in range(shape[1] - width + 1)]
                         for y in range(shape[0] - height + 1)])
        assert np.allclose(window_sums(weights, (width, height)), sums)
        left, top = best(weights, (width, height))
        assert sums[top, left] >= sums.max() - 1e-9


def test_limits_are_kept():
    weights = np.zeros((10, 10))
    weights[0, 0] = 1
    assert best(weights, (3, 3), rows=(4, 6), columns=(2, 5))[1] in (4, 5, 6)
    assert best(np.ones((5, 9)), (3, 5)) == (3, 0)  # of equals the middle


def scene(size, at, radius=60):
    image = Image.new("RGB", size, (70, 110, 60))
    ImageDraw.Draw(image).ellipse((at[0] - radius, at[1] - radius, at[0] + radius, at[1] + radius), "red", "yellow", 9)
    return image


@pytest.mark.parametrize("x", [90, 400, 700, 1110])
def test_the_subject_stays_in(x):
    image = scene((1200, 400), (x, 200))
    focus = Focus(image)
    left, _, right, _ = cut(image.size, Settings(width=100), place=focus).box
    assert left <= x - 60 and right >= x + 60
    assert focus.found == "subject"


def test_it_is_the_same_on_a_smaller_copy():
    image = scene((1200, 400), (900, 200))
    whole = cut(image.size, Settings(width=100), place=Focus(image)).box
    small = cut(image.size, Settings(width=100), place=Focus(image.resize((300, 100)))).box
    assert abs(whole[0] - small[0]) < 40


def test_saliency_is_a_share_of_one():
    for image in (scene((300, 200), (80, 80)), Image.new("RGB", (64, 64), "gray"), Image.new("RGB", (1, 500))):
        found = saliency(image)
        assert found.sum() == pytest.approx(1) and found.min() >= 0 and max(found.shape) <= 256


class Told:
    """A detector that has been told where the faces are."""

    def __init__(self, *found):
        self.found = list(found)

    def faces(self, image):
        return self.found


def test_the_largest_face_is_kept_whole_with_room_above():
    image = scene((1200, 400), (1000, 200))  # the subject is on the right
    small, large = Face(0.6, 0.4, 0.62, 0.5, 0.99), Face(0.1, 0.3, 0.2, 0.6, 0.8)
    focus = Focus(image, Told(small, large))
    left, top, right, bottom = cut(image.size, Settings(width=100), place=focus).box
    assert left <= 0.1 * 1200 and right >= 0.2 * 1200
    assert focus.found == "face"
    tall = Focus(scene((400, 1200), (200, 1000)), Told(Face(0.3, 0.3, 0.6, 0.4, 1)))
    _, top, _, bottom = cut((400, 1200), Settings(width=100), place=tall).box
    assert top <= 1200 * (0.3 - 0.04) + 1 and bottom >= 0.4 * 1200


def test_a_face_larger_than_the_window_is_in_its_middle():
    tall = Focus(Image.new("RGB", (400, 1200)), Told(Face(0, 0.2, 1, 0.9, 1)))
    _, top, _, bottom = cut((400, 1200), Settings(width=100), place=tall).box
    assert abs((top + bottom) / 2 - 1200 * (0.2 - 0.28 + 0.9 + 0.14) / 2) < 60


def test_a_face_outside_the_crop_by_hand_has_no_say():
    image = scene((1200, 400), (1000, 200))
    focus = Focus(image, Told(Face(0.01, 0.3, 0.05, 0.6, 0.8)))
    box = cut(image.size, Settings(width=100), (0.5, 0, 1, 1), focus).box
    assert box[0] >= 600 and focus.found == "subject"


def heads(width, height, boxes):
    """What YuNet would say for faces given as (stride, row, column, dx, dy, width, height, class, objectness)."""
    told = {}
    for stride in faces.STRIDES:
        cells = (width // stride) * (height // stride)
        told[f"cls_{stride}"] = np.full((1, cells, 1), 0.01, np.float32)
        told[f"obj_{stride}"] = np.full((1, cells, 1), 0.01, np.float32)
        told[f"bbox_{stride}"] = np.zeros((1, cells, 4), np.float32)
    for stride, row, column, dx, dy, wide, high, likely, there in boxes:
        index = row * (width // stride) + column
        told[f"cls_{stride}"][0, index], told[f"obj_{stride}"][0, index] = likely, there
        told[f"bbox_{stride}"][0, index] = dx, dy, np.log(wide / stride), np.log(high / stride)
    return told


def test_heads_are_read_as_opencv_reads_them():
    told = heads(640, 640, [(16, 10, 20, 0.5, 0.25, 64, 96, 0.9, 0.9), (8, 3, 70, 0, 0, 16, 16, 0.64, 0.36)])
    (box,) = decode(told, 640, 640)  # the second's root of class times objectness is 0.48
    x, y = 20.5 * 16, 10.25 * 16
    assert box[:4] == pytest.approx([x - 32, y - 48, x + 32, y + 48], abs=1e-3)
    assert box[4] == pytest.approx(0.9)


def test_overlapping_boxes_are_thinned_to_the_likeliest():
    boxes = np.array([[0, 0, 10, 10, 0.8], [1, 1, 11, 11, 0.9], [30, 30, 40, 40, 0.7], [0, 9, 10, 19, 0.75]])
    assert thinned(boxes)[:, 4].tolist() == [0.9, 0.75, 0.7]
    assert len(thinned(np.empty((0, 5)))) == 0


def yunet(side="free"):
    """A model with YuNet's heads for which red squares are faces as large as three cells of 32 pixels."""
    shape = ("height", "width") if side == "free" else (side, side)
    nodes, weights, ports = [], {}, [Port("input", (1, 3, *shape))]
    for stride in faces.STRIDES:
        red = np.array([-1, -1, 1] if stride == 32 else [0, 0, 0]).reshape(1, 3, 1, 1) / 255 / stride**2
        kernels = {"cls": np.tile(red, (1, 1, stride, stride)), "obj": np.tile(red, (1, 1, stride, stride)),
                   "bbox": np.zeros((4, 3, stride, stride))}
        bias = {"cls": [0], "obj": [0], "bbox": [0.5, 0.5, np.log(3), np.log(3)]}
        for head, kernel in kernels.items():
            name, width = f"{head}_{stride}", len(kernel)
            weights |= {f"{name}.w": kernel.astype(np.float32), f"{name}.b": np.array(bias[head], np.float32),
                        f"{name}.s": np.array([1, -1, width], np.int64)}
            nodes += [Node("Conv", ["input", f"{name}.w", f"{name}.b"], f"{name}.1", {"strides": [stride, stride]}),
                      Node("Transpose", [f"{name}.1"], f"{name}.2", {"perm": [0, 2, 3, 1]}),
                      Node("Reshape", [f"{name}.2", f"{name}.s"], name)]
            ports.append(Port(name, (1, "cells", width)))
    return onnx_file(nodes, weights, tuple(ports))


@pytest.mark.parametrize("side", ["free", 320])
def test_a_model_is_shown_the_picture_as_it_wants_it(tmp_path, side):
    (tmp_path / "yunet.onnx").write_bytes(yunet(side))
    image = Image.new("RGB", (1280, 720), (90, 90, 90))
    cell = 64 if side == "free" else 128  # pixels of the picture that one of 32 covers
    image.paste((255, 0, 0), (5 * cell, 2 * cell, 6 * cell, 3 * cell))
    (face,) = faces.Detector(tmp_path / "yunet.onnx").faces(image)
    found = face.left * 1280, face.top * 720, face.right * 1280, face.bottom * 720
    assert found == pytest.approx((4 * cell, cell, 7 * cell, 4 * cell), abs=1)
    assert face.score > 0.9


def test_faces_can_be_asked_for_from_outside(tmp_path, capsys):
    (tmp_path / "yunet.onnx").write_bytes(yunet())
    image = Image.new("RGB", (640, 640), (90, 90, 90))
    image.paste((255, 0, 0), (64, 64, 128, 128))
    image.save(tmp_path / "a.png")
    assert faces.main([str(tmp_path / "yunet.onnx"), str(tmp_path / "a.png")]) == 0
    assert len(json.loads(capsys.readouterr().out)) >= 1
    assert faces.main([str(tmp_path / "yunet.onnx"), str(tmp_path / "none.png")]) == 1


def test_another_model_is_no_yunet(tmp_path):
    nodes = [Node("Identity", ["input"], "output")]
    ports = (Port("input", (1, 3, 64, 64)), Port("output", (1, 3, 64, 64)))
    (tmp_path / "other.onnx").write_bytes(onnx_file(nodes, {}, ports))
    with pytest.raises(SettingsError, match="another model"):
        faces.Detector(tmp_path / "other.onnx")


def test_where_the_model_is_looked_for(workspace, tmp_path):
    assert faces.model_file("") is None and "models/yunet" in faces.missing("").replace("\\", "/")
    place = workspace / "models" / "yunet"
    place.mkdir(parents=True)
    (place / "face_detection_yunet_2023mar.onnx").write_bytes(yunet(640))
    assert faces.model_file("") == place / "face_detection_yunet_2023mar.onnx"
    assert faces.model_file(str(tmp_path / "no.onnx")) is None and "no.onnx" in faces.missing(str(tmp_path / "no.onnx"))
