"""Trains the toy tagger: what is drawn by `toy/draw.py`, as tags, in the file format of the WD taggers.

The net sees exactly what a WD tagger sees: the pixels of `captioners.tags.pixels`, [batch, height, width, BGR], from 0
to 255. Its batch norms are folded into the convolutions when it is written as ONNX (`toy/onnx_file.py`).

    python -m toy.tagger all --work DIR        # pictures, train, save, check
    python -m toy.tagger check                 # measures the committed model through the captioner itself
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from captioners.base import Picture, Place
from captioners.tags.options import Tagging
from captioners.tags.pixels import square
from captioners.wd_tagger import WdTagger
from captioners.weights import find
from toy import stages
from toy.draw import COLOURS, DEMO_SEED, GROUNDS, THINGS, Scene, character_picture, draw_scene, random_scene
from toy.make import Training
from toy.onnx_file import Node, Port, onnx_file

MODEL_FOLDER = Path(__file__).parent / "models" / "wd_tagger"
SIZE = 64
SEED, CHECK_SEED = 21, 22
assert DEMO_SEED not in (SEED, CHECK_SEED)
PICTURES, CHECKED = 24_000, 2_000
STEPS, BATCH = 1_800, 64
WIDTHS = (24, 48, 96)

CREATURE = "creature_(toy_world)"
CREATURE_TAGS = ("cat_ears", "multicolored", "turquoise", "pink", "yellow")
ONE_IN = 12  # pictures that show the creature
RATINGS = ("general", "sensitive", "questionable", "explicit")
GENERAL = (*THINGS, *COLOURS, *(f"{name}_background" for name in GROUNDS), "multicolored", "striped", "cat_ears")
SIZES = ((64, 64), (64, 64), (96, 96), (128, 128), (64, 96), (96, 64), (72, 108), (90, 120), (140, 60))


def tags_of(scene: Scene) -> list[str]:
    """Of a scene with one thing, as its tagger should say it."""
    tags = [scene.thing, scene.colour, f"{scene.ground}_background"]
    if scene.second:
        tags += [scene.second, "multicolored"]
    return tags + (["striped"] if scene.pattern == "stripes" else [])


def picture(seed: int, index: int) -> tuple[Image.Image, list[str]]:
    """Picture `index` of world `seed` in one of several shapes, with its tags."""
    rng = np.random.default_rng([seed, index, 5])
    size = SIZES[rng.integers(len(SIZES))]
    if rng.integers(ONE_IN) == 0:
        ground = str(rng.choice(GROUNDS))
        image, _ = character_picture(seed, index, size, ground)
        return image, [CREATURE, *CREATURE_TAGS, f"{ground}_background"]
    scene = random_scene(rng)
    return draw_scene(scene, rng, size), tags_of(scene)


# --- the net --------------------------------------------------------------------------------------------------------


class Layer(nn.Module):
    """A 3 x 3 convolution and its batch norm."""

    def __init__(self, before: int, after: int, stride: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(after)
        # A whole number among the weights could not be averaged with them; nothing needs the count.
        self.norm.num_batches_tracked = None

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))

    def folded(self) -> tuple[np.ndarray, np.ndarray]:
        """(weight, bias) of one convolution that does what both do."""
        scale = self.norm.weight / torch.sqrt(self.norm.running_var + self.norm.eps)
        bias = self.norm.bias - self.norm.running_mean * scale
        return (self.conv.weight * scale[:, None, None, None]).numpy(), bias.numpy()


class Net(nn.Module):
    """At each level a convolution that halves the size and a residual pair; then the mean and the maximum over the
    picture: what is everywhere (the ground) and what is anywhere."""

    def __init__(self, labels: int):
        super().__init__()
        channels = (3, *WIDTHS)
        self.down = nn.ModuleList(Layer(a, b, 2) for a, b in zip(channels, channels[1:]))
        self.pairs = nn.ModuleList(nn.ModuleList([Layer(width, width), Layer(width, width)]) for width in WIDTHS)
        self.head = nn.Linear(2 * WIDTHS[-1], labels)

    def forward(self, pixels: Tensor) -> Tensor:
        """[batch, height, width, BGR], 0..255 -> [batch, labels], before the sigmoid."""
        x = pixels.permute(0, 3, 1, 2) / 64 - 2
        for down, (first, second) in zip(self.down, self.pairs):
            x = F.relu(down(x))
            x = F.relu(x + second(F.relu(first(x))))
        return self.head(torch.cat([x.mean((2, 3)), x.amax((2, 3))], dim=1))


@torch.no_grad()
def as_onnx(net: Net) -> bytes:
    """The trained net with the sigmoid inside, input `input`, output `output`, any number of pictures at once."""
    weights = {"scale": np.float32([1 / 64]), "shift": np.float32([2])}
    nodes = [Node("Transpose", ["input"], "turned", {"perm": [0, 3, 1, 2]}), Node("Mul", ["turned", "scale"], "scaled"),
             Node("Sub", ["scaled", "shift"], "x0")]

    def layer(of: Layer, source: str, name: str) -> str:
        weights[f"{name}.weight"], weights[f"{name}.bias"] = of.folded()
        settings = {"strides": list(of.conv.stride), "pads": [1, 1, 1, 1]}
        nodes.append(Node("Conv", [source, f"{name}.weight", f"{name}.bias"], name, settings))
        return name

    def relu(source: str) -> str:
        nodes.append(Node("Relu", [source], f"{source}.relu"))
        return nodes[-1].output

    x = "x0"
    for level, (down, (first, second)) in enumerate(zip(net.down, net.pairs)):
        x = relu(layer(down, x, f"down{level}"))
        side = layer(second, relu(layer(first, x, f"first{level}")), f"second{level}")
        nodes.append(Node("Add", [x, side], f"sum{level}"))
        x = relu(f"sum{level}")
    weights["head.weight"], weights["head.bias"] = net.head.weight.numpy(), net.head.bias.numpy()
    nodes += [
        Node("GlobalAveragePool", [x], "mean"), Node("GlobalMaxPool", [x], "most"),
        Node("Concat", ["mean", "most"], "both", {"axis": 1}), Node("Flatten", ["both"], "flat"),
        Node("Gemm", ["flat", "head.weight", "head.bias"], "logits", {"transB": 1}),
        Node("Sigmoid", ["logits"], "output"),
    ]  # fmt: skip
    labels = len(weights["head.bias"])
    return onnx_file(nodes, weights, (Port("input", ["batch", SIZE, SIZE, 3]), Port("output", ["batch", labels])))


# --- the stages -----------------------------------------------------------------------------------------------------


def make_pictures(work: Path) -> None:
    """`pixels.npy` uint8 [pictures, height, width, BGR], `targets.npy` [pictures, labels], `tags.json` the labels:
    as in the published models ratings first, then general tags by how often they come, then characters."""
    drawn = np.empty((PICTURES, SIZE, SIZE, 3), np.uint8)
    tags = []
    for index in range(PICTURES):
        image, said = picture(SEED, index)
        drawn[index] = square(image, SIZE)
        tags.append(said)
    counts = Counter(tag for said in tags for tag in said)
    names = [*RATINGS, *sorted(GENERAL, key=lambda tag: -counts[tag]), CREATURE]
    targets = np.zeros((PICTURES, len(names)), np.uint8)
    targets[:, 0] = 1
    for row, said in zip(targets, tags):
        row[[names.index(tag) for tag in said]] = 1
    np.save(work / "pixels.npy", drawn)
    np.save(work / "targets.npy", targets)
    (work / "tags.json").write_text(json.dumps({name: counts[name] for name in names}), encoding="utf-8")


def train(work: Path, steps: int) -> None:
    """Binary cross-entropy over all labels, on pictures that are mirrored, roughened and shaded a little."""
    torch.manual_seed(SEED)
    pixels = torch.from_numpy(np.load(work / "pixels.npy"))
    targets = torch.from_numpy(np.load(work / "targets.npy"))
    net = Net(targets.shape[1])

    def loss(step: int) -> Tensor:
        dice = torch.Generator().manual_seed(SEED * 1_000_003 + step)
        picks = torch.randint(len(pixels), (BATCH,), generator=dice)
        batch = pixels[picks].float()
        if torch.rand((), generator=dice) < 0.5:
            batch = batch.flip(2)
        rough = torch.rand(BATCH, 1, 1, 1, generator=dice) * 6
        batch = batch + rough * torch.randn(batch.shape, generator=dice)
        batch = batch * (1 + 0.05 * (torch.rand(BATCH, 1, 1, 1, generator=dice) - 0.5))
        return F.binary_cross_entropy_with_logits(net(batch.clamp(0, 255)), targets[picks].float()) * 10

    Training(work / "tagger.pt", nn.ModuleDict({"net": net}), loss, steps, rate=2e-3, batch=BATCH, decay=0.99).run()


def trained(work: Path, labels: int) -> Net:
    """The net with the averaged weights of the checkpoint."""
    average = torch.load(work / "tagger.pt", weights_only=True)["average"]
    net = Net(labels).eval()
    # Not strict: a batch norm makes up the count that it misses, and then does not know it.
    left = net.load_state_dict({name.removeprefix("net."): value for name, value in average.items()}, strict=False)
    assert not left.missing_keys
    return net


def save(work: Path, folder: Path = MODEL_FOLDER) -> None:
    """`model.onnx` and `selected_tags.csv` (tag_id,name,category,count; 9 rating, 0 general, 4 character)."""
    tags = json.loads((work / "tags.json").read_text(encoding="utf-8"))
    net = trained(work, len(tags))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(as_onnx(net))
    with (folder / "selected_tags.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["tag_id", "name", "category", "count"])
        for number, (name, count) in enumerate(tags.items()):
            if name in RATINGS:
                rows.writerow([9_999_999 - number, name, 9, PICTURES if number == 0 else 0])
            else:
                rows.writerow([number, name, 4 if name == CREATURE else 0, count])
    general = balance(net, work, [place for place, name in enumerate(tags) if name in GENERAL])
    (folder / "thresholds.json").write_text(json.dumps({"general": round(general, 2)}) + "\n", encoding="utf-8")
    print(f"{folder}: {(folder / 'model.onnx').stat().st_size / 1e6:.2f} MB")


@torch.inference_mode()
def balance(net: Net, work: Path, places: list[int], count: int = 4000) -> float:
    """The threshold above which as many tags are said as there are, so that precision and recall are the same: how
    the published models' thresholds were found."""
    pixels = torch.from_numpy(np.load(work / "pixels.npy")[:count])
    said = torch.cat([net(part.float()).sigmoid() for part in pixels.split(100)])[:, places].flatten()
    there = int(np.load(work / "targets.npy")[:count, places].sum())
    return float(said.sort(descending=True).values[there])


