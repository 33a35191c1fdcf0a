"""Measures how well a base model draws what it is told: 64 fixed prompts, judged by `toy/measure.py`.

    python -m toy.check                                  # the committed model
    python -m toy.check --model DIR --sheet sheet.png    # another one, with a contact sheet to look at

Prints a line per attribute and, last, one JSON object. `--write` also stores that object as `check.json` in the model
folder, which is where the model card's figure comes from.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from PIL import Image

from toy.draw import COLOURS, GROUNDS, THINGS, Scene, contact_sheet
from toy.measure import Seen, see
from toy.score import character_score

MODEL_FOLDER = Path(__file__).parent / "models" / "sd"
PROMPTS = 64
STEPS, GUIDANCE, SEED = 30, 4.0, 1000
_AT_ONCE = 16


def prompts(count: int = PROMPTS) -> list[Scene]:
    """The fixed scenes: things and colours come round evenly, grounds are drawn by a fixed seed."""
    rng = np.random.default_rng(64)
    rounds = -(-count // len(THINGS))
    things = np.concatenate([rng.permutation(list(THINGS)) for _ in range(rounds)])
    colours = np.concatenate([rng.permutation(list(COLOURS)) for _ in range(rounds)])
    pairs = [(str(thing), str(colour)) for thing, colour in zip(things, colours)][:count]
    return [Scene(t, c, str(rng.choice([name for name in GROUNDS if name != c]))) for t, c in pairs]


def load(folder: Path) -> StableDiffusionPipeline:
    """The pipeline in float32 with a DDIM scheduler and no progress bar."""
    pipe = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config, clip_sample=False)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def generate(
    pipe: StableDiffusionPipeline, texts: list[str], *, steps: int = STEPS, seed: int = SEED, size: int = 64
) -> list[Image.Image]:
    """One picture a text, each from its own seed (seed + its number), so that a batch size changes nothing."""
    images: list[Image.Image] = []
    for start in range(0, len(texts), _AT_ONCE):
        some = texts[start : start + _AT_ONCE]
        dice = [torch.Generator().manual_seed(seed + start + number) for number in range(len(some))]
        images += pipe(
            some, num_inference_steps=steps, guidance_scale=GUIDANCE, generator=dice, height=size, width=size
        ).images
    return images


def judge(scenes: list[Scene], seen: list[Seen]) -> dict[str, float]:
    """Share of pictures with the right ground, colour and thing, and with all three (0..1)."""
    right = np.array([(w.ground == s.ground, w.colour == s.colour, w.thing == s.thing) for w, s in zip(scenes, seen)])
    shares = dict(zip(("ground", "colour", "thing"), right.mean(0).round(4).tolist()))
    return shares | {"all": round(float(right.all(1).mean()), 4)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m toy.check", description="Score a toy base model.")
    parser.add_argument("--model", type=Path, default=MODEL_FOLDER)
    parser.add_argument("--count", type=int, default=PROMPTS)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--sheet", type=Path, help="write a contact sheet here")
    parser.add_argument("--write", action="store_true", help="store the result as check.json in the model folder")
    options = parser.parse_args()
    scenes = prompts(options.count)
    images = generate(load(options.model), [scene.caption for scene in scenes], steps=options.steps)
    seen = [see(image) for image in images]
    for scene, found in zip(scenes, seen):
        wrong = [name for name in ("ground", "colour", "thing") if getattr(scene, name) != getattr(found, name)]
        if wrong:
            print(f"{scene.caption}: " + ", ".join(f"{name} is {getattr(found, name) or 'missing'}" for name in wrong))
    shares = judge(scenes, seen)
    for name, share in shares.items():
        print(f"{name:8s}{share:7.1%}")
    if options.sheet:
        contact_sheet(images).save(options.sheet)
    result = {
        "prompts": len(scenes), "steps": options.steps, "guidance": GUIDANCE, "seed": SEED, **shares,
        "character": round(character_score(images), 4),
    }  # fmt: skip
    if options.write:
        (options.model / "check.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
