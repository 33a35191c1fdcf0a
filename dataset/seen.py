"""What the trainer sees of a picture: its exact pixels, and its captions at the times when a run will show it.

Nothing here imitates the trainer. Crop, pixels, the order of an epoch and the words of a step are the functions that it
trains with (`buckets`, `turns`, `captions`), asked with the run's own seed: what is shown is what will be trained.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from PIL import Image
from pydantic import Field

from dataset import masks, tokens, turns
from dataset.buckets import Crop, fit, pixels
from dataset.captions import CaptionFinder
from dataset.holdout import held_out
from dataset.pictures import size_of
from dataset.scan import Dataset, Item
from dataset.settings import CaptionSettings, DatasetSettings, ValidationSettings
from dataset.turns import Pace, Turn
from dataset.variation import has_choice
from settings.errors import check
from settings.section import Section, section_type

ROOT = Path(__file__).resolve().parents[1]
TIMES = 10  # showings that are told


class Length(Section):
    """The part of a run's settings that says how long it is and in what order."""

    epochs: Annotated[int, Field(ge=1, le=100_000)] = 10
    max_steps: Annotated[int | None, Field(ge=1)] = None
    batch_size: Annotated[int, Field(ge=1, le=512)] = 1
    gradient_accumulation: Annotated[int, Field(ge=1, le=1024)] = 1
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42


class Processes(Section):
    """The part that says how many computers of batches there are."""

    processes: Annotated[int, Field(ge=1, le=64)] = 1


class Base(Section):
    """The part that says whose tokenizer reads the captions."""

    base: str = "stable-diffusion-v1-5/stable-diffusion-v1-5"


class Showing(Section):
    """Of a run's settings what decides how it sees a picture. Names, bounds and defaults are those of the trainer."""

    model: Base = Base()
    dataset: DatasetSettings = DatasetSettings()
    captions: CaptionSettings = CaptionSettings()
    validation: ValidationSettings = ValidationSettings()
    run: Length = Length()
    accelerate: Processes = Processes()


@dataclass(frozen=True)
class Vocabulary:
    """How captions become tokens. `ranks` None: CLIP's own list. `limit`: tokens that the text encoder sees."""

    ranks: tokens.Ranks | None = None
    limit: int = tokens.LIMIT

    @property
    def exact(self) -> bool:
        return self.ranks is not None or tokens.exact()


@dataclass(frozen=True)
class Spelling:
    """A caption as the text encoder reads it. `borders`: (start, end) of each token in `text`, in characters; from the
    token number `limit` on nothing is seen."""

    text: str
    borders: list[tuple[int, int]]
    limit: int

    @property
    def cut(self) -> int | None:
        """Where in the text the unseen part begins; None where all is seen."""
        return self.borders[self.limit][0] if len(self.borders) > self.limit else None


@dataclass(frozen=True)
class Seen:
    """One picture in a run. Sizes are (width, height) in pixels."""

    path: Path
    size: tuple[int, int]  # of the upright picture
    crop: Crop
    caption: str
    item: Item | None  # None: the run does not show it; `reason` says why
    reason: str
    times: int  # how often the whole run shows it
    steps: int  # how many steps that run has
    turns: list[Turn]  # the first of these times
    mask: Path | None

    @property
    def box(self) -> tuple[float, float, float, float]:
        """What is kept of the picture: left, top, right, bottom, in its own pixels."""
        x, y = self.size[0] / self.crop.resized[0], self.size[1] / self.crop.resized[1]
        left, top, (width, height) = self.crop.left, self.crop.top, self.crop.bucket
        return (left * x, top * y, min(self.size[0], (left + width) * x), min(self.size[1], (top + height) * y))

    @property
    def scale(self) -> float:
        """Above 1 where it is enlarged."""
        return math.sqrt(math.prod(self.crop.resized) / math.prod(self.size))


def picked(values: dict[str, Any], section: type[Section] = Showing) -> dict[str, Any]:
    """Of a run's settings, nested, those that are asked for here."""
    found = {}
    for name, field in section.model_fields.items():
        inner = section_type(field.annotation)
        if inner and issubclass(inner, (Length, Processes, Base)) and isinstance(values.get(name), dict):
            found[name] = picked(values[name], inner)
        elif name in values:
            found[name] = values[name]
    return found


def showing(values: dict[str, Any]) -> Showing:
    """Raises SettingsError."""
    return check(Showing, picked(values))


