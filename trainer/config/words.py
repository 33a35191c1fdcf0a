"""New words that the text encoders learn to read: textual inversion alone, pivotal tuning together with a LoRA."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, model_validator

from dataset import new_words
from settings.section import Section, Ui

if TYPE_CHECKING:
    from trainer.config import TrainSettings

WORD = re.compile(r"<?\w[\w-]{0,39}>?")


class NewWord(Section):
    """A word whose meaning is learnt: some vectors where other words have those that the base model came with."""

    word: Annotated[str, Ui("Word", level="quick", kohya="token_string")] = ""
    """As it stands in captions and prompts, for example sks or <my-dog>. There it means only what is learnt, even where
    the base model knows such a word. Large and small letters are the same."""

    initialiser: Annotated[str, Ui("Starts as", kohya="init_word")] = ""
    """Words to start from that say roughly what it is, such as: dog. Empty: from what the base model makes of the word
    itself."""

    vectors: Annotated[int, Field(ge=1, le=64), Ui("Vectors", kohya="num_vectors_per_token")] = 1
    """How many tokens of a prompt it takes, and how much it can hold. 1 to 8 is usual."""

    learning_rate: Annotated[float, Field(gt=0, le=10), Ui("Learning rate", kohya="learning_rate")] = 5e-4
    """Size of a step. Words take larger ones than a LoRA: 1e-4 to 5e-3."""

    start_from: Annotated[str, Ui("Start from", level="expert", kind="file", kohya="weights")] = ""
    """An embedding file (.safetensors) of this kind of model to go on from, with as many vectors. Empty: from the
    initialiser."""

    @model_validator(mode="before")
    @classmethod
    def from_word(cls, value: Any) -> Any:
        """A bare word will do: `--words.new sks`, or a plain list in a TOML file."""
        return {"word": value} if isinstance(value, str) else value

    @property
    def pattern(self) -> str:
        """Where it stands in a caption, as a regular expression."""
        return new_words.pattern(self.word)

    @property
    def bare(self) -> str:
        """Without the pointed brackets, as it stands in names of files; no two words have the same."""
        return self.word.strip("<>").lower()

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if not WORD.fullmatch(self.word):
            said = f"; got {self.word}" if self.word else ""
            yield "word", f"write one word of letters, digits, - and _, in < > if you like, at most 40{said}"
        elif self.bare.endswith("-ema"):
            yield "word", "the moving averages of words are called so: choose another ending"


class WordSettings(Section):
    """Words that the model does not know yet, learnt as vectors of their own while it stays as it is. With the
    denoiser's LoRA switched on this is pivotal tuning; with nothing else on, plain textual inversion, of a few
    kilobytes."""

    new: Annotated[list[NewWord], Ui("New words", needs="text_encoder")] = []
    """Each is written to a file of its own, which A1111, ComfyUI and diffusers read. Captions have to contain it."""

    stop_at: Annotated[
        float, Field(gt=0, le=1), Ui("Learn until", step=0.05, level="expert", when="words.new", needs="text_encoder")
    ] = 1.0
    """Share of the steps after which the words stay as they are, while the LoRA learns on: 0.5 is usual for pivotal
    tuning. 1: to the end."""

    keep_norm: Annotated[
        bool, Ui("Keep a usual length", level="expert", when="words.new", needs="text_encoder")
    ] = False
    """After each step every vector is brought to the length that the model's own words have (their median): only its
    direction is learnt. Against words that grow until they drown the rest of a prompt."""

    bundle: Annotated[
        bool, Ui("Also in one file with the LoRA", level="expert", when="words.new", needs="text_encoder")
    ] = False
    """Beside the finished LoRA NAME-bundled.safetensors, which holds the words too, for A1111, Forge and OneTrainer."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        count = Counter(one.bare for one in self.new)
        for place, one in enumerate(self.new):
            if count[one.bare] > 1 and one.word:
                yield f"new.{place}.word", f"there are two of {one.bare}: leave out one of them"

    def warnings(self) -> Iterator[tuple[str, str]]:
        changed = {"stop_at": self.stop_at < 1, "keep_norm": self.keep_norm, "bundle": self.bundle}
        yield from ((name, "has no effect without new words") for name, on in changed.items() if on and not self.new)


def conflicts(config: TrainSettings) -> Iterator[tuple[str, str]]:
    """With other sections."""
    new, optimizer = config.words.new, config.optimizer
    if new and config.all_weights:
        yield "words.new", "words are learnt beside a LoRA, not beside all weights: leave out one or the other"
    elif new and config.words.stop_at < 1 and not config.adapters_learn:
        yield "words.stop_at", "only the words learn, so the rest of the steps would teach nothing: set it to 1"
    if new and config.words.keep_norm and optimizer.name == "schedulefree_adamw":
        yield "words.keep_norm", "this optimiser saves other weights than it trains: choose another, or switch it off"
    parts = [part for part in (config.lora.denoiser, *config.text_encoders.values()) if part.train]
    for place, word in enumerate(new):
        if optimizer.finds_its_rate and word.learning_rate != (rate := [*parts, *new][0].learning_rate):
            said = f"{optimizer.name} finds one step size for everything: set {rate:g} here too"
            yield f"words.new.{place}.learning_rate", said


def warnings(config: TrainSettings) -> Iterator[tuple[str, str]]:
    """With other sections."""
    if config.words.new and config.memory.cache_captions:
        yield "memory.cache_captions", "has no effect while new words learn: captions are encoded in every step"
    if config.words.new and not config.adapters_learn and config.prior.kind != "off":
        yield "prior.kind", "has no effect while words alone learn: nothing else of the model changes"
    if config.words.new and config.words.bundle and not config.adapters_learn:
        yield "words.bundle", "has no effect while words alone learn: there is no LoRA to put them into"
