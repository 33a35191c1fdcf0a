"""How a picture looks in one showing: which window of it, mirrored or not, in which light.

A pure function of (seed, step, place), as all that is random in a run; with `variants`, of one of so many ways for each
picture that are drawn once, so that each can be encoded beforehand. Trainer, cache and preview ask here.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dataset import buckets, colour
from dataset.buckets import Crop
from dataset.colour import Colour
from dataset.pictures import PictureError, read
from dataset.resize import faces
from dataset.resize.focus import Focus
from dataset.settings import DatasetSettings
from dataset.turns import seed_of
from jobs import files
from jobs.files import home
from settings.errors import SettingsError


@dataclass(frozen=True)
class Look:
    """Cut first, then mirrored, then coloured; a mask is cut and mirrored alike. `colour` None: as it is."""

    crop: Crop
    flip: bool = False
    colour: Colour | None = None


def pixels(path: Path, look: Look) -> np.ndarray:
    """What the VAE gets: uint8 [height, width, 3] of the bucket's size. Raises PictureError."""
    found = buckets.pixels(path, look.crop, look.flip)
    return colour.applied(found, look.colour) if look.colour else found


class Looks:
    """The looks of the pictures of a run with this seed. With crop = focus pictures are read where something is cut
    off, each once, which raises PictureError; a face model that is none raises SettingsError."""

    def __init__(self, seed: int, settings: DatasetSettings):
        self._seed, self._settings = seed, settings
        self._focused = Focused() if settings.crop == "focus" else None

    @property
    def by(self) -> str:
        """What else than settings and pictures decides: the face model, if one is used."""
        return self._focused.by if self._focused else ""

    def still(self, path: Path, crop: Crop) -> Look:
        """Without anything that is left to chance."""
        return Look(self._focused.placed(path, crop) if self._focused else crop)

    def drawn(self, path: Path, crop: Crop, flip: bool, moment: tuple[int, int]) -> Look:
        """That of the showing at `moment`, a step and a place in it."""
        if not self._settings.looks_vary:
            return replace(self.still(path, crop), flip=flip)
        if not self._settings.variants:
            return replace(self._varied(path, crop, *moment), flip=flip)
        number = random.Random(seed_of(self._seed, *moment, "variant")).randrange(self._settings.variants)
        return replace(self._variant(path, crop, number), flip=flip)

    def all(self, path: Path, crop: Crop) -> list[Look]:
        """All that a run shows of a picture at one size, where their number is limited."""
        count = self._settings.variants if self._settings.looks_vary else 0
        looks = [self._variant(path, crop, number) for number in range(count)] or [self.still(path, crop)]
        ways = (False, True) if self._settings.flip else (False,)
        return [replace(look, flip=flip) for look in dict.fromkeys(looks) for flip in ways]

    def _variant(self, path: Path, crop: Crop, number: int) -> Look:
        return self._varied(path, crop, path.name, *crop.bucket, number)

    def _varied(self, path: Path, crop: Crop, *key: int | str) -> Look:
        """Drawn from `key`; window and colours apart, so that neither moves when the other is switched on."""
        window, light = (random.Random(seed_of(self._seed, *key, what)) for what in ("crop", "colour"))
        look = self.still(path, crop)
        if self._settings.crop == "random":
            across, down = crop.over
            look = Look(replace(crop, left=window.randint(0, across), top=window.randint(0, down)))
        if strength := self._settings.colour_jitter:
            look = replace(look, colour=colour.drawn(strength, light))
        return look


class Focused:
    """Windows around what matters in a picture: its largest face, else the part with most to see. Found once, and kept
    on disk under a hash of the picture, the cut and the face model; the files may be deleted at any time."""

    def __init__(self) -> None:
        model = faces.model_file("")
        self.by = f"{model.name} {model.stat().st_size}" if model else ""
        self._detector = _detector(model) if model else None
        self._seen_by = _digest(model) if model else ""
        self._folder = home() / "cache" / "focus"
        self._found: dict[tuple[Path, Crop], Crop] = {}

    def placed(self, path: Path, crop: Crop) -> Crop:
        """The same cut, with its window where it belongs."""
        if crop.over == (0, 0):
            return crop
        if (path, crop) not in self._found:
            key = hashlib.blake2b(f"1 {_digest(path)} {self._seen_by} {crop}".encode(), digest_size=20).hexdigest()
            kept = self._folder / key[:2] / f"{key}.json"
            place = files.read_json(kept)
            if place is None:
                place = self._look(path, crop)
                kept.parent.mkdir(parents=True, exist_ok=True)
                files.replace(kept, json.dumps(place))
            self._found[path, crop] = replace(crop, **place)
        return self._found[path, crop]

    def _look(self, path: Path, crop: Crop) -> dict[str, int]:
        place = Focus(read(path), self._detector)(crop.resized, (0.0, 0.0, *map(float, crop.resized)), crop.bucket)
        left, top = (min(max(0, math.floor(at + 0.5)), most) for at, most in zip(place, crop.over))
        return {"left": left, "top": top}


def _digest(path: Path) -> str:
    """Of a file's bytes. Raises PictureError."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "blake2b").hexdigest()
    except OSError as error:
        reason = f"it can't be read ({error.strerror or error})"
        raise PictureError(reason, "check the file and its permissions") from error


def _detector(model: Path) -> faces.Detector:
    try:
        return faces.Detector(model)
    except SettingsError as error:
        problem = "; ".join(error.problems.values())
        raise SettingsError({"dataset.crop": f"the face model {model} {problem}"}) from error
