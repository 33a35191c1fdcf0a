"""Trains the toy CLIP: an open_clip model that knows which words fit a picture of `toy/draw.py`, for CLIP interrogate.

It lies in the kind of folder that open_clip loads by `local-dir:`, its tokenizer with it. Texts are captions, parts of
them and lists of tags in turn, so that a single word can be ranked as well as a sentence; the usual contrastive loss
then makes a text the more similar the more it tells (van den Oord et al., arXiv:1807.03748). Like the other toy models
it can be stopped and continued: a batch depends on (seed, step) alone.

    python -m toy.clip all --work DIR     # pictures, train, save
    python -m toy.clip check              # how often it finds the right words for pictures that it was not taught
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from toy import stages
from toy.draw import COLOURS, GROUNDS, THINGS, Scene, character_picture, draw_scene, random_scene

if TYPE_CHECKING:
    from torch import Tensor, nn

MODEL_FOLDER = Path(__file__).parent / "models" / "clip"
SIDE = 48  # what the model sees; open_clip squashes any picture to it
SEED, CHECK_SEED = 31, 32
PICTURES, CHECKED = 20_000, 1_000
STEPS, BATCH = 2_400, 128
# Colours are learnt in no time, and then tell nearly all pictures of a batch apart. So after some steps things come in
# sets, all twelve in one colour on one ground, which leaves nothing to go by but their shapes.
EASY, SETS, OTHERS = 400, 3, 12
LENGTH = 32  # tokens; a caption has about ten
SIZES = ((64, 64), (64, 64), (64, 64), (96, 64), (64, 96), (72, 64))
CHARACTER_CHANCE = 0.08
CREATURE = "creature"
# How often a text is a whole sentence, a sentence with tags behind it, tags alone, or a part of a sentence.
KINDS, CHANCES = ("sentence", "both", "tags", "part"), (0.45, 0.1, 0.15, 0.3)
CONFIG = {
    "model_cfg": {
        "embed_dim": 96,
        "quick_gelu": True,
        "vision_cfg": {"image_size": SIDE, "layers": 3, "width": 128, "head_width": 32, "patch_size": 8},
        "text_cfg": {"context_length": LENGTH, "vocab_size": 0, "width": 128, "heads": 4, "layers": 2,
                     "hf_tokenizer_name": "toy"},
    },
    "preprocess_cfg": {
        "mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711],
        "interpolation": "bicubic", "resize_mode": "squash",
    },
}  # fmt: skip
WEIGHTS, SETTINGS = "open_clip_model.safetensors", "open_clip_config.json"  # the names that open_clip looks for


def picture(index: int, seed: int = SEED) -> tuple[Image.Image, Scene]:
    """Picture `index` of a seed and what it shows. A few show the demo's creature, as a stranger would describe it."""
    rng = np.random.default_rng([seed, index])
    size = SIZES[rng.integers(len(SIZES))]
    if rng.random() < CHARACTER_CHANCE:
        image, caption = character_picture(seed, index, size)
        return image, Scene(CREATURE, "turquoise", caption.split()[-2])
    scene = random_scene(rng)
    return draw_scene(scene, rng, size), scene


def text_for(scene: Scene, rng: np.random.Generator) -> str:
    """One of the many texts that fit a scene."""
    kind = rng.choice(KINDS, p=CHANCES)
    tags = [str(tag) for tag in rng.permutation(scene.tags)]
    if kind == "sentence":
        return scene.caption
    if kind == "both":
        return ", ".join([scene.caption, *tags[: rng.integers(1, 4)]])
    if kind == "tags":
        return ", ".join(tags[: rng.integers(1, len(tags) + 1)])
    before, _, after = scene.caption.partition(" on ")
    return str(rng.choice([before, f"a {scene.thing}", f"a {scene.thing} on {after}", scene.colour, scene.thing,
                           f"{scene.ground} background"]))


def build_tokenizer() -> Any:
    """The toy world's CLIP tokenizer, padded as CLIP pads; its last token ends a text, which is where CLIP reads it."""
    from toy import tokens

    tokenizer = tokens.build_tokenizer()
    tokenizer.model_max_length = LENGTH
    return tokenizer


