"""Looking at the pictures of a data set and reading its captions with a CLIP, so that the doctor can compare them.

`python -m captioners.clip.compare FOLDER [--model MODEL] [--download]`, or `--job DIR` for the window's work. Vectors
go into the workspace as they are made (`dataset.doctor.vectors`); whatever is there already is not made again, so the
same command goes on after anything.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, TypeVar

from pydantic import Field

from captioners.asking import free_memory
from captioners.base import CaptionerError
from captioners.clip.model import expected
from captioners.clip_interrogate import ALIASES, ClipInterrogate
from captioners.config import Computing
from captioners.device import place
from captioners.failures import explain
from captioners.tags.probabilities import ProbabilityCache
from captioners.wd_tagger import cache_folder
from captioners.weights import ROOT, Weights, about, fetch, find
from dataset import pictures
from dataset.doctor.vectors import Vectors, digest_of
from dataset.pictures import PictureError
from dataset.problem import Problem
from dataset.scan import scan
from dataset.settings import Folder
from dataset.work import create, done
from jobs import folder
from jobs.failures import out_of_memory, worked
from jobs.folder import Job
from settings.errors import SettingsError, check
from settings.section import Section, Ui

if TYPE_CHECKING:
    import numpy as np

    from captioners.clip.model import Clip

KIND = "compare"
ARGV = ("python", "-m", "captioners.clip.compare", "--job", "{job}")
HASHED = 64  # pictures between two words of how far it is
Item = TypeVar("Item")


class Settings(Section):
    """Compares pictures with their captions, and with each other, by a CLIP."""

    folder: Annotated[str, Ui("Folder", kind="folder")] = ""
    """The pictures."""

    caption_extension: str = ".txt"
    """Which files hold the captions."""

    model: Annotated[str, Ui(kind="model")] = ""
    """A folder with an open_clip model, or a hub name. Empty: the first known one on this machine, else the toy."""

    download: Annotated[bool, Ui("Download the model")] = False
    """On: you agree to download what is not on this machine, under its licence."""

    batch_size: Annotated[int, Field(ge=1, le=1024)] = 32
    """Pictures, or captions, at once. Halved by itself where memory runs out."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """auto: the graphics card if there is one that no run is using."""


class Says(Protocol):
    """What is told on the way; `dataset.work.Teller` is one."""

    def progress(self, name: str, done: int, total: int) -> None: ...
    def problem(self, problem: Problem) -> None: ...
    def warn(self, message: str) -> None: ...


@dataclass
class Halving:
    """Calls `encode` with ever fewer items at once where memory runs out, and keeps to that."""

    encode: Callable[[Sequence[Any]], np.ndarray]
    size: int
    warn: Callable[[str], None]

    def __call__(self, items: Sequence[Any]) -> list[np.ndarray]:
        rows: list[np.ndarray] = []
        while len(rows) < len(items):
            part = items[len(rows) : len(rows) + self.size]
            try:
                rows += list(self.encode(part))
                continue
            except Exception as error:  # noqa: BLE001  by its name, as libraries differ; all others are raised
                if not out_of_memory(error) or len(part) == 1:
                    raise
            free_memory()  # out of the block, where the error would hold what it failed with
            self.size = len(part) // 2
            self.warn(f"not enough memory for {len(part)} at once; going on with {self.size}")
        return rows


def chosen(model: str) -> Weights:
    """What a model that was typed means; for nothing the first that is on this machine. Raises CaptionerError."""
    if model.strip():
        return find(ALIASES.get(model, model), ClipInterrogate.published)
    known = (find(name, ClipInterrogate.published) for name in ClipInterrogate.published)
    return next((weights for weights in known if weights.here), None) or find("toy/models/clip", {})


def begin(values: dict[str, Any]) -> Job:
    """A job, checked, ready to be started. Raises SettingsError, for a model that isn't here without consent too."""
    settings = check(Settings, values)
    if not settings.folder.strip() or not os.path.isdir(os.path.expanduser(settings.folder)):
        raise SettingsError({"folder": "choose a folder with pictures"})
    try:
        weights = chosen(settings.model)
        if not (weights.here or settings.download):
            raise SettingsError({"download": f"{weights.model} is not on this machine: {about(weights)}"})
        if weights.here and weights.folder:
            expected(weights.folder)
    except CaptionerError as error:
        raise SettingsError({"model": str(error)}) from None
    return create(KIND, settings, ARGV)


def work(settings: Settings, teller: Says) -> dict[str, Any]:
    """Make and keep what is missing. Raises CaptionerError."""
    weights = on_this_machine(chosen(settings.model), settings.download, teller)
    data = scan([Folder(path=settings.folder)], settings.caption_extension)
    for problem in data.problems:
        if not problem.used:
            teller.problem(problem)
    digests = hashed([item.path for item in data.items], teller)
    captions = {digest_of(item.caption): item.caption for item in data.items if item.caption}
    with closing(Vectors()) as kept:
        made = Making(settings, weights, kept, teller)
        files = {digest: path for path, digest in digests.items()}
        looked, read = made.pictures(files), made.captions(captions)
        name = called(weights)
        kept.used(made.key, name)
    return {"model": name, "toy": weights.where == "toy", "pictures": len(files), "captions": len(captions),
            "new": looked + read}


def called(weights: Weights) -> str:
    """What people call a model."""
    if weights.where == "toy":
        return "the toy CLIP"
    return weights.folder.name if weights.where == "folder" and weights.folder else weights.model


def on_this_machine(weights: Weights, agreed: bool, teller: Says) -> Weights:
    """The model on this machine; CaptionerError tells what it takes."""
    if not (weights.here or agreed):
        raise CaptionerError(f"{weights.model} is not on this machine ({about(weights)}): agree to the download "
                             "(--download), or choose a model that is here")
    return fetch(weights, agreed, teller.progress)


