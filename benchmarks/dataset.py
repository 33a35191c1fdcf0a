"""How long the doctor of a data set takes: finding near duplicates, and looking at pictures beside decoding them alone.

    python -m benchmarks.dataset [--photos FOLDER] [--pictures 24] [--hashes 10000] [--rounds 5]

The search runs over made-up prints of which every tenth is a copy of another, and over the same ones mirrored. Looking
is the whole of `prepare check`, from listing the folder to the findings, in turn with reading every picture in as many
threads; both on FOLDER, or on photograph-like pictures of 12 megapixels that are drawn for it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from dataset import pictures
from dataset.doctor.examine import examine
from dataset.doctor.hashes import GRID, Prints, groups
from dataset.scan import scan
from dataset.settings import DatasetSettings, Folder


def prints(number: int, seed: int = 0) -> Prints:
    """Random prints; every tenth has a few bits changed of the one before it."""
    dice = np.random.default_rng(seed)
    phash, dhash = dice.integers(0, 2**64, (2, number), dtype=np.uint64)
    colours = dice.integers(0, 256, (number, GRID * GRID * 3), dtype=np.uint8)
    copies = np.arange(9, number, 10)
    phash[copies] = phash[copies - 1] ^ np.uint64(0b1011)
    dhash[copies], colours[copies] = dhash[copies - 1], colours[copies - 1]
    return Prints(phash, dhash, colours, np.ones(number))


def seconds(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    start = clock()
    work()
    return clock() - start


def search(number: int, rounds: int) -> dict[str, float]:
    """Seconds that the search takes a processor (it uses one), and that pass; they differ where others use it too."""
    ours, mirrored = prints(number), prints(number, seed=1)
    assert len(groups(ours)) == number // 10
    told: dict[str, float] = {"hashes": number}
    for name, others in (("near", None), ("mirrored", mirrored)):
        for kind, clock in (("cpu_s", time.process_time), ("s", time.perf_counter)):
            taken = [seconds(lambda: groups(ours, others), clock) for _ in range(rounds)]  # noqa: B023
            told[f"{name}_{kind}"] = round(statistics.median(taken), 3)
    return told


def look(folder: Path, rounds: int) -> dict[str, float]:
    paths = [item.path for item in scan([Folder(path=str(folder))]).items]

    def decode() -> None:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for _ in pool.map(lambda path: pictures.read(path).size, paths):
                pass

    settings = DatasetSettings()
    examine(folder, settings)  # once, so that the files are in memory and CLIP's merges are read
    pairs = [(seconds(decode), seconds(lambda: examine(folder, settings))) for _ in range(rounds)]
    return {
        "pictures": len(paths),
        "decode_s": round(statistics.median(pair[0] for pair in pairs), 2),
        "check_s": round(statistics.median(pair[1] for pair in pairs), 2),
        "speed_beside_decoding": round(statistics.median(pair[0] / pair[1] for pair in pairs), 2),
    }


def draw(folder: Path, number: int) -> None:
    """Pictures as a camera makes them: 4,000 x 3,000, JPEG, about 3 MB, with detail of every size."""
    for index in range(number):
        dice = np.random.default_rng(index)
        image = Image.new("RGB", (4000, 3000), "gray")
        for side in (6, 40, 300, 1200):
            grain = Image.fromarray(dice.integers(0, 256, (side * 3 // 4, side, 3), dtype=np.uint8))
            image = Image.blend(image, grain.resize(image.size, Image.Resampling.BICUBIC), 0.3)
        image.save(folder / f"{index:03}.jpg", quality=90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--pictures", type=int, default=24)
    parser.add_argument("--hashes", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    told = {"cores": os.cpu_count(), **search(options.hashes, options.rounds)}
    with tempfile.TemporaryDirectory() as place:
        if not options.photos:
            draw(Path(place), options.pictures)
        told |= look(options.photos or Path(place), options.rounds)
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
