"""A small tree of settings that has one of everything; the tests need no trainer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from settings.section import Section, Ui


class Folder(Section):
    """A folder of pictures."""

    path: Path = Path("pictures")
    """Where they are."""

    repeats: Annotated[int | None, Field(ge=1)] = None
    """How often each is shown. Empty: taken from the folder's name."""

    @model_validator(mode="before")
    @classmethod
    def from_path(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, (str, Path)) else value

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if self.path == Path("forbidden"):
            yield "path", "choose another folder"


class Network(Section):
    """What is trained."""

    rank: Annotated[int, Field(ge=1, le=512), Ui(step=4, kohya="network_dim lora_rank")] = 16
    """Size of the update."""

    alpha: Annotated[float, Field(gt=0)] = 16
    """Scaled by alpha / rank, 100% at alpha = rank."""

    def warnings(self) -> Iterator[tuple[str, str]]:
        if self.alpha > 2 * self.rank:
            yield "alpha", "is far above the rank"


class Noise(Section):
    """How much noise."""

    gamma: Annotated[float | None, Field(gt=0, le=20), Ui("Min-SNR gamma", needs="ddpm")] = 5
    """Empty: off."""

    offset: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Shifts the mean."""

    steps: Annotated[int | Literal["auto"], Field()] = "auto"
    """How many."""


class Top(Section):
    """One run."""

    version: ClassVar[int] = 3
    renames: ClassVar[dict[str, str]] = {"unet.dim": "denoiser.rank", "unet": "denoiser", "title": "name"}

    name: str = ""
    """What it is called."""

    base: Path | None = None
    """The base model."""

    learning_rate: Annotated[float, Field(gt=0, le=10)] = 1e-4
    """Step size."""

    flip: bool = False
    """Mirror."""

    precision: Literal["bf16", "fp16", "no"] = "bf16"
    """Number format."""

    size: Literal[256, 512] = 512
    """Pixels."""

    prompts: Annotated[list[str], Field(max_length=4), Ui(kind="text")] = []
    """One a line."""

    devices: list[int] = []
    """Their numbers."""

    folders: list[Folder] = []
    """Where the pictures are."""

    denoiser: Network = Network()
    text_encoder: Network = Network(rank=8, alpha=8)
    noise: Noise = Noise()

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if self.flip and self.precision == "no":
            yield "flip", "turn this off"
