"""How long a resize takes beside bare Pillow: decode, crop to the middle, Lanczos, save, in as many threads.

    python -m benchmarks.resize [--photos FOLDER] [--pictures 16] [--width 1024] [--rounds 5] [--keep subject]

Ours is the whole of `prepare resize`, from listing the folder to the last file, with the search for the subject; into a
new folder each time. Both in turn, on FOLDER or on photograph-like pictures of 12 megapixels that are drawn for it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image, ImageOps

from benchmarks.dataset import draw
from dataset.problem import Problem
from dataset.resize.job import resize
from dataset.resize.plan import plan
from dataset.resize.settings import Settings
from dataset.scan import scan
from dataset.settings import Folder


class Silent:
    """Is told, and says nothing."""

    def progress(self, name: str, done: int, total: int) -> None: ...
    def problem(self, problem: Problem) -> None: ...
    def warn(self, message: str) -> None: ...


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def bare(paths: list[Path], width: int, output: Path) -> None:
    def one(job: tuple[int, Path]) -> None:
        with Image.open(job[1]) as image:
            copy = ImageOps.fit(ImageOps.exif_transpose(image).convert("RGB"), (width, width), Image.Resampling.LANCZOS)
        copy.save(output / f"{job[0]}.jpg", quality=95, subsampling=0)

    output.mkdir()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one, enumerate(paths)))


def ours(folder: Path, settings: Settings, output: Path) -> None:
    settings = settings.model_copy(update={"folder": str(folder), "output": str(output)})
    resize(settings, plan(settings), Silent())


def compare(folder: Path, settings: Settings, rounds: int) -> dict[str, float]:
    paths = [item.path for item in scan([Folder(path=str(folder))]).items]
    pairs = []
    with tempfile.TemporaryDirectory() as place:
        for number in range(rounds + 1):  # the first, which brings the files into memory, does not count
            one, other = Path(place) / f"bare{number}", Path(place) / f"ours{number}"
            pairs.append((seconds(lambda: bare(paths, settings.width, one)),  # noqa: B023
                          seconds(lambda: ours(folder, settings, other))))  # noqa: B023
            shutil.rmtree(one)
            shutil.rmtree(other)
    return {
        "pictures": len(paths),
        "bare_s": round(statistics.median(pair[0] for pair in pairs[1:]), 2),
        "ours_s": round(statistics.median(pair[1] for pair in pairs[1:]), 2),
        "speed_beside_bare": round(statistics.median(pair[0] / pair[1] for pair in pairs[1:]), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", default="subject")
    options = parser.parse_args()
    settings = Settings(width=options.width, keep=options.keep, upscale=True)
    with tempfile.TemporaryDirectory() as place:
        if not options.photos:
            draw(Path(place), options.pictures)
        told = compare(options.photos or Path(place), settings, options.rounds)
    print(json.dumps({"cores": os.cpu_count(), "width": options.width, **told}, indent=1))


if __name__ == "__main__":
    main()