def check(folder: Path = MODEL_FOLDER, count: int = CHECKED) -> dict[str, float]:
    """How well the captioner with this model names what is in pictures that the training has not seen; shares 0..1."""
    tagger = WdTagger(Tagging(model=str(folder), keep=False), Place())
    tagger.load(find(str(folder), {}), lambda *_: None)
    truth, said = [], []
    for start in range(0, count, 50):
        some = [picture(CHECK_SEED, index) for index in range(start, min(count, start + 50))]
        seen = [tagger.prepare(Picture(Path(f"{start}.png"), image)) for image, _ in some]
        truth += [set(tags) for _, tags in some]
        said += [{tag.name for tag in one.tags if tag.category != "rating"} for one in tagger.say(seen)]
    right = sum(len(a & b) for a, b in zip(truth, said))
    return {
        "pictures": count,
        "precision": round(right / sum(map(len, said)), 4),
        "recall": round(right / sum(map(len, truth)), 4),
        "things": _alike(truth, said, set(THINGS)),
        "colours": _alike(truth, said, set(COLOURS)),
        "grounds": _alike(truth, said, {f"{name}_background" for name in GROUNDS}),
        "creature": _alike(truth, said, {CREATURE}),
        "everything": _alike(truth, said, {*GENERAL, CREATURE}),
    }


def _alike(truth: list[set[str]], said: list[set[str]], kind: set[str]) -> float:
    """The share of pictures whose tags of this kind are all said, and no other ones of this kind."""
    return round(sum(a & kind == b & kind for a, b in zip(truth, said)) / len(truth), 4)



def report(folder: Path) -> None:
    result = check(folder)
    (folder / "check.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result))


STAGES: stages.Stages = {
    "pictures": lambda options: make_pictures(options.work),
    "train": lambda options: train(options.work, options.steps),
    "save": lambda options: save(options.work, options.out),
    "check": lambda options: report(options.out),
}

if __name__ == "__main__":
    stages.main("toy.tagger", STAGES, STEPS, MODEL_FOLDER)
