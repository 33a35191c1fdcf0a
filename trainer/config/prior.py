"""Prior preservation: what keeps the rest of the base model as it is while a subject is learnt."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from settings.section import Section, Ui

if TYPE_CHECKING:
    from trainer.config import TrainSettings

KINDS = {
    "off": "off",
    "images": "pictures of the class",
    "model": "the model's own answer",
    "class_word": "the model's own answer to each caption with the class word",
}
"""What the choices of `prior.kind` are called on the form."""


def whole(words: Collection[str]) -> re.Pattern[str]:
    """Finds any of them in a caption, not as a part of another word; upper and lower case are one to a CLIP."""
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first)) or '(?!)'})(?!\w)", re.IGNORECASE)


class PriorSettings(Section):
    """Keeps what the base model knows: without it, every dog slowly turns into yours."""

    kind: Annotated[Literal["off", "images", "model", "class_word"], Ui("Preserve with")] = "off"
    """Pictures of the class are drawn by the base model before the first step and shown as often as your pictures. The
    model's own answer needs none: with a prompt of the class, or with each caption in which the class word stands for
    the trigger, the LoRA must leave the prediction as it was; a step then takes a good two times as long. Off: only
    folders that are marked as regularisation preserve something."""

    weight: Annotated[float, Field(ge=0, le=10), Ui("Preservation weight", kohya="prior_loss_weight")] = 1.0
    """How much that counts beside your pictures (arXiv 2208.12242); for regularisation folders too. 0: not at all."""

    class_prompt: Annotated[str, Ui(when=".kind=images|model")] = ""
    """What the class is called, without your trigger: a photo of a dog."""

    class_word: Annotated[str, Ui(when=".kind=class_word")] = ""
    """What stands in the captions for your trigger: dog."""

    trigger: Annotated[str, Ui("Trigger in the captions", when=".kind=class_word")] = ""
    """The words that it stands for, several separated by commas. Empty: the trigger words of the LoRA."""

    images: Annotated[int, Field(ge=1, le=100_000), Ui("Class images", when=".kind=images")] = 100
    """How many are drawn, at the training resolution. They are kept in the workspace: a later run with the same model,
    prompt and size finds them, and draws only what it has more."""

    negative_prompt: Annotated[str, Ui("Negative prompt of class images", level="expert", when=".kind=images")] = ""
    """What they should not show."""

    steps: Annotated[
        int | None, Field(ge=1, le=200), Ui("Sampling steps of class images", level="expert", when=".kind=images")
    ] = None
    """Denoising steps of each. Empty: as many as are usual for the family."""

    guidance: Annotated[
        float | None, Field(ge=1, le=30), Ui("Guidance of class images", level="expert", when=".kind=images")
    ] = None
    """How closely they follow the prompt. Empty: as is usual for the family."""

    sampler: Annotated[
        Literal["ddim", "euler", "euler_a", "dpm++_2m"],
        Ui("Sampler of class images", level="expert", needs="ddpm", when=".kind=images"),
    ] = "ddim"
    """The method that draws them."""

    seed: Annotated[int, Field(ge=0, lt=2**32), Ui("Seed of class images", level="expert", when=".kind=images")] = 1
    """Seed of the first; the second has the next, and so on."""

    @property
    def draws(self) -> bool:
        """Whether class images are a part of the run."""
        return self.kind == "images" and self.weight > 0

    @property
    def asks(self) -> bool:
        """Whether the base model is asked at each step."""
        return self.kind in ("model", "class_word") and self.weight > 0

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if self.kind in ("images", "model") and not self.class_prompt.strip():
            yield "class_prompt", "say what the class is called, such as: a photo of a dog"
        if self.kind == "class_word" and not self.class_word.strip():
            yield "class_word", "say what stands for the trigger, such as: dog"

    def warnings(self) -> Iterator[tuple[str, str]]:
        if self.kind != "off" and not self.weight:
            yield "weight", "nothing is preserved with a weight of 0"


def conflicts(config: TrainSettings) -> Iterator[tuple[str, str]]:
    """With other sections."""
    if config.prior.kind == "class_word" and not config.triggers:
        yield "prior.trigger", "say which words of the captions the class word stands for"
    if config.prior.asks and config.all_weights:
        said = "where all weights learn, none is left to say what the base model said: choose images, or off"
        yield "prior.kind", said


def warnings(config: TrainSettings) -> Iterator[tuple[str, str]]:
    prior = config.prior
    if prior.kind in ("images", "model") and whole(config.triggers).search(prior.class_prompt):
        yield "prior.class_prompt", "has your trigger in it, and would keep it as it is: leave it out"
