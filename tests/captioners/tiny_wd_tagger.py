"""Tiny ONNX taggers in every form that is published. What they say follows from a picture's mean colour."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from captioners.tags.options import Tagging
from toy.onnx_file import Node, Port, onnx_file

# (tag, category in the list, its category's name, weights of blue, green, red, bias): in the order of the WD taggers.
TAGS = [
    ("general", 9, "rating", (0, 0, 0), 3),
    ("sensitive", 9, "rating", (0, 0, 0), -3),
    ("questionable", 9, "rating", (0, 0, 0), -5),
    ("explicit", 9, "rating", (0, 0, 4), -9),
    ("red", 0, "general", (-4, -4, 8), -2),
    ("green", 0, "general", (-4, 8, -4), -2),
    ("blue_thing", 0, "general", (8, -4, -4), -2),
    (">_<", 0, "general", (0, 0, 0), 1),
    ("rare", 0, "general", (0, 0, 0), -6),
    ("apple_(toy_world)", 4, "character", (-4, -4, 8), -1),
    ("sky_(toy_world)", 4, "character", (8, -4, -4), -1),
]


@dataclass(frozen=True)
class Form:
    """How a tagger is exported."""

    batch: int | str = "batch"  # a number: the export takes exactly as many pictures at once
    layout: str = "NHWC"  # NCHW: as in cl_tagger, values from -1 to 1
    labels: str = "csv"  # json: tag_mapping.json
    logits: bool = False  # the sigmoid is left to whoever uses it
    half: bool = False  # float16
    size: int | str = 16


def write(folder: Path, form: Form = Form()) -> Path:  # noqa: B008  frozen
    """A folder with a model and its list of tags."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model(form))
    if form.labels == "csv":
        with (folder / "selected_tags.csv").open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["tag_id", "name", "category", "count"])
            rows.writerows([number, name, code, 100 - number] for number, (name, code, *_) in enumerate(TAGS))
    else:
        mapping = {str(n): {"tag": name, "category": kind.title()} for n, (name, _, kind, *_) in enumerate(TAGS)}
        (folder / "tag_mapping.json").write_text(json.dumps(mapping), encoding="utf-8")
    return folder


def model(form: Form) -> bytes:
    """The mean colour of the picture (0..1), times the weights, plus the bias, through the sigmoid."""
    element = np.float16 if form.half else np.float32
    last = form.layout == "NHWC"
    scale, shift = (1 / 255, 0.0) if last else (0.5, 0.5)
    weights = {
        "scale": np.array([scale], element), "shift": np.array([shift], element),
        "weight": np.array([row for *_, row, _ in TAGS], element), "bias": np.array([one[-1] for one in TAGS], element),
    }  # fmt: skip
    values = "values" if form.logits else "logits"
    nodes = [
        Node("ReduceMean", ["input"], "mean", {"axes": [1, 2] if last else [2, 3], "keepdims": 0}),
        Node("Mul", ["mean", "scale"], "scaled"),
        Node("Add", ["scaled", "shift"], "colour"),
        Node("Gemm", ["colour", "weight", "bias"], values, {"transB": 1}),
        *([] if form.logits else [Node("Sigmoid", ["logits"], "values")]),
    ]
    side = form.size
    shape = [form.batch, side, side, 3] if last else [form.batch, 3, side, side]
    return onnx_file(nodes, weights, (Port("input", shape, element), Port("values", [form.batch, len(TAGS)], element)))


def tiny_wd_tagger(folder: Path) -> Tagging:
    return Tagging(model=str(write(folder)))
