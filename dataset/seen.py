"""What the trainer sees of a picture: its exact pixels, and its captions at the times when a run will show it.

Nothing here imitates the trainer. Crop, pixels, the order of an epoch, the look and the words of a step are the
functions that it trains with (`buckets`, `looks`, `turns`, `captions`), asked with the run's own seed: what is shown is
what will be trained.
"""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from PIL import Image
from pydantic import Field, model_validator

from dataset import masks, turns
from dataset.buckets import Crop, fit, fits
from dataset.captions import CaptionFinder
from dataset.holdout import held_out
from dataset.looks import Look, Looks, pixels
from dataset.new_words import NewWords
from dataset.pictures import size_of
from dataset.scan import Dataset, Item
from dataset.settings import CaptionSettings, DatasetSettings, ValidationSettings
from dataset.spelling import Vocabulary, reads, spelled
from dataset.turns import Entry, Pace
from dataset.variation import has_choice
from settings.errors import check
from settings.section import Section, item_section, section_type

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


class Taught(Section):
    """The part of a new word that says how many tokens it is."""

    word: str = ""
    vectors: Annotated[int, Field(ge=1, le=64)] = 1

    @model_validator(mode="before")
    @classmethod
    def from_word(cls, value: Any) -> Any:
        """A bare word will do, as for the trainer."""
        return {"word": value} if isinstance(value, str) else value


class Words(Section):
    """The part that says which words are new."""

    new: list[Taught] = []

    @property
    def taught(self) -> NewWords:
        return NewWords(tuple((one.word, one.vectors) for one in self.new if one.word))


class Showing(Section):
    """Of a run's settings what decides how it sees a picture. Names, bounds and defaults are those of the trainer."""

    model: Base = Base()
    dataset: DatasetSettings = DatasetSettings()
    captions: CaptionSettings = CaptionSettings()
    words: Words = Words()
    validation: ValidationSettings = ValidationSettings()
    run: Length = Length()
    accelerate: Processes = Processes()


@dataclass(frozen=True)
class Turn:
    """One showing of a picture. `epoch` and `step` count from 0; `place` counts through the whole step, over its
    batches and processes."""

    epoch: int
    step: int
    place: int
    look: Look
    caption: str


@dataclass(frozen=True)
class Seen:
    """One picture in a run. Sizes are (width, height) in pixels."""

    path: Path
    size: tuple[int, int]  # of the upright picture
    crop: Crop  # at the main resolution, without anything that is left to chance
    sizes: list[tuple[int, int]]  # all that it is trained at
    caption: str
    item: Item | None  # None: the run does not show it; `reason` says why
    reason: str
    times: int  # how often the whole run shows it
    steps: int  # how many steps that run has
    turns: list[Turn]  # the first of these times
    mask: Path | None

    def look(self, turn: int | None = None) -> Look:
        """That of one of its showings, by its number in `turns`; else of none in particular."""
        return Look(self.crop) if turn is None else self.turns[turn].look

    def box(self, crop: Crop) -> tuple[float, float, float, float]:
        """What a crop keeps of the picture: left, top, right, bottom, in its own pixels."""
        x, y = self.size[0] / crop.resized[0], self.size[1] / crop.resized[1]
        left, top, (width, height) = crop.left, crop.top, crop.bucket
        return (left * x, top * y, min(self.size[0], (left + width) * x), min(self.size[1], (top + height) * y))

    def scale(self, crop: Crop) -> float:
        """Above 1 where it is enlarged."""
        return math.sqrt(math.prod(crop.resized) / math.prod(self.size))


def picked(values: dict[str, Any], section: type[Section] = Showing) -> dict[str, Any]:
    """Of a run's settings, nested, those that are asked for here."""
    found = {}
    for name, field in section.model_fields.items():
        inner = section_type(field.annotation)
        value = values.get(name)
        if inner and issubclass(inner, (Length, Processes, Base, Words)) and isinstance(value, dict):
            found[name] = picked(value, inner)
        elif item_section(field.annotation) is Taught and isinstance(value, list):
            found[name] = [picked(row, Taught) if isinstance(row, dict) else row for row in value]
        elif name in values:
            found[name] = value
    return found


def showing(values: dict[str, Any]) -> Showing:
    """Raises SettingsError."""
    return check(Showing, picked(values))


