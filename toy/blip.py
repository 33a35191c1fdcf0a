"""Trains the toy BLIP: a captioner of the usual kind, small enough for two cores, that says what `toy/draw.py` draws.

It is a `BlipForConditionalGeneration` in the usual kind of folder, so whatever captions with BLIP captions with this.
Like the toy base it can be stopped and continued: a batch depends on (seed, step) alone.

    python -m toy.blip all --work DIR     # pictures, train, save
    python -m toy.blip check              # how much of 64 fixed pictures the committed model says rightly
"""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from toy import stages
from toy.draw import COLOURS, THINGS, Scene, character_picture, draw_scene, random_scene

if TYPE_CHECKING:
    from transformers import BertTokenizer, BlipForConditionalGeneration

MODEL_FOLDER = Path(__file__).parent / "models" / "blip"
SIDE = 48  # what the model sees; the processor squashes any picture to it
PICTURES = 20_000
SEED = 3  # neither the base's nor the demo's
STEPS, BATCH = 1400, 64
LENGTH = 24
SIZES = ((64, 64), (64, 64), (64, 64), (96, 64), (64, 96), (72, 64))
CHARACTER_CHANCE, PROMPT_CHANCE = 0.1, 0.1
PROMPT = "a picture of "
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "[ENC]")
_WORDS = "a an and on the of with in background picture photo drawing creature"
Right = dict[str, float]


def picture(index: int) -> tuple[Image.Image, str]:
    """Training picture `index`, as it would lie in a folder, with its caption. One in ten is the demo's creature."""
    rng = np.random.default_rng([SEED, index])
    size = SIZES[rng.integers(len(SIZES))]
    if rng.random() < CHARACTER_CHANCE:
        image, caption = character_picture(SEED, index, size)
        # Its name is the LoRA's secret; what a stranger would say of it is its colour.
        return image, "a turquoise creature" + caption[caption.index(" on ") :]
    scene = random_scene(rng)
    return draw_scene(scene, rng, size), scene.caption


def build_tokenizer() -> BertTokenizer:
    """BLIP's kind of tokenizer: lower-case word pieces; the world's words are one token each, others are spelt."""
    from transformers import BertTokenizer

    letters = sorted({*string.ascii_lowercase, *string.digits, *string.punctuation})
    words = sorted({*_WORDS.split(), *THINGS, *COLOURS} - set(letters))
    pieces = [f"##{letter}" for letter in (*string.ascii_lowercase, *string.digits)]
    vocab = {piece: number for number, piece in enumerate([*_SPECIAL, *letters, *pieces, *words])}
    return BertTokenizer(vocab=vocab, model_max_length=LENGTH, additional_special_tokens=["[DEC]", "[ENC]"])


