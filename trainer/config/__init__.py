"""Every training option, once: the form, the flags, the TOML files, the presets and docs/options.md are made from
these sections. Those about pictures and captions are in dataset/settings.py."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, ClassVar

from dataset.settings import CaptionSettings, DatasetSettings, ValidationSettings
from dataset.variation import varies
from settings.section import Section, Ui
from trainer.config import full, kinds, layers, prior, words
from trainer.config.full import FullSettings
from trainer.config.learning import ADAMS, OptimizerSettings, RunSettings, ScheduleSettings
from trainer.config.lora import BlockLora, DenoiserLora, LoraSettings, PartLora, TextEncoderLora
from trainer.config.machine import AccelerateSettings, MemorySettings
from trainer.config.model import ModelSettings
from trainer.config.noise import NoiseSettings
from trainer.config.prior import PriorSettings
from trainer.config.results import MetadataSettings, PreviewSettings, SaveSettings
from trainer.config.words import NewWord, WordSettings
from trainer.families import families

__all__ = [
    "ADAMS",
    "AccelerateSettings",
    "BlockLora",
    "CaptionSettings",
    "DatasetSettings",
    "DenoiserLora",
    "FullSettings",
    "LoraSettings",
    "MemorySettings",
    "MetadataSettings",
    "ModelSettings",
    "NAME",
    "NewWord",
    "NoiseSettings",
    "OptimizerSettings",
    "PartLora",
    "PreviewSettings",
    "PriorSettings",
    "RunSettings",
    "SaveSettings",
    "ScheduleSettings",
    "TextEncoderLora",
    "TrainSettings",
    "ValidationSettings",
    "WordSettings",
]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class TrainSettings(Section):
    """One training run."""

    version: ClassVar[int] = 1
    renames: ClassVar[dict[str, str]] = {"noise.prior_loss_weight": "prior.weight"}

    name: Annotated[str, Ui("Name of the LoRA", level="quick", kohya="output_name")] = "my_lora"
    """Letters, digits, - _ and dots. The file will be NAME.safetensors."""

    model: ModelSettings = ModelSettings()
    dataset: DatasetSettings = DatasetSettings()
    captions: CaptionSettings = CaptionSettings()
    validation: ValidationSettings = ValidationSettings()
    lora: LoraSettings = LoraSettings()
    full: Annotated[FullSettings, Ui(needs="full")] = FullSettings()
    words: WordSettings = WordSettings()
    run: RunSettings = RunSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    noise: NoiseSettings = NoiseSettings()
    prior: PriorSettings = PriorSettings()
    memory: MemorySettings = MemorySettings()
    accelerate: AccelerateSettings = AccelerateSettings()
    preview: PreviewSettings = PreviewSettings()
    save: SaveSettings = SaveSettings()
    metadata: MetadataSettings = MetadataSettings()

    @property
    def text_encoders(self) -> dict[str, TextEncoderLora]:
        """Those that can learn in this family, by its names for them. What is set for others has no effect."""
        family = families().get(self.model.family)
        return {name: self.lora.text_encoders[name] for name in (family.text_encoders if family else ())}

    @property
    def adapters_learn(self) -> bool:
        """Whether a LoRA comes of it; new words alone make none."""
        return self.lora.denoiser.train or any(text.train for text in self.text_encoders.values())

    @property
    def all_weights(self) -> bool:
        """Whether the denoiser itself learns, in a family where that can be."""
        family = families().get(self.model.family)
        return self.full.train and family is not None and "full" in family.traits

    @property
    def triggers(self) -> list[str]:
        """The words that call up what is learnt, as far as prior preservation must know them."""
        said = self.prior.trigger or self.metadata.trigger
        return [word for part in said.split(",") if (word := part.strip())]

    @property
    def learning_encoders(self) -> set[str]:
        """The text encoders in which something learns: a LoRA, or new words."""
        return {name for name, text in self.text_encoders.items() if text.train or self.words.new}

    @property
    def captions_can_be_cached(self) -> bool:
        """Captions that vary, a learning text encoder and new words give another encoding each step."""
        varied = varies(self.captions) and not self.captions.variants
        learnt = any(text.train for text in self.text_encoders.values())
        return self.memory.cache_captions and not varied and not learnt and not self.words.new

    @property
    def latents_can_be_cached(self) -> bool:
        """Pictures that are cut or coloured at random have other latents each time."""
        return self.memory.cache_latents and (not self.dataset.looks_vary or bool(self.dataset.variants))

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if not NAME.fullmatch(self.name):
            yield "name", "use letters, digits, - _ and dots, starting with a letter or digit, at most 64"
        if self.noise.zero_terminal_snr and self.model.prediction_type == "epsilon":
            yield "noise.zero_terminal_snr", "where all is noise, predicting it teaches nothing: only for v-prediction"
        if self.save.keep_best and not self.validation.share:
            yield "save.keep_best", "without pictures that are held out none is the best: set validation.share to 0.1"
        if not self.model.base:
            yield "model.base", "choose a base model: a .safetensors file, a diffusers folder or a hub name"
        if not (self.adapters_learn or self.words.new or self.all_weights):
            others = " or the text encoder, or give new words to learn" if self.text_encoders else ""
            yield "lora.denoiser.train", f"nothing would be trained: switch on the denoiser{others}"
        yield from self._one_rate()
        yield from layers.conflicts(self)
        yield from full.conflicts(self)
        yield from prior.conflicts(self)
        yield from kinds.conflicts(self)
        yield from words.conflicts(self)

    def _one_rate(self) -> Iterator[tuple[str, str]]:
        unet = self.lora.denoiser
        for part, lora in {"denoiser": unet, **self.text_encoders}.items():
            if self.optimizer.finds_its_rate and lora.train and (lora.plus_ratio or 1) != 1:
                said = f"{self.optimizer.name} finds one step size for everything: leave it empty"
                yield f"lora.{part}.plus_ratio", said
        for name, text in self.text_encoders.items():
            differ = unet.train and text.train and unet.learning_rate != text.learning_rate
            if self.optimizer.finds_its_rate and differ:
                same = f"set the learning rate of the denoiser ({unet.learning_rate:g}) here too"
                yield f"lora.{name}.learning_rate", f"{self.optimizer.name} finds one step size for everything: {same}"

    def warnings(self) -> Iterator[tuple[str, str]]:
        yield from layers.warnings(self)
        yield from full.warnings(self)
        yield from prior.warnings(self)
        yield from kinds.warnings(self)
        yield from words.warnings(self)
        for part, lora in {"denoiser": self.lora.denoiser, **self.text_encoders}.items():
            if self.optimizer.finds_its_rate and lora.train and lora.learning_rate < 0.1:
                said = f"{self.optimizer.name} multiplies its own step size by this: leave it at 1"
                yield f"lora.{part}.learning_rate", said
        family = families().get(self.model.family)
        if family and self.memory.text_precision != "16bit" and self.learning_encoders >= set(family.footprint.readers):
            yield "memory.text_precision", "has no effect: something learns in every text encoder, which keeps it whole"
        if self.optimizer.name == "schedulefree_adamw" and self.schedule.name != "constant":
            yield "schedule.name", "the schedule-free optimiser needs none, and learns less with one: choose constant"
        if self.schedule.name == "constant" and self.schedule.minimum:
            yield "schedule.minimum", "has no effect with a constant rate"