def seen(path: Path, settings: Showing, dataset: Dataset, times: int = TIMES) -> Seen:
    """How a run with these settings over this data set sees a picture, also if it isn't in it. Raises PictureError."""
    item = _found(path, dataset)
    if item is None:
        caption = CaptionFinder(path.parent, settings.dataset.caption_extension).find(path)
        left_out = (problem for problem in dataset.problems if problem.path == path and not problem.used)
        reason = next((problem.reason for problem in left_out), "it is in none of the folders")
        return _still(path, settings, size=size_of(path), caption=caption.text if caption else "", reason=reason)
    about = {"size": (item.width, item.height), "caption": item.caption, "item": item}
    trained, held = held_out(settings.validation, dataset)
    if any(one.path == item.path for one in held):
        return _still(path, settings, **about, reason="it is held out for validation, and never trained on")
    found = _still(path, settings, **about, reason="there are more regularisation pictures than the run has use for")
    number = trained.items.index(item)
    entries = turns.lay_out(settings.dataset, trained.items)
    mine = [index for index, entry in enumerate(entries) if entry.item == number]
    pace = Pace(settings.run.seed, settings.run.batch_size,
                settings.run.gradient_accumulation * settings.accelerate.processes)
    per_epoch = turns.steps_per_epoch(entries, pace)
    steps = settings.run.max_steps or settings.run.epochs * per_epoch
    if not mine:
        return replace(found, steps=steps)
    first = list(islice(_turns(item, settings, entries, turns.places(entries, pace, mine, steps)), max(0, times)))
    shown = sum(entries[index].repeats for index in mine) * steps / per_epoch
    return replace(found, reason="", times=round(shown), steps=steps, turns=first)


def _still(path: Path, settings: Showing, size: tuple[int, int], caption: str, reason: str,
           item: Item | None = None) -> Seen:
    """A picture that no run shows."""
    crop = Looks(settings.run.seed, settings.dataset).still(path, fit(*size, settings.dataset)).crop
    sizes = [one.bucket for one in fits(*size, settings.dataset)]
    return Seen(path, size, crop, sizes, caption, item, reason, 0, 0, [], masks.find(path))


def _turns(item: Item, settings: Showing, entries: list[Entry],
           places: Iterator[tuple[int, int, int, int]]) -> Iterator[Turn]:
    seed, looks = settings.run.seed, Looks(settings.run.seed, settings.dataset)
    for epoch, step, place, number in places:
        flip, caption = turns.drawn(seed, step, place, settings.dataset.flip, item.caption,
                                    turns.spoken(item, settings.captions))
        look = looks.drawn(item.path, entries[number].crop, flip, (step, place))
        yield Turn(epoch, step, place, look, caption)


def _found(path: Path, dataset: Dataset) -> Item | None:
    """The picture in the data set, also where it was named by another way to the same file."""
    for item in dataset.items:
        if item.path == path:
            return item
    alike = (item for item in dataset.items if item.path.name == path.name)
    return next((item for item in alike if item.path.samefile(path)), None)


def png(array: np.ndarray) -> bytes:
    """Pixels [h, w, 3] as a file that keeps every one of them."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def crop_png(picture: Seen, look: Look, mask: bool = False) -> bytes:
    """What the VAE gets in this look (or the mask, cut alike), as a PNG. Raises PictureError."""
    if mask and picture.mask:
        return png(pixels(picture.mask, replace(look, colour=None)))
    return png(pixels(picture.path, look))


def told(picture: Seen, settings: Showing) -> dict[str, Any]:
    """For JSON. Positions in texts count code points."""
    read = reads(settings.model.base, settings.captions, settings.words.taught)
    return {
        "name": picture.path.name, "size": picture.size, "sizes": picture.sizes, **_cut(picture, picture.crop),
        "flips": settings.dataset.flip, "crop": settings.dataset.crop, "jitter": settings.dataset.colour_jitter,
        "caption": _spelling(picture.caption, read), "limit": read.limit, "exact": read.exact,
        "undrawn": not settings.captions.wildcards and has_choice(picture.caption),
        "in_run": picture.item is not None and not picture.reason, "reason": picture.reason,
        "repeats": picture.item.repeats if picture.item else 0,
        "regularisation": bool(picture.item and picture.item.regularisation),
        "times": picture.times, "steps": picture.steps, "seed": settings.run.seed,
        "mask": picture.mask.name if picture.mask else None,
        "masked": settings.dataset.masked_loss in ("files", "either"),
        "turns": [{"epoch": turn.epoch + 1, "step": turn.step + 1, "flip": turn.look.flip,
                   "colour": coloured(turn.look), **_cut(picture, turn.look.crop),
                   **_spelling(turn.caption, read)} for turn in picture.turns],
    }


def _cut(picture: Seen, crop: Crop) -> dict[str, Any]:
    return {"bucket": crop.bucket, "resized": crop.resized, "box": [round(side, 2) for side in picture.box(crop)],
            "loss": round(crop.loss, 4), "scale": round(picture.scale(crop), 4)}


def coloured(look: Look) -> str:
    """In words; "" where the colours are the picture's own."""
    if look.colour is None:
        return ""
    hue, *others = dataclasses.astuple(look.colour)
    changes = (f"{name} {100 * (factor - 1):+.0f} %"
               for name, factor in zip(("saturation", "brightness", "contrast"), others))
    return f"hue {360 * hue:+.0f}°, {', '.join(changes)}"


def _spelling(caption: str, read: Vocabulary) -> dict[str, Any]:
    found = spelled(caption, read)
    return {"text": found.text, "borders": found.borders, "cut": found.cut}
