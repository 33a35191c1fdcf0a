"""How many texts CLIP interrogate's mode "best" reads for a picture, against the plain greedy search; same run.

    python -m benchmarks.captions_clip [--pictures 3] [--model toy/models/clip] [--candidates 390] [--most 12]

Both grow a chain of phrases over the same candidates (our lists, and pairs of their phrases where more are asked for).
The greedy search reads every candidate as part of the whole at every step; ours only those that promise something. With
the filter off it must find the very same text. Prints what both read, how well the texts fit, and the ratio.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from captioners.clip import lists
from captioners.clip.rank import Chain, Phrases, joined
from toy.draw import draw

LEAST = 8  # phrases; the default of `best`
Found = tuple[str, float, int]  # (text, how well it fits, texts read)


def naive(clip: Any, image: np.ndarray, labels: list[str], begin: str, most: int) -> Found:
    """The greedy search as it is described, with nothing saved."""
    now, score, read = begin, float((clip.texts([begin]) @ image)[0]), 1
    best, left = (score, now), list(labels)
    for step in range(most):
        tried = [label for label in left if clip.fits([joined(now, label)])[0]]
        if not tried:
            break
        scores = clip.texts([joined(now, label) for label in tried]) @ image
        read += len(tried)
        index = int(scores.argmax())
        if scores[index] <= score and step >= LEAST:
            break
        now, score = joined(now, tried[index]), float(scores[index])
        left.remove(tried[index])
        best = max(best, (score, now))
    return best[1], best[0], read


def grown(clip: Any, image: np.ndarray, phrases: Phrases, begin: str, options: dict[str, Any]) -> Found:
    chain = Chain(clip.texts, clip.fits, LEAST, **options)
    before = clip.encoded
    text = chain.grow(image, phrases, begin)
    return text, chain.score, clip.encoded - before


def timed(work: Callable[..., Found], *arguments: Any) -> tuple[str, float, int, float]:
    """What was found, with the seconds that it took."""
    began = time.perf_counter()
    return *work(*arguments), time.perf_counter() - began


def candidates(count: int) -> list[str]:
    """Our phrases, and as many pairs of them as it takes."""
    labels = list(lists.merged(lists.ours(name for name in lists.known() if name != lists.DEFECTS)))
    pairs = (f"{one} {other}" for one, other in itertools.permutations(labels, 2))
    return [*labels, *itertools.islice(pairs, max(0, count - len(labels)))][:count]


def measured(model: Path, pictures: int, count: int, most: int) -> dict[str, Any]:
    import torch

    from captioners.clip.model import Clip
    from captioners.clip_interrogate import ClipInterrogateSettings

    clip = Clip(model, str(model))
    labels = candidates(count)
    phrases = Phrases(labels, clip.texts(labels))
    usual = ClipInterrogateSettings()
    tried = {"most": most, "filter": usual.filter, "diversity": usual.diversity}
    rows = []
    for number in range(pictures):
        drawn, scene = draw(41, number)
        image, begin = clip.pictures(torch.stack([clip.prepare(drawn)]))[0], f"a {scene.thing}"
        rows.append({
            "naive": timed(naive, clip, image, labels, begin, most),
            "ours": timed(grown, clip, image, phrases, begin, tried),
            "unfiltered": timed(grown, clip, image, phrases, begin, {"most": most, "filter": 0}),
        })  # fmt: skip
    sums = {name: np.array([row[name][1:] for row in rows]).sum(0) for name in rows[0]}
    return {
        "model": str(model), "pictures": pictures, "candidates": len(labels), "filter": usual.filter,
        "texts_naive": int(sums["naive"][1]), "texts_ours": int(sums["ours"][1]),
        "fewer_times": round(sums["naive"][1] / sums["ours"][1], 1),
        "faster_times": round(sums["naive"][2] / sums["ours"][2], 1),
        "fit_naive": round(sums["naive"][0] / pictures, 4), "fit_ours": round(sums["ours"][0] / pictures, 4),
        "same_without_filter": all(row["naive"][0] == row["unfiltered"][0] for row in rows),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=Path(__file__).parent.parent / "toy" / "models" / "clip")
    parser.add_argument("--pictures", type=int, default=3)
    parser.add_argument("--candidates", type=int, default=390)
    parser.add_argument("--most", type=int, default=12)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        os.environ.setdefault("LORATORY_HOME", temporary)
        print(json.dumps(measured(options.model, options.pictures, options.candidates, options.most)))


if __name__ == "__main__":
    main()
