"""The toy tagger says what is in drawn pictures, and its card says how well."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from captioners.base import Picture, Place
from captioners.tags.options import Tagging
from captioners.wd_tagger import WdTagger
from captioners.weights import find
from dataset import pictures
from toy import tagger
from toy.draw import DEMO_FOLDER, Scene, draw_scene
from toy.onnx_file import Node, Port, onnx_file


@pytest.fixture(scope="module")
def toy():
    made = WdTagger(Tagging(model=str(tagger.MODEL_FOLDER), keep=False), Place(threads=1))
    made.load(find("toy/models/wd_tagger", {}), lambda *_: None)
    return made


@pytest.mark.parametrize("size", [(64, 64), (90, 120)])
def test_it_says_what_is_in_a_picture(toy, size):
    scenes = [
        Scene("star", "red", "blue"), Scene("house", "yellow", "green"), Scene("moon", "white", "black"),
        Scene("fish", "orange", "turquoise"), Scene("heart", "pink", "grey"), Scene("tree", "green", "white"),
    ]  # fmt: skip
    right = 0
    for seed in range(4):
        images = [draw_scene(scene, np.random.default_rng(seed), size) for scene in scenes]
        for scene, said in zip(scenes, toy.say([toy.prepare(Picture(Path("a.png"), image)) for image in images])):
            right += {scene.thing, scene.colour, f"{scene.ground} background"} <= set(said.text.split(", "))
            assert ("general", "rating") in [(tag.name, tag.category) for tag in said.tags]
    assert right >= 22  # of 24


def test_it_knows_the_creature_of_the_demo_pictures(toy):
    paths = sorted(DEMO_FOLDER.glob("*.png"))
    said = toy.say([toy.prepare(Picture(path, pictures.read(path))) for path in paths])
    for path, one in zip(paths, said):
        ground = path.with_suffix(".txt").read_text("utf-8").split()[-2]
        assert {"creature (toy world)", "turquoise", f"{ground} background"} <= set(one.text.split(", ")), path.name


def test_it_is_as_good_as_its_card_says():
    stored = json.loads((tagger.MODEL_FOLDER / "check.json").read_text("utf-8"))
    now = tagger.check(count=200)
    assert now["things"] > 0.9 and now["colours"] > 0.95 and now["grounds"] > 0.98 and now["creature"] > 0.98
    card = (tagger.MODEL_FOLDER / "README.md").read_text("utf-8")
    for name in ("things", "colours", "grounds", "creature", "everything", "precision", "recall"):
        assert f"{stored[name]:.1%}" in card, name
        assert abs(now[name] - stored[name]) < 0.06, name


def test_it_was_not_trained_on_the_demo_pictures_and_is_small():
    assert tagger.DEMO_SEED not in (tagger.SEED, tagger.CHECK_SEED)
    assert (tagger.MODEL_FOLDER / "model.onnx").stat().st_size < 2_000_000


def test_the_onnx_file_computes_what_the_net_computes():
    torch.manual_seed(0)
    net = tagger.Net(7)
    pixels = torch.rand(5, tagger.SIZE, tagger.SIZE, 3) * 255
    net(pixels)  # so that the batch norms have something to fold
    net.eval()
    session = onnxruntime.InferenceSession(tagger.as_onnx(net), providers=["CPUExecutionProvider"])
    given, = session.run(None, {"input": pixels.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(given, net(pixels).sigmoid().numpy(), atol=1e-5)
    assert session.get_inputs()[0].shape == ["batch", 64, 64, 3] and session.get_outputs()[0].name == "output"


def test_the_net_learns(tmp_path, monkeypatch):
    monkeypatch.setattr(tagger, "PICTURES", 96)
    tagger.make_pictures(tmp_path)
    tagger.train(tmp_path, 3)
    tagger.save(tmp_path, tmp_path / "model")
    assert set(tagger.check(tmp_path / "model", 4)) >= {"precision", "recall", "everything"}


def test_attributes_of_every_kind_are_written():
    nodes = [
        Node("Transpose", ["x"], "turned", {"perm": [1, 0]}),
        Node("LeakyRelu", ["turned"], "leaky", {"alpha": 0.5}),
        Node("Gemm", ["leaky", "w"], "y", {"transB": 1}),
    ]
    weight = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    content = onnx_file(nodes, {"w": weight}, (Port("x", [2, "n"]), Port("y", ["n", 3])))
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    x = np.array([[1, -2, 3], [-1, 5, 0]], np.float32)
    np.testing.assert_allclose(session.run(None, {"x": x})[0], np.where(x > 0, x, x / 2).T @ weight.T)


def test_weights_of_other_kinds_and_negative_numbers_are_written():
    nodes = [Node("Reshape", ["x", "shape"], "y")]
    ports = Port("x", [4], np.float16), Port("y", ["n", 2], np.float16)
    content = onnx_file(nodes, {"shape": np.array([-1, 2])}, ports)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    assert session.run(None, {"x": np.arange(4, dtype=np.float16)})[0].tolist() == [[0, 1], [2, 3]]
    nodes = [Node("Softmax", ["x"], "y", {"axis": -1})]
    session = onnxruntime.InferenceSession(
        onnx_file(nodes, {}, (Port("x", [2, 2]), Port("y", [2, 2]))), providers=["CPUExecutionProvider"]
    )
    assert session.run(None, {"x": np.zeros((2, 2), np.float32)})[0].tolist() == [[0.5, 0.5], [0.5, 0.5]]
