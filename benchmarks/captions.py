"""What a tagging run costs beyond the bare model: pictures from the disk to written captions, on the CPU.

    python -m benchmarks.captions [--pictures 500] [--rounds 5]

Makes a tagger of 5 M random weights (448 px, 3,000 tags, of which a picture gets some thirty, as from real ones) and
JPEGs of the size that data sets for SD 1.5 have, then in turn, round by round and on the same cores: a captioning job
over a share of them (read, decode, prepare, compute, choose, keep, write, journal), and `session.run` of the same
model, with onnxruntime's own settings, over arrays that are prepared already. Prints the throughput of both and their
ratio (1 is as fast as the bare model), and the same of the processor time that they took, which other programs on the
machine disturb less.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from captioners import command
from captioners.config import CaptionConfig
from captioners.run import run
from captioners.tags import pixels
from dataset import pictures
from jobs.events import read_events
from settings.errors import check
from toy.draw import draw
from toy.onnx_file import Node, Port, onnx_file

SIDE, LABELS = 448, 3_000
WIDTHS = (32, 64, 128, 256, 288)
SIZES = ((512, 512), (768, 512), (512, 768), (640, 640), (512, 640))


def write_model(folder: Path) -> int:
    """A residual net in the WD format; how many weights it has."""
    rng = np.random.default_rng(0)
    weights = {"scale": np.float32([1 / 64]), "shift": np.float32([2])}
    nodes = [Node("Transpose", ["input"], "turned", {"perm": [0, 3, 1, 2]}), Node("Mul", ["turned", "scale"], "scaled"),
             Node("Sub", ["scaled", "shift"], "x")]

    def layer(source: str, name: str, before: int, after: int, stride: int) -> str:
        spread = np.sqrt(2 / (9 * before))
        weights[f"{name}.weight"] = rng.normal(0, spread, (after, before, 3, 3)).astype(np.float32)
        weights[f"{name}.bias"] = np.zeros(after, np.float32)
        settings = {"strides": [stride, stride], "pads": [1, 1, 1, 1]}
        nodes.append(Node("Conv", [source, f"{name}.weight", f"{name}.bias"], name, settings))
        return name

    def relu(source: str) -> str:
        nodes.append(Node("Relu", [source], f"{source}.relu"))
        return nodes[-1].output

    x, before = "x", 3
    for level, width in enumerate(WIDTHS):
        x = relu(layer(x, f"down{level}", before, width, 2))
        side = layer(relu(layer(x, f"first{level}", width, width, 1)), f"second{level}", width, width, 1)
        nodes.append(Node("Add", [x, side], f"sum{level}"))
        x = relu(f"sum{level}")
        before = width
    weights["head.weight"] = rng.normal(0, 0.2 / np.sqrt(before), (LABELS, before)).astype(np.float32)
    weights["head.bias"] = rng.normal(-7, 1.5, LABELS).astype(np.float32)
    weights["head.bias"][100:115] = 4  # what nearly every picture has
    nodes += [Node("GlobalAveragePool", [x], "mean"), Node("Flatten", ["mean"], "flat"),
              Node("Gemm", ["flat", "head.weight", "head.bias"], "logits", {"transB": 1}),
              Node("Sigmoid", ["logits"], "output")]  # fmt: skip
    folder.mkdir(parents=True)
    ports = Port("input", ["batch", SIDE, SIDE, 3]), Port("output", ["batch", LABELS])
    (folder / "model.onnx").write_bytes(onnx_file(nodes, weights, ports))
    rows = [f"{number},tag_{number},{4 if number > 2_500 else 9 if number < 4 else 0},1" for number in range(LABELS)]
    (folder / "selected_tags.csv").write_text("\n".join(["tag_id,name,category,count", *rows]), encoding="utf-8")
    return sum(array.size for array in weights.values())


def write_pictures(folder: Path, first: int, count: int) -> list[Path]:
    """Drawn things with the grain of a photograph, so that a JPEG has something to decode."""
    folder.mkdir(parents=True)
    paths = []
    for index in range(first, first + count):
        rng = np.random.default_rng(index)
        image = draw(1, index)[0].resize(SIZES[index % len(SIZES)], Image.Resampling.BICUBIC)
        grain = rng.normal(0, 8, (image.height // 2, image.width // 2, 1)).repeat(2, 0).repeat(2, 1)
        paths.append(folder / f"{index:04}.jpg")
        Image.fromarray((np.asarray(image) + grain).clip(0, 255).astype(np.uint8)).save(paths[-1], quality=90)
    return paths


def ours(model: Path, folder: Path, batch: int) -> tuple[float, float]:
    """(seconds, processor seconds) that a job takes for a folder; the first from the loaded model to the last caption,
    the second with the loading."""
    values: dict[str, Any] = {
        "captioners": ["wd_tagger"], "source": {"folders": [str(folder)]},
        "run": {"device": "cpu", "batch_size": batch}, "wd_tagger": {"model": str(model)},
    }  # fmt: skip
    job = command.create(check(CaptionConfig, values))
    began = time.process_time()
    run(job.folder)
    worked = time.process_time() - began
    events = read_events(job.events_path)[0]
    if events[-1]["kind"] != "finished" or events[-1]["written"] != len(list(folder.glob("*.jpg"))):
        raise SystemExit(f"the job did not write everything: {events[-1]}")
    ready = next(one for one in events if one["kind"] == "phase" and one["name"] == "load" and one["done"])
    return events[-1]["time"] - ready["time"], worked


def bare(session: Any, arrays: list[np.ndarray]) -> tuple[float, float]:
    """(seconds, processor seconds) for the same pictures as ready batches."""
    began, working = time.perf_counter(), time.process_time()
    for batch in arrays:
        session.run(None, {"input": batch})
    return time.perf_counter() - began, time.process_time() - working


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["LORATORY_HOME"] = str(Path(temporary) / "workspace")
        result = measured(Path(temporary), options.pictures, options.rounds, options.batch)
    print(json.dumps(result))


def measured(folder: Path, count: int, rounds: int, size: int) -> dict[str, Any]:
    import onnxruntime

    parameters = write_model(folder / "model")
    session = onnxruntime.InferenceSession(str(folder / "model" / "model.onnx"), providers=["CPUExecutionProvider"])
    share = count // rounds
    times: dict[str, list[np.ndarray]] = {"ours": [], "bare": []}
    for number in range(rounds):
        paths = write_pictures(folder / f"round{number}", number * share, share)
        ready = [pixels.square(pictures.read(path), SIDE) for path in paths]
        batches = [pixels.batch(ready[start : start + size], "NHWC", np.float32) for start in range(0, share, size)]
        session.run(None, {"input": batches[0]})
        half = len(batches) // 2
        # Half of the bare batches before and half after, so that a machine that grows busier slows both alike.
        before = np.array(bare(session, batches[:half]))
        times["ours"].append(np.array(ours(folder / "model", folder / f"round{number}", size)))
        times["bare"].append(before + bare(session, batches[half:]))
        print(f"round {number + 1}: {told(share, times['ours'][-1], times['bare'][-1])}", flush=True)
    median = statistics.median(float(b[0] / o[0]) for o, b in zip(times["ours"], times["bare"]))
    whole = told(share * rounds, sum(times["ours"]), sum(times["bare"]))
    return {"parameters": parameters, "pictures": share * rounds, **whole, "median": round(median, 3)}


def told(count: int, ours: np.ndarray, bare: np.ndarray) -> dict[str, float]:
    rates = {"ours_per_s": count / ours[0], "bare_per_s": count / bare[0]}
    ratios = {"ratio": bare[0] / ours[0], "ratio_of_processor_time": bare[1] / ours[1]}
    return {name: round(float(value), 3) for name, value in (rates | ratios).items()}


if __name__ == "__main__":
    main()