def write_folder(folder: Path, state: dict[str, Tensor] | None = None) -> None:
    """The folder that open_clip loads: configuration and tokenizer, and the weights if there are any."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = build_tokenizer()
    config = json.loads(json.dumps(CONFIG))
    config["model_cfg"]["text_cfg"]["vocab_size"] = len(tokenizer)
    (folder / SETTINGS).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    tokenizer.save_pretrained(folder)
    if state is not None:
        save_file({name: value.contiguous() for name, value in state.items()}, folder / WEIGHTS)


def new_model(folder: Path) -> tuple[nn.Module, Any]:
    """A model with random weights and its tokenizer, made by open_clip itself from the configuration in a folder."""
    import open_clip

    name = f"local-dir:{folder}"
    return open_clip.create_model(name, load_weights=False), open_clip.get_tokenizer(name)


def make_pictures(work: Path) -> None:
    """Draw the training pictures once: `clip.npy` [n, 48, 48, 3] uint8; what they show is a matter of their number."""
    if (work / "clip.npy").exists():
        return
    pixels = np.empty((PICTURES, SIDE, SIDE, 3), dtype=np.uint8)
    for index in range(PICTURES):
        pixels[index] = squashed(picture(index)[0])
    np.save(work / "clip.part.npy", pixels)
    (work / "clip.part.npy").replace(work / "clip.npy")


def squashed(image: Image.Image) -> np.ndarray:
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def train(work: Path, steps: int = STEPS) -> None:
    """Pull each picture and its text together and all others of the batch apart."""
    import torch
    from open_clip.loss import ClipLoss

    from toy.make import Training

    torch.manual_seed(SEED)
    write_folder(work / "untrained")
    model, tokenize = new_model(work / "untrained")
    pixels = np.load(work / "clip.npy", mmap_mode="r")
    scenes = [picture_scene(index) for index in range(PICTURES)]
    sets, compare = Sets(scenes), ClipLoss()

    def loss(step: int) -> Tensor:
        rng = np.random.default_rng([SEED, step, 1])
        picks = rng.choice(PICTURES, BATCH if step < EASY else OTHERS, replace=False)
        if step >= EASY:
            picks = np.concatenate([picks, *(sets.of_one_kind(rng) for _ in range(SETS))])
        words = tokenize([text_for(scenes[pick], rng) for pick in picks])
        looked = model.encode_image(normalised(pixels[picks]), normalize=True)
        return compare(looked, model.encode_text(words, normalize=True), model.logit_scale.exp())

    modules = torch.nn.ModuleDict({"clip": model.train()})
    Training(work / "clip.pt", modules, loss, steps, rate=3e-3, batch=BATCH, decay=0.99).run()


class Sets:
    """Finds pictures that show every thing once, in the same colour and on the same ground."""

    def __init__(self, scenes: Sequence[Scene]):
        self.kinds: dict[tuple[str, str], dict[str, list[int]]] = {}
        for number, scene in enumerate(scenes):
            if not scene.second and scene.thing in THINGS:
                kind = self.kinds.setdefault((scene.colour, scene.ground), {})
                kind.setdefault(scene.thing, []).append(number)
        self.names = sorted(self.kinds)

    def of_one_kind(self, rng: np.random.Generator) -> np.ndarray:
        things = self.kinds[self.names[rng.integers(len(self.names))]]
        return np.array([rng.choice(things[name]) for name in sorted(things)])


def picture_scene(index: int, seed: int = SEED) -> Scene:
    """What `picture` shows, without drawing it."""
    rng = np.random.default_rng([seed, index])
    rng.integers(len(SIZES))
    if rng.random() < CHARACTER_CHANCE:
        return picture(index, seed)[1]
    return random_scene(rng)


def normalised(pixels: np.ndarray) -> Tensor:
    """[n, height, width, 3] uint8 as the model takes it."""
    import torch

    mean, deviation = (torch.tensor(CONFIG["preprocess_cfg"][name]).view(3, 1, 1) for name in ("mean", "std"))
    return (torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 255 - mean) / deviation


def save(work: Path, folder: Path = MODEL_FOLDER) -> None:
    """Write the averaged weights in half precision, as open_clip's folders have them."""
    import torch

    from toy.make import averaged

    model, _ = new_model(work / "untrained")
    averaged(work / "clip.pt", torch.nn.ModuleDict({"clip": model}))
    write_folder(folder, {name: value.half() for name, value in model.state_dict().items()})
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{folder}: {size / 1e6:.1f} MB")


def check(folder: Path = MODEL_FOLDER, count: int = CHECKED) -> dict[str, float]:
    """Of pictures that were not taught (one colour each): how often the most similar of all 1,452 sentences of the
    world, and of the single words, is the right one (0..1)."""
    import torch

    from captioners.clip.model import Clip

    clip = Clip(folder, str(folder))
    drawn = [(image, scene) for image, scene in (picture(index, CHECK_SEED) for index in range(2 * count))
             if not scene.second and scene.thing != CREATURE][:count]  # fmt: skip
    with torch.inference_mode():
        looked = clip.pictures(torch.stack([clip.prepare(image) for image, _ in drawn]))
    sentences = [Scene(thing, colour, ground) for thing in THINGS for colour in COLOURS for ground in GROUNDS]
    said = [sentences[index] for index in best(clip, looked, [scene.caption for scene in sentences])]
    right = {name: share(getattr(one, name) == getattr(scene, name) for one, (_, scene) in zip(said, drawn))
             for name in ("thing", "colour", "ground")}  # fmt: skip
    right["all"] = share(one.caption == scene.caption for one, (_, scene) in zip(said, drawn))
    words = list(THINGS)
    right["single word"] = share(
        words[index] == scene.thing for index, (_, scene) in zip(best(clip, looked, words), drawn)
    )
    return {"pictures": len(drawn), **right}


def best(clip: Any, looked: np.ndarray, texts: Sequence[str]) -> list[int]:
    """For each picture, which text is the most similar."""
    return (looked @ clip.texts(texts).T).argmax(1).tolist()


def share(right: Any) -> float:
    return round(float(np.mean(list(right))), 4)


def report(folder: Path) -> None:
    found = json.dumps(check(folder))
    (folder / "check.json").write_text(found + "\n", encoding="utf-8")
    print(found)


STAGES: stages.Stages = {
    "pictures": lambda options: make_pictures(options.work),
    "train": lambda options: train(options.work, options.steps),
    "save": lambda options: save(options.work, options.out),
    "check": lambda options: report(options.out),
}

if __name__ == "__main__":
    stages.main("toy.clip", STAGES, STEPS, MODEL_FOLDER)
