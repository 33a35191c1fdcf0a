"""How long work on a data set takes, each part beside the least that it could take, measured in turn.

    python -m benchmarks.dataset [--only search look album thumbnails] [--photos FOLDER] [--pictures 24]
                                 [--hashes 10000] [--albums 10000 50000] [--rounds 5]

search: near duplicates among made-up prints of which every tenth is a copy of another, and among the same ones
mirrored. look: the whole of `prepare check`, from listing the folder to the findings, beside reading every picture in
as many threads. album: the tag editor opens captioned pictures, for the first time and again, beside reading the
captions alone; looks for changes; filters them; writes and undoes 10,000 captions, beside replacing as many files and
waiting for the disk. thumbnails: the first of 2,000 photographs, and how many a second beside decoding.

Pictures are those of FOLDER, or photograph-like ones of 12 megapixels that are drawn for it. `cpu_s` are a processor's
seconds, which other programs disturb less.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from dataset import pictures
from dataset.doctor.examine import examine
from dataset.doctor.hashes import GRID, Prints, groups
from dataset.editor import filter
from dataset.editor.album import Album, Entry
from dataset.scan import scan
from dataset.settings import DatasetSettings, Folder
from gui.thumbnails import Thumbnails

PARTS = ("search", "look", "album", "thumbnails")


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
    told: dict[str, float] = {"pictures": len(paths)}
    for kind, clock in (("cpu_", time.process_time), ("", time.perf_counter)):
        pairs = [(seconds(decode, clock), seconds(lambda: examine(folder, settings), clock)) for _ in range(rounds)]  # noqa: B023
        told[f"decode_{kind}s"] = round(statistics.median(pair[0] for pair in pairs), 3)
        told[f"check_{kind}s"] = round(statistics.median(pair[1] for pair in pairs), 3)
        told[f"{kind}speed_beside_decoding"] = round(statistics.median(pair[0] / pair[1] for pair in pairs), 2)
    return told


def draw(folder: Path, number: int) -> None:
    """Pictures as a camera makes them: 4,000 x 3,000, JPEG, about 3 MB, with detail of every size."""
    for index in range(number):
        dice = np.random.default_rng(index)
        image = Image.new("RGB", (4000, 3000), "gray")
        for side in (6, 40, 300, 1200):
            grain = Image.fromarray(dice.integers(0, 256, (side * 3 // 4, side, 3), dtype=np.uint8))
            image = Image.blend(image, grain.resize(image.size, Image.Resampling.BICUBIC), 0.3)
        image.save(folder / f"{index:03}.jpg", quality=90)


def album(number: int, rounds: int) -> dict[str, float]:
    """Seconds for a data set of so many small captioned pictures."""
    told: dict[str, float] = {"pictures": number}
    with tempfile.TemporaryDirectory() as place:
        root, cache = Path(place, "set"), Path(place, "cache")
        caption(root, number)

        def alone() -> None:
            for path in root.glob("*.txt"):
                path.read_text()

        def opened() -> Album:
            return Album(root, cache=cache)

        both(told, "first_open", opened)
        pairs = [(seconds(alone), seconds(opened)) for _ in range(rounds)]
        told["reading_captions_s"] = round(statistics.median(pair[0] for pair in pairs), 3)
        told["open_s"] = round(statistics.median(pair[1] for pair in pairs), 3)
        told["open_beside_reading"] = round(statistics.median(pair[1] / pair[0] for pair in pairs), 2)
        both(told, "open", opened, wall=False)
        subject = opened()
        time.sleep(3)  # until the files are old enough to be told apart by their times
        subject.refresh()
        both(told, "refresh", subject.refresh)
        for line in ("tag:long_hair -blue", "/h.*r/i AND tags>8", "untagged OR w<100"):
            filtered(told, line, subject)
        told |= written(subject, root, min(10_000, number))
    return told


def both(told: dict[str, float], name: str, work: Callable[[], object], wall: bool = True) -> None:
    cpu, start = time.process_time(), time.perf_counter()
    work()
    if wall:
        told[f"{name}_s"] = round(time.perf_counter() - start, 3)
    told[f"{name}_cpu_s"] = round(time.process_time() - cpu, 3)


@dataclass
class Asked:
    """What a filter may ask, as far as these lines do."""

    entries: list[Entry]
    index: dict[str, frozenset[int]]
    trigger: str = ""


def filtered(told: dict[str, float], line: str, subject: Album) -> None:
    facts = Asked(subject.entries, subject.index)
    taken = statistics.median(seconds(lambda: filter.parse(line).apply(facts)) for _ in range(5))
    told[f"filter {line!r} ms"] = round(taken * 1000, 1)


def written(subject: Album, root: Path, number: int) -> dict[str, float]:
    """Writing so many captions as one change and undoing it, beside the least that keeps each file whole."""
    before = {index: subject.entries[index].text for index in range(number)}
    after = {index: f"{text}, more" for index, text in before.items()}

    def plain() -> None:
        for index in before:
            aside = root / f"{index}.new"
            aside.write_text(after[index])
            os.replace(aside, root / f"{index:05}.copy")
        os.sync()

    plain()  # so that it replaces files, too
    told: dict[str, float] = {"written": number, "plain_s": round(seconds(plain), 2)}
    both(told, "write", lambda: subject.write("benchmark", after, before))
    told["write_beside_plain"] = round(told["write_s"] / told["plain_s"], 2)
    both(told, "undo", subject.undo)
    one = [seconds(lambda: subject.write("one", {5: f"{turn}"}, {5: subject.entries[5].text})) for turn in range(9)]  # noqa: B023
    told["one_caption_ms"] = round(statistics.median(one) * 1000, 1)
    return told


def caption(root: Path, number: int) -> None:
    """A folder of small pictures with 20 tags each, out of 3,000 of which some are frequent."""
    root.mkdir(parents=True)
    dice = random.Random(0)
    kinds = [io.BytesIO() for _ in range(20)]
    for side, kind in enumerate(kinds):
        Image.new("RGB", (512 + 8 * side, 768), (side * 10, 20, 30)).save(kind, "JPEG")
    tags = ["long hair", "blue", "red", *(f"tag number {index}" for index in range(3000))]
    for index in range(number):
        (root / f"{index:05}.jpg").write_bytes(kinds[index % 20].getvalue())
        chosen = dict.fromkeys([*dice.choices(tags[:60], k=10), *dice.choices(tags, k=10)])
        (root / f"{index:05}.txt").write_text(", ".join(chosen))


def thumbnails(photos: Path, number: int = 2000) -> dict[str, float]:
    """Seconds until the first picture is there, and the first twelve, which fill a page; and the speed after that,
    beside decoding as many."""
    paths = sorted(path for path in photos.rglob("*") if path.suffix.lower() in pictures.EXTENSIONS)
    with tempfile.TemporaryDirectory(dir=photos.parent) as place:
        many = [Path(place, f"{index:04}{paths[index % len(paths)].suffix}") for index in range(number)]
        for index, path in enumerate(many):
            os.link(paths[index % len(paths)], path)
        small = Thumbnails(Path(place, "cache"))
        for path in many:
            small.id_of(path)
        done, start = [], time.perf_counter()

        def make(path: Path) -> None:
            small.small(path, 256)
            done.append(time.perf_counter() - start)

        in_threads(make, many[:48])
        made = done[-1]
        decoding = seconds(lambda: in_threads(lambda path: pictures.read(path).size, many[:48]))
    return {"thumbnails_of": number, "first_s": round(done[0], 2), "first_12_s": round(done[11], 2),
            "a_second": round(48 / made, 1), "speed_beside_decoding": round(decoding / made, 2)}


def in_threads(work: Callable[[Path], object], paths: list[Path]) -> None:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(work, paths))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--pictures", type=int, default=24)
    parser.add_argument("--hashes", type=int, default=10_000)
    parser.add_argument("--albums", type=int, nargs="+", default=[10_000, 50_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    options = parser.parse_args()
    told: dict[str, object] = {"cores": os.cpu_count()}
    if "search" in options.only:
        told["search"] = search(options.hashes, options.rounds)
    if "album" in options.only:
        told["albums"] = [album(number, options.rounds) for number in options.albums]
    with tempfile.TemporaryDirectory() as place:
        photos = options.photos or Path(place, "photos")
        if not options.photos and {"look", "thumbnails"} & {*options.only}:
            photos.mkdir()
            draw(photos, options.pictures)
        if "look" in options.only:
            told["look"] = look(photos, options.rounds)
        if "thumbnails" in options.only:
            told["thumbnails"] = thumbnails(photos)
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