def hashed(paths: list[Path], teller: Says) -> dict[Path, bytes]:
    """The SHA-256 of each file; those that can't be read are left out."""
    found: dict[Path, bytes] = {}
    with closing(ProbabilityCache(cache_folder())) as known:  # which keeps them, so that each is read once
        for start in range(0, len(paths), HASHED):
            found |= known.digests(paths[start : start + HASHED])
            teller.progress("read files", min(start + HASHED, len(paths)), len(paths))
    return found


class Making:
    """One model at work. It is loaded when something is missing, and not before."""

    def __init__(self, settings: Settings, weights: Weights, kept: Vectors, teller: Says):
        from captioners.clip import table

        assert weights.folder is not None
        self.key = table.key_of(weights.folder)
        self._settings, self._weights, self._kept, self._teller = settings, weights, kept, teller
        self._loaded: Clip | None = None

    def pictures(self, files: dict[bytes, Path]) -> int:
        """{digest: file} -> how many were looked at."""
        known = self._kept.known(self.key, files)
        missing = {digest: path for digest, path in files.items() if digest not in known}
        if not missing:
            return 0
        import torch

        clip = self._clip()
        encode = Halving(lambda some: clip.pictures(torch.stack(list(some))), self._settings.batch_size,
                         self._teller.warn)
        count = 0
        for batch in batched(prepared(missing.items(), clip), self._settings.batch_size):
            good = [(digest, pixels) for digest, pixels in batch if not isinstance(pixels, Problem)]
            for _, problem in batch:
                if isinstance(problem, Problem):
                    self._teller.problem(problem)
            if good:
                rows = encode([pixels for _, pixels in good])
                self._kept.put(self.key, {digest: row for (digest, _), row in zip(good, rows)})
            count += len(batch)
            self._teller.progress("look at pictures", count, len(missing))
        return count

    def captions(self, captions: dict[bytes, str]) -> int:
        """{digest: caption} -> how many were read."""
        known = self._kept.known(self.key, captions)
        missing = [(digest, text) for digest, text in captions.items() if digest not in known]
        if not missing:
            return 0
        encode = Halving(self._clip().texts, self._settings.batch_size, self._teller.warn)
        count = 0
        for batch in batched(missing, self._settings.batch_size):
            rows = encode([text for _, text in batch])
            self._kept.put(self.key, {digest: row for (digest, _), row in zip(batch, rows)})
            count += len(batch)
            self._teller.progress("read captions", count, len(missing))
        return count

    def _clip(self) -> Clip:
        if self._loaded is None:
            from captioners.clip.model import Clip

            self._teller.progress("load model", 0, 1)
            where = place(Computing(device=self._device()))
            weights = self._weights
            self._loaded = Clip(weights.folder, weights.model, where.device, where.dtype, self._settings.batch_size)
            self._teller.progress("load model", 1, 1)
            if weights.where == "toy":
                self._teller.warn("The toy CLIP was used. It knows the drawn shapes and colours of the demo and "
                                  "nothing else: choose a real model for real pictures.")
        return self._loaded

    def _device(self) -> str:
        """A graphics card that a run is using is left to it: memory that it needs would not be there."""
        if self._settings.device == "auto" and any(job.state() == "running" for job in folder.jobs()):
            self._teller.warn("A run is using the machine, so this was computed on the processor.")
            return "cpu"
        return self._settings.device


def prepared(files: Iterable[tuple[bytes, Path]], clip: Clip) -> Iterator[tuple[bytes, Any]]:
    """(digest, pixels as the model wants them), or a Problem in their place; decoded ahead in threads."""
    def one(file: tuple[bytes, Path]) -> tuple[bytes, Any]:
        digest, path = file
        try:
            return digest, clip.prepare(pictures.read(path))
        except PictureError as error:
            return digest, Problem(path, error.reason, error.fix)

    rest = iter(files)
    threads = min(4, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as pool:
        waiting = [pool.submit(one, file) for file in islice(rest, 4 * threads)]
        while waiting:
            yield waiting.pop(0).result()
            waiting += [pool.submit(one, file) for file in islice(rest, 1)]


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


class Terminal:
    """Tells a person in a terminal, on the error output, which is not what other programs read."""

    def progress(self, name: str, done: int, total: int) -> None:
        if sys.stderr.isatty():
            print(f"\r  {name}: {done:,} of {total:,} ", end="\n" * (done == total), file=sys.stderr, flush=True)

    def problem(self, problem: Problem) -> None:
        """The doctor tells what is wrong with files."""

    def warn(self, message: str) -> None:
        print(message, file=sys.stderr, flush=True)


def main(arguments: list[str]) -> int:
    """0: compared, 1: it failed, 2: something that was asked for is wrong."""
    parser = argparse.ArgumentParser(prog="captioners.clip.compare", description=Settings.__doc__, allow_abbrev=False)
    parser.add_argument("folder", nargs="?", default="")
    parser.add_argument("--job", type=Path)
    parser.add_argument("--model", default="")
    parser.add_argument("--caption-extension", default=".txt")
    parser.add_argument("--download", action="store_true")
    options = parser.parse_args(arguments)
    if options.job:
        this = sys.modules[__name__]
        return worked(options.job.absolute(), lambda path: done(path, this), explain)
    try:
        work(check(Settings, {"folder": options.folder, "model": options.model, "download": options.download,
                              "caption_extension": options.caption_extension}), Terminal())
    except (CaptionerError, SettingsError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main(sys.argv[1:]))