def seen(path: Path, settings: Showing, dataset: Dataset, times: int = TIMES) -> Seen:
    """How a run with these settings over this data set sees a picture, also if it isn't in it. Raises PictureError."""
    item = _found(path, dataset)
    if item is None:
        size, caption = size_of(path), CaptionFinder(path.parent, settings.dataset.caption_extension).find(path)
        left_out = (problem for problem in dataset.problems if problem.path == path and not problem.used)
        reason = next((problem.reason for problem in left_out), "it is in none of the folders")
        crop = fit(*size, settings.dataset)
        return Seen(path, size, crop, caption.text if caption else "", None, reason, 0, 0, [], masks.find(path))
    trained, held = held_out(settings.validation, dataset)
    if any(one.path == item.path for one in held):
        crop = fit(item.width, item.height, settings.dataset)
        reason = "it is held out for validation, and never trained on"
        return Seen(path, (item.width, item.height), crop, item.caption, item, reason, 0, 0, [], masks.find(path))
    number = trained.items.index(item)
    entries = turns.lay_out(settings.dataset, trained.items)
    place = next((index for index, entry in enumerate(entries) if entry.item == number), None)
    pace = Pace(settings.run.seed, settings.run.batch_size,
                settings.run.gradient_accumulation * settings.accelerate.processes)
    per_epoch = turns.steps_per_epoch(entries, pace)
    steps = settings.run.max_steps or settings.run.epochs * per_epoch
    first: list[Turn] = []
    if place is not None:
        first = list(islice(_turns(item, settings, turns.places(entries, pace, place, steps)), max(0, times)))
    shown = entries[place].repeats * steps / per_epoch if place is not None else 0
    reason = "" if place is not None else "there are more regularisation pictures than the run has use for"
    return Seen(path, (item.width, item.height), fit(item.width, item.height, settings.dataset), item.caption, item,
                reason, round(shown), steps, first, masks.find(path))


def _turns(item: Item, settings: Showing, places: Iterator[tuple[int, int, int]]) -> Iterator[Turn]:
    for epoch, step, place in places:
        flip, caption = turns.drawn(settings.run.seed, step, place, settings.dataset.flip, item.caption,
                                    settings.captions)
        yield Turn(epoch, step, place, flip, caption)


def _found(path: Path, dataset: Dataset) -> Item | None:
    """The picture in the data set, also where it was named by another way to the same file."""
    for item in dataset.items:
        if item.path == path:
            return item
    alike = (item for item in dataset.items if item.path.name == path.name)
    return next((item for item in alike if item.path.samefile(path)), None)


def vocabulary(base: str) -> Vocabulary:
    """The tokenizer of a base model, where it is a folder on this machine; else CLIP's, which they share."""
    typed = Path(base).expanduser()
    for place in (typed, ROOT / typed):
        if base and (found := _read(place / "tokenizer")):
            return found
    return Vocabulary()


def _read(folder: Path) -> Vocabulary | None:
    """A CLIP tokenizer in transformers' layout: tokenizer.json, or merges.txt."""
    try:
        longest = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8")).get("model_max_length")
        if (folder / "tokenizer.json").is_file():
            merges = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["merges"]
        else:
            merges = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()[1:]
        pairs = [pair.split() if isinstance(pair, str) else pair for pair in merges]
        ranks = tokens.ranks_of(pair for pair in pairs if len(pair) == 2)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # a single file, a hub's name, or no tokenizer of this kind: they all read with CLIP's
    limit = longest - 2 if isinstance(longest, int) and 2 < longest < 10_000 else tokens.LIMIT
    return Vocabulary(ranks, limit) if ranks else None


def spelled(caption: str, read: Vocabulary) -> Spelling:
    return Spelling(tokens.composed(caption), tokens.borders(caption, read.ranks), read.limit)


def png(array: np.ndarray) -> bytes:
    """Pixels [h, w, 3] as a file that keeps every one of them."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def crop_png(picture: Seen, flip: bool = False, mask: bool = False) -> bytes:
    """What the VAE gets (or the mask, cut alike), as a PNG. Raises PictureError."""
    path = picture.mask if mask and picture.mask else picture.path
    return png(pixels(path, picture.crop, flip))


def told(picture: Seen, settings: Showing) -> dict[str, Any]:
    """For JSON. Positions in texts count code points."""
    read = vocabulary(settings.model.base)
    return {
        "name": picture.path.name, "size": picture.size, "bucket": picture.crop.bucket,
        "resized": picture.crop.resized, "box": [round(side, 2) for side in picture.box],
        "loss": round(picture.crop.loss, 4), "scale": round(picture.scale, 4), "flips": settings.dataset.flip,
        "caption": _spelling(picture.caption, read), "limit": read.limit, "exact": read.exact,
        "undrawn": not settings.captions.wildcards and has_choice(picture.caption),
        "in_run": picture.item is not None and not picture.reason, "reason": picture.reason,
        "repeats": picture.item.repeats if picture.item else 0,
        "regularisation": bool(picture.item and picture.item.regularisation),
        "times": picture.times, "steps": picture.steps, "seed": settings.run.seed,
        "mask": picture.mask.name if picture.mask else None,
        "turns": [{"epoch": turn.epoch + 1, "step": turn.step + 1, "flip": turn.flip,
                   **_spelling(turn.caption, read)} for turn in picture.turns],
    }


def _spelling(caption: str, read: Vocabulary) -> dict[str, Any]:
    found = spelled(caption, read)
    return {"text": found.text, "borders": found.borders, "cut": found.cut}
