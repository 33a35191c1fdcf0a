"""What a captioner is: it loads a model, prepares pictures one by one, and says what is on a few of them at once.

A new one is a new file in this folder. It sees no job and writes no file: `run.py` owns the loop, the batches, what is
done about too little memory, and the writing. Heavy imports stay inside methods, so that the window can list them all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from settings.section import Section

if TYPE_CHECKING:
    from PIL import Image

    from captioners.weights import Published, Weights

Progress = Callable[[str, int, int], None]  # (what is done, how much of it, of how much)


class CaptionerError(ValueError):
    """This captioner can't work like this. The message says what is wrong and what to do."""


@dataclass(frozen=True)
class Tag:
    name: str  # as the model's list has it: long_hair, >_<
    score: float  # probability, 0..1
    category: str = "general"  # general, character, rating, copyright, meta, ...


@dataclass(frozen=True)
class Said:
    """What a captioner says of one picture."""

    text: str  # for the caption: one line, cleaned; of a tagger the chosen tags, joined
    tags: tuple[Tag, ...] = ()  # of a tagger: the chosen tags, in the order of the text
    raw: str = ""  # the model's own answer, where the text is another


@dataclass(frozen=True)
class Picture:
    """A picture that is to be described."""

    path: Path
    image: Image.Image  # RGB, upright, transparency on white
    existing: str = ""  # the caption that it had before this run
    tags: str = ""  # what the taggers before this one in the same run said
    caption: str = ""  # and what the others before it said


@dataclass(frozen=True)
class Place:
    """Where and how a model computes."""

    device: str = "cpu"  # as torch names it: cpu, cuda, cuda:1, mps
    dtype: str = "float32"  # float32, bfloat16 or float16; never half precision on the CPU
    threads: int = 0  # 0: as many as there are cores
    seed: int = 0


class Captioner(ABC):
    """One kind of model. `load`, then any number of `prepare` (in threads) and `say` (in one), then `close`."""

    name: ClassVar[str]  # the file's name: flag, settings table, event
    label: ClassVar[str]  # for people
    order: ClassVar[int] = 100  # in lists
    says: ClassVar[Literal["tags", "caption"]]  # which of the template's {tags} and {caption} it fills
    settings: ClassVar[type[Section]]  # its options; the docstring of the section tells what it is good for
    published: ClassVar[dict[str, Published]] = {}  # models known to work, by hub name: the choices of `model`
    toy: ClassVar[str] = ""  # its toy model's folder in toy/models, where that has another name
    packages: ClassVar[tuple[str, ...]] = ()  # imported by it and not among our own requirements
    batch_size: ClassVar[int] = 8  # a good one for a GPU with 8 GB

    def __init__(self, settings: Section, place: Place):
        self.options = settings
        self.place = place
        self.notes: list[str] = []  # for the person, said once it is loaded: "fell back to the CPU", ...

    @classmethod
    def weights(cls, settings: Section) -> Weights | None:
        """Which model these settings mean and where it is, without loading or asking anybody; None: there is none."""
        from captioners.weights import find

        return find(settings.model, cls.published)

    @classmethod
    def further(cls, settings: Section) -> list[Weights]:
        """Other models that these settings need beside it. They are on this machine, too, when `load` is called."""
        return []

    @abstractmethod
    def load(self, weights: Weights | None, progress: Progress) -> None:
        """Read the model. `weights` is on this machine by now. Raises CaptionerError."""

    def prepare(self, picture: Picture) -> Any:
        """What `say` needs of a picture; runs in threads, while the model is busy. Deterministic."""
        return picture

    @abstractmethod
    def say(self, batch: Sequence[Any], attempt: int = 0) -> list[Said]:
        """What is on the prepared pictures, in their order. `attempt` counts the tries for these pictures: a model
        that draws at random draws otherwise each time, and the same for the same attempt."""

    def close(self) -> None:  # noqa: B027  most have nothing to add: their attributes go with them
        """Let go of what is not freed by itself."""
