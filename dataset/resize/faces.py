"""Faces by YuNet (opencv_zoo's face_detection_yunet, MIT), run with onnxruntime where a person has put its file.

The network says for every cell of three grids (8, 16 and 32 pixels wide) how likely a face is centred there and how
large it is; overlapping answers are thinned out. It sees faces of about 10 to 300 pixels, hence the
size that it is shown.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dataset import pictures
from dataset.pictures import PictureError
from jobs.folder import home
from settings.errors import SettingsError
from settings.paths import absolute

STRIDES = (8, 16, 32)
SEEN = 640  # pixels of the longer side that are looked at, where the model leaves the choice
LIKELY = 0.7  # least score
OVERLAP = 0.3  # of two boxes that share more of their area than this, the likelier one stays
PLACE = "models/yunet"  # in the workspace


@dataclass(frozen=True)
class Face:
    """In shares of the picture, 0..1."""

    left: float
    top: float
    right: float
    bottom: float
    score: float

    @property
    def area(self) -> float:
        return (self.right - self.left) * (self.bottom - self.top)


def model_file(chosen: str) -> Path | None:
    """The model's file: the chosen one, else the first in its place; None where there is none."""
    if chosen.strip():
        path = absolute(chosen.strip())
        return path if path.is_file() else None
    return next(iter(sorted((home() / PLACE).glob("*.onnx"))), None)


def missing(chosen: str) -> str:
    """Why there is no model, and what to do."""
    if chosen.strip():
        return f"there is no such file: {chosen.strip()}"
    return (f"there is no YuNet model; put face_detection_yunet_2023mar.onnx (MIT, opencv_zoo on GitHub) into "
            f"{home() / PLACE}, or choose the file")


class Detector:
    """Finds faces. Loading raises SettingsError for a file that is no YuNet. One may be used by several threads."""

    def __init__(self, path: Path):
        import onnxruntime  # late: the window needs only its settings

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # pictures are what goes on side by side
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except load_errors() as error:
            raise SettingsError({"face_model": f"can't be loaded: {error}"}) from error
        self._outputs = [output.name for output in self._session.get_outputs()]
        inputs = self._session.get_inputs()
        wanted = {f"{head}_{stride}" for head in ("cls", "obj", "bbox") for stride in STRIDES}
        if len(inputs) != 1 or not wanted <= set(self._outputs) or len(inputs[0].shape) != 4:
            raise SettingsError({"face_model": f"{path.name} is another model than YuNet"})
        self._input = inputs[0].name
        height, width = inputs[0].shape[2:]
        self._fixed = (width, height) if isinstance(width, int) and isinstance(height, int) else None

    def faces(self, image: Image.Image) -> list[Face]:
        """The faces in an RGB picture, the likeliest first."""
        array, scale = self._shown(image)
        found = self._session.run(self._outputs, {self._input: array})
        height, width = array.shape[2:]
        boxes = decode(dict(zip(self._outputs, found)), width, height)
        sides = np.array([image.width, image.height] * 2) * scale
        return [Face(*np.clip(box[:4] / sides, 0, 1).tolist(), float(box[4])) for box in boxes]

    def _shown(self, image: Image.Image) -> tuple[np.ndarray, float]:
        """BGR float32 [1, 3, h, w], 0..255, the picture in the upper left; and by how much it was scaled."""
        width, height = self._fixed or (SEEN, SEEN)
        scale = min(width / image.width, height / image.height)
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        if self._fixed is None:
            width, height = (math.ceil(side / 32) * 32 for side in size)
        ground = np.zeros((height, width, 3), np.float32)
        small = image.convert("RGB").resize(size, Image.Resampling.BILINEAR)
        ground[: size[1], : size[0]] = np.asarray(small)[..., ::-1]
        return np.ascontiguousarray(ground.transpose(2, 0, 1)[None]), scale


def load_errors() -> tuple[type[Exception], ...]:
    """What onnxruntime raises about a file that it can't load: it has no class that they have in common."""
    from onnxruntime.capi import onnxruntime_pybind11_state as known

    names = ("EPFail", "Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoSuchFile", "NotImplemented")
    return tuple(getattr(known, name) for name in names)


def decode(heads: Mapping[str, Any], width: int, height: int) -> np.ndarray:
    """float64 [n, 5]: left, top, right, bottom in pixels, score; the likeliest first, overlapping ones left out.

    As OpenCV's FaceDetectorYN reads the heads: the score is the root of class times objectness; a box's centre is
    counted in cells from its own, its sides are powers of e of a cell."""
    found = []
    for stride in STRIDES:
        rows, columns = height // stride, width // stride
        scores = np.sqrt(np.clip(heads[f"cls_{stride}"], 0, 1) * np.clip(heads[f"obj_{stride}"], 0, 1)).reshape(-1)
        box = np.asarray(heads[f"bbox_{stride}"], dtype=np.float64).reshape(-1, 4)
        likely = np.flatnonzero(scores[: rows * columns] >= LIKELY)
        centre = (np.stack([likely % columns, likely // columns], 1) + box[likely, :2]) * stride
        half = np.exp(np.minimum(box[likely, 2:], 20)) * stride / 2
        found.append(np.concatenate([centre - half, centre + half, scores[likely, None]], 1))
    return thinned(np.concatenate(found))


def thinned(boxes: np.ndarray) -> np.ndarray:
    """Boxes that overlap a likelier one by more than OVERLAP (intersection over union) left out."""
    boxes = boxes[np.argsort(-boxes[:, 4], kind="stable")]
    areas = np.prod(boxes[:, 2:4] - boxes[:, :2], axis=1)
    kept: list[int] = []
    for index in range(len(boxes)):
        common = np.minimum(boxes[kept, 2:4], boxes[index, 2:4]) - np.maximum(boxes[kept, :2], boxes[index, :2])
        shared = np.prod(np.clip(common, 0, None), axis=1)
        if not np.any(shared > OVERLAP * (areas[kept] + areas[index] - shared)):
            kept.append(index)
    return boxes[kept]


def main(arguments: list[str]) -> int:
    """`python -m dataset.resize.faces MODEL PICTURE`: its faces as JSON, for programs that load no models."""
    try:
        found = Detector(Path(arguments[0])).faces(pictures.read(Path(arguments[1])))
    except (SettingsError, PictureError) as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps([dataclasses.astuple(face) for face in found]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