def new_model(tokenizer: BertTokenizer) -> BlipForConditionalGeneration:
    """Three layers that look, two that speak, 128 wide: 1.2 M weights."""
    from transformers import BlipConfig, BlipForConditionalGeneration, BlipTextConfig, BlipVisionConfig

    vision = BlipVisionConfig(
        hidden_size=128, intermediate_size=512, num_hidden_layers=3, num_attention_heads=4, image_size=SIDE,
        patch_size=8, initializer_range=0.02,
    )  # fmt: skip
    text = BlipTextConfig(
        vocab_size=len(tokenizer), hidden_size=128, intermediate_size=512, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=LENGTH, bos_token_id=tokenizer.convert_tokens_to_ids("[DEC]"),
        eos_token_id=tokenizer.sep_token_id, sep_token_id=tokenizer.sep_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return BlipForConditionalGeneration(BlipConfig(text_config=text.to_dict(), vision_config=vision.to_dict()))


def build_processor(tokenizer: BertTokenizer) -> Any:
    from transformers import BlipImageProcessor, BlipProcessor

    return BlipProcessor(BlipImageProcessor(size={"height": SIDE, "width": SIDE}), tokenizer)


def make_pictures(work: Path) -> None:
    """Draw the training pictures once: `blip.npy` [n, 48, 48, 3] uint8 and `blip.txt`, a caption a line."""
    if (work / "blip.txt").exists():
        return
    pixels = np.empty((PICTURES, SIDE, SIDE, 3), dtype=np.uint8)
    captions = []
    for index in range(PICTURES):
        image, caption = picture(index)
        pixels[index] = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
        captions.append(caption)
    np.save(work / "blip.npy", pixels)
    (work / "blip.txt").write_text("\n".join(captions), encoding="utf-8")


def train(work: Path, steps: int = STEPS) -> None:
    """Next-word prediction on drawn pictures; a few captions begin with a prompt, so that prompts do no harm."""
    import torch
    from torch import nn
    from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

    from toy.make import Training

    torch.manual_seed(SEED)
    tokenizer = build_tokenizer()
    model = new_model(tokenizer).train()
    pixels = np.load(work / "blip.npy", mmap_mode="r")
    captions = (work / "blip.txt").read_text(encoding="utf-8").split("\n")
    mean, deviation = (torch.tensor(values).view(3, 1, 1) for values in (OPENAI_CLIP_MEAN, OPENAI_CLIP_STD))

    def loss(step: int) -> torch.Tensor:
        dice = torch.Generator().manual_seed(SEED * 1_000_003 + step)
        picks = torch.randint(len(captions), (BATCH,), generator=dice)
        prompted = (torch.rand(BATCH, generator=dice) < PROMPT_CHANCE).tolist()
        images = torch.from_numpy(np.ascontiguousarray(pixels[picks.numpy()])).permute(0, 3, 1, 2).float() / 255
        texts = [(PROMPT if first else "") + captions[pick] for pick, first in zip(picks.tolist(), prompted)]
        words = tokenizer(texts, padding=True, return_tensors="pt")
        words.input_ids[:, 0] = model.config.text_config.bos_token_id
        labels = words.input_ids.masked_fill(words.attention_mask == 0, -100)
        return model((images - mean) / deviation, words.input_ids, words.attention_mask, labels=labels).loss

    Training(work / "blip.pt", nn.ModuleDict({"blip": model}), loss, steps, rate=4e-3, batch=BATCH, decay=0.99).run()


def save(work: Path, folder: Path = MODEL_FOLDER) -> None:
    """Write the averaged weights in half precision, with the processor, as BLIP's folders have them."""
    import torch
    from torch import nn

    from toy.make import averaged

    tokenizer = build_tokenizer()
    model = averaged(work / "blip.pt", nn.ModuleDict({"blip": new_model(tokenizer)}))["blip"]
    model.to(torch.float16).save_pretrained(folder)
    build_processor(tokenizer).save_pretrained(folder)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{folder}: {size / 1e6:.1f} MB")


def understood(caption: str) -> tuple[str, str, str]:
    """(thing, colour, ground) that a caption names, "" for what it does not: "a red and blue cup on a pink background"
    gives ("cup", "red and blue", "pink")."""
    before, _, after = caption.partition(" on ")
    words = before.split()
    thing = words[-1] if words and words[-1] in (*THINGS, "creature") else ""
    ground = after.split()[-2] if after.endswith(" background") and len(after.split()) >= 2 else ""
    return thing, " ".join(words[1:-1]), ground


def judge(scenes: list[Scene], captions: list[str]) -> Right:
    """Share of captions that name the right thing, colour (both, where there are two) and ground, and all (0..1)."""
    wanted = [understood(scene.caption) for scene in scenes]
    right = np.array([[a == b for a, b in zip(one, understood(said))] for one, said in zip(wanted, captions)])
    return dict(zip(("thing", "colour", "ground"), right.mean(0).round(4).tolist())) | {
        "all": round(float(right.all(1).mean()), 4)
    }


def examination(count: int = 64, two_coloured: bool = False) -> list[tuple[Image.Image, Scene]]:
    """Fixed pictures that were not trained on: things and colours come round evenly, or all have a second colour."""
    out: list[tuple[Image.Image, Scene]] = []
    index = 0
    while len(out) < count:
        rng = np.random.default_rng([64, index])
        scene = random_scene(rng)
        if not two_coloured:
            name = list(THINGS)[index % len(THINGS)]
            colour = list(COLOURS)[(index + index // len(THINGS)) % len(COLOURS)]
            other = "red" if colour == "grey" else "grey"
            scene = Scene(name, colour, other if scene.ground == colour else scene.ground)
        if bool(scene.second) == two_coloured:
            out.append((draw_scene(scene, rng), scene))
        index += 1
    return out


def check(folder: Path = MODEL_FOLDER, two_coloured: bool = False) -> tuple[Right, list[tuple[str, str]]]:
    """The figures of the model's card, and (what was drawn, what was said) where these differ."""
    from captioners.base import Picture, Place
    from captioners.blip import Blip, BlipSettings
    from captioners.weights import find

    captioner = Blip(BlipSettings(model=str(folder)), Place())
    captioner.load(find(str(folder), {}), lambda *_: None)
    drawn = examination(two_coloured=two_coloured)
    said = captioner.say([captioner.prepare(Picture(Path("drawn.png"), image)) for image, _ in drawn])
    pairs = [(scene.caption, one.text) for (_, scene), one in zip(drawn, said)]
    return judge([scene for _, scene in drawn], [text for _, text in pairs]), [p for p in pairs if p[0] != p[1]]


def report(folder: Path) -> None:
    for two_coloured in (False, True):
        shares, wrong = check(folder, two_coloured)
        print("".join(f"{drawn}: {said}\n" for drawn, said in wrong), end="")
        print(json.dumps({"pictures": 64, "two_coloured": two_coloured, **shares}))


STAGES: stages.Stages = {
    "pictures": lambda options: make_pictures(options.work),
    "train": lambda options: train(options.work, options.steps),
    "save": lambda options: save(options.work, options.out),
    "check": lambda options: report(options.out),
}

if __name__ == "__main__":
    stages.main("toy.blip", STAGES, STEPS, MODEL_FOLDER)
