"""A captioner without a model, for tests of the run: it says a picture's colour, and fails as it is told to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from captioners import run
from captioners.base import Captioner, Picture, Progress, Said, Tag
from captioners.command import create
from captioners.config import Captioning, complete
from captioners.weights import Weights
from jobs.events import read_events
from jobs.folder import Job
from settings.errors import check
from settings.section import Section

COLOURS = {"red": (255, 0, 0), "green": (0, 160, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}


class FakeSettings(Section):
    """For tests."""

    prompt: str = ""
    """What it is asked."""


class Fake(Captioner):
    name = "fake"
    label = "Fake"
    says = "caption"
    settings = FakeSettings
    batch_size = 4

    # Of all instances, because the run makes them: tests look at these, and change what `say` does.
    batches: ClassVar[list[tuple[int, int]]] = []  # (pictures, attempt) of each call
    loads: ClassVar[list[str]] = []
    closed: ClassVar[list[str]] = []
    seen: ClassVar[list[Picture]] = []
    behave: ClassVar[Callable[[Sequence[Any], int], None]] = staticmethod(lambda batch, attempt: None)
    word: ClassVar[Callable[[str, int], str]] = staticmethod(lambda colour, attempt: f"all of it {colour}")

    @classmethod
    def weights(cls, settings: Section) -> Weights | None:
        return None

    def load(self, weights: Weights | None, progress: Progress) -> None:
        self.loads.append(self.name)
        self.notes.append("it is a fake")

    def prepare(self, picture: Picture) -> tuple[str, np.ndarray]:
        self.seen.append(picture)
        return picture.path.name, np.asarray(picture.image).reshape(-1, 3).mean(0)

    def say(self, batch: Sequence[Any], attempt: int = 0) -> list[Said]:
        self.batches.append((len(batch), attempt))
        type(self).behave(batch, attempt)
        return [self.of(nearest(mean), attempt) for _, mean in batch]

    def of(self, colour: str, attempt: int) -> Said:
        return Said(type(self).word(colour, attempt))

    def close(self) -> None:
        self.closed.append(self.name)


class FakeTagger(Fake):
    name = "fake_tagger"
    label = "Fake tagger"
    says = "tags"

    def of(self, colour: str, attempt: int) -> Said:
        return Said(f"{colour}, plain", (Tag(colour, 0.9), Tag("plain", 0.8), Tag("safe", 0.7, "rating")))


def nearest(mean: np.ndarray) -> str:
    return min(COLOURS, key=lambda name: float(np.abs(mean - np.array(COLOURS[name])).sum()))


def paint(folder: Path, colours: Sequence[str] = ("red", "green", "blue", "white", "red", "green")) -> Path:
    """A folder with a plain picture of each colour: 00_red.png, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, colour in enumerate(colours):
        Image.new("RGB", (16, 12), COLOURS[colour]).save(folder / f"{number:02d}_{colour}.png")
    return folder


class Runs:
    """Makes and works on jobs in this very process, with the fakes among the captioners."""

    def __init__(self, pictures: Path):
        self.pictures = pictures
        self.tree = complete()

    def config(self, **values: Any) -> Captioning:
        usual = {"captioners": ["fake"], "source": {"folders": [str(self.pictures)]}, "run": {"device": "cpu"}}
        return check(self.tree, usual | values)

    def job(self, **values: Any) -> Job:
        return create(self.config(**values))

    def run(self, job: Job | None = None, **values: Any) -> Job:
        job = job or self.job(**values)
        run.run(job.folder)
        return job

    def captions(self) -> dict[str, str]:
        """Every caption file's text, by name."""
        return {path.name: path.read_text(encoding="utf-8") for path in sorted(self.pictures.rglob("*.txt"))}


def events(job: Job, kind: str) -> list[dict[str, Any]]:
    return [event for event in read_events(job.events_path)[0] if event["kind"] == kind]
