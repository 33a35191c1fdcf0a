"""How much memory a run takes at its most, part by part: arithmetic on the figures that each family carries, so that
the plan can say it before anything is loaded. `benchmarks/memory.py` holds it against measured steps.

A run has four moments that may be the most: encoding pictures, encoding captions, a step, and drawing samples, for
which the VAE is brought back onto the device, and the text encoders where the prompts were not encoded beforehand.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from settings.errors import SettingsError
from trainer.base_model.models import fitting
from trainer.config.kinds import numbers
from trainer.families import families
from trainer.lora.layers import known
from trainer.lora.sizes import sizes
from trainer.optim import state_of

if TYPE_CHECKING:
    from trainer.config import TextEncoderLora, TrainSettings
    from trainer.families.base import Footprint

VAE = 0.335  # GB in float32, of the one that all these families share in shape
ENCODE, DECODE = 2.55, 3.07  # GB for each million pixels on their way through it
READING = 0.2  # GB for each GB of a text encoder that learns, and caption
READERS_LAYER = (1024, 1024)  # a usual one
READERS_LEARN = 0.6  # millions of weights at rank 1 for each GB of a CLIP
BITS = {"8bit": 8.1, "4bit": 4.5}  # a number, with its share of the scales
FULLEST = "all"
WIDE = 1.7  # activations in float32 against those in 16 bit, of which a part is in float32 already
AROUND = 0.6  # GB of a graphics card for its own programs; of a processor, for Python and torch


@dataclass(frozen=True)
class Moment:
    """What one moment of a run holds: GB by part."""

    name: str
    parts: dict[str, float]

    @property
    def total(self) -> float:
        return sum(self.parts.values())

    @property
    def sentence(self) -> str:
        """Largest parts first; what is hardly there is not named."""
        named = sorted(((gb, part) for part, gb in self.parts.items() if gb >= 0.05), reverse=True)
        return f"about {self.total:.1f} GB while {self.name} ({', '.join(f'{part} {gb:.1f}' for gb, part in named)})"


def peak(config: TrainSettings) -> Moment | None:
    """The moment that takes most; None for a model whose size is not known."""
    found = moments(config)
    return max(found.values(), key=lambda moment: moment.total) if found else None


def moments(config: TrainSettings) -> dict[str, Moment]:
    """"encoding", "reading", "class images", "step", "samples", as far as they come; nothing for an unknown model."""
    shape = shape_of(config)
    if shape is None:
        return {}
    learnt = adapters(config, shape)
    found = {"step": step(config, shape, learnt), "encoding": encoding(config, shape)}
    if config.captions_can_be_cached:
        found["reading"] = reading(config, shape)
    if config.prior.draws:
        found["class images"] = class_images(config, shape)
    if config.preview.prompts:
        found["samples"] = samples(config, shape, learnt)
    return found


def shape_of(config: TrainSettings) -> Footprint | None:
    model = config.model
    found = fitting(model.base, model.family, model.trust_pickle, model.components)
    return families()[model.family].footprint_of(found)


def step(config: TrainSettings, shape: Footprint, learnt: float) -> Moment:
    memory, batch = config.memory, config.run.batch_size
    family = families()[config.model.family]
    activations = (shape.checkpointed if memory.gradient_checkpointing else shape.activations) * batch
    activations *= max(config.dataset.sides) ** 2 / family.resolution**2 * (1 if narrow(config) else WIDE)
    learning = family.text_encoders if config.words.new else learning_encoders(config)
    read = READING * batch * sum(gb for name, gb in shape.readers.items() if name in learning)
    encoded = 0.0 if config.latents_can_be_cached else ENCODE * megapixels(config) * batch
    stays = config.accelerate.cpu  # there is no other place to put a part that rests
    parts = {"base model": base(config, shape), "around it": AROUND}
    resting = config.captions_can_be_cached and not stays
    parts["text encoders"] = 0.0 if resting else readers(config, shape)
    parts["VAE"] = 0.0 if config.latents_can_be_cached and not stays else VAE
    # The pictures are encoded before the denoiser sees them, and their memory is used again.
    parts["activations"] = max(activations + read, encoded)
    parts[name_of_learnt(config)] = learnt * (1 + kept(config) + (config.accelerate.processes > 1))
    return Moment("it trains", parts)


def encoding(config: TrainSettings, shape: Footprint) -> Moment:
    """Pictures one by one, with the denoiser not there yet."""
    parts = {"VAE": VAE + ENCODE * megapixels(config), "around it": AROUND}
    if config.accelerate.cpu:
        parts["base model"] = weights(config, shape.weights) + readers(config, shape)
    return Moment("it encodes pictures", parts)


def reading(config: TrainSettings, shape: Footprint) -> Moment:
    """Captions one by one, with all text encoders and nothing else on the device."""
    parts = {"text encoders": readers(config, shape), "around it": AROUND}
    if config.accelerate.cpu:
        parts["base model"] = base(config, shape) + VAE
    return Moment("it encodes captions", parts)


def class_images(config: TrainSettings, shape: Footprint) -> Moment:
    """Drawn before anything is attached."""
    parts = {"base model": base(config, shape), "VAE": VAE + DECODE * config.dataset.resolution**2 / 1e6}
    if config.accelerate.cpu:
        parts["text encoders"] = readers(config, shape)
    return Moment("it draws class images", parts | {"around it": AROUND})


def samples(config: TrainSettings, shape: Footprint, learnt: float) -> Moment:
    side, preview = config.dataset.resolution, config.preview
    drawn = (preview.width or side) * (preview.height or side) / 1e6
    stays = config.accelerate.cpu or not config.captions_can_be_cached
    parts = {"base model": base(config, shape), "text encoders": readers(config, shape) if stays else 0.0}
    parts |= {"VAE": VAE + DECODE * drawn, "around it": AROUND}
    aside = config.optimizer.name == "schedulefree_adamw"  # it draws with other weights than it trains
    return Moment("it draws samples", parts | {name_of_learnt(config): learnt * (kept(config) + aside)})


def kept(config: TrainSettings) -> float:
    """How often the weights that learn are there between two steps: themselves, the optimiser's numbers, an average."""
    # The start of PiSSA stands still beside what has become of it.
    start = config.lora.kind == "pissa" and not config.all_weights
    return 1 + state_of(config.optimizer.name, config.all_weights) + bool(config.optimizer.ema_decay) + start


def name_of_learnt(config: TrainSettings) -> str:
    return "weights and optimizer" if config.all_weights else "LoRA and optimizer"


def adapters(config: TrainSettings, shape: Footprint) -> float:
    """GB of the weights that learn, in float32."""
    if config.all_weights:
        return 2 * shape.weights
    denoiser = config.lora.denoiser
    at_rank_1 = shape.learnt.get(FULLEST if denoiser.layers == "any" else denoiser.layers, 0.0)
    millions = at_rank_1 * mean_rank(config) if denoiser.train else 0.0
    for name, text in learning_encoders(config).items():
        usual = numbers(config.lora, text.rank, READERS_LAYER) / sides(READERS_LAYER)
        millions += usual * READERS_LEARN * shape.readers.get(name, 0.0)
    return 4e-3 * millions


def mean_rank(config: TrainSettings) -> float:
    """Over the weights of the chosen layers at rank 1, as many as the family's published model has; with "any", over
    those of the fullest choice. A layer that is left out has rank 0; other kinds than LoRA count as the rank with which
    a LoRA has as many numbers."""
    lora, family, shapes = config.lora.denoiser, families()[config.model.family], known(config.model.family)
    chosen = family.layers[FULLEST if lora.layers == "any" else lora.layers]
    usual = sum(sides(shape) for path, shape in shapes.items() if re.fullmatch(chosen, path))
    if not usual:  # no published model
        return numbers(config.lora, lora.rank, READERS_LAYER) / sides(READERS_LAYER)
    try:
        found = sizes(lora, ".*" if lora.layers == "any" else chosen, shapes, "lora.denoiser")
    except SettingsError:  # the model itself may have such layers; that they are not known here is said elsewhere
        return numbers(config.lora, lora.rank, READERS_LAYER) / sides(READERS_LAYER)
    return sum(numbers(config.lora, size.rank, shapes[path]) for path, size in found.items()) / usual


def sides(shape: Sequence[int]) -> int:
    """Weights of an update at rank 1: a layer's outputs and its inputs."""
    return shape[0] + math.prod(shape[1:])


def weights(config: TrainSettings, sixteen_bit: float) -> float:
    """GB of a frozen part; beside a denoiser that learns they go into the checkpoint, and are not rounded."""
    return sixteen_bit if narrow(config) and not config.all_weights else 2 * sixteen_bit


def readers(config: TrainSettings, shape: Footprint) -> float:
    """All text encoders; those in which nothing learns may be kept in fewer bits."""
    smaller = BITS.get(config.memory.text_precision, 16)
    kept = {name: 16 if name in config.learning_encoders else smaller for name in shape.readers}
    return sum(few_bits(weights(config, gb), gb, kept[name]) for name, gb in shape.readers.items())


def base(config: TrainSettings, shape: Footprint) -> float:
    """The denoiser as it waits; what lies around its blocks, a twentieth or so, is never made smaller.
    One that learns is counted there; here are the copies in 16 bit that it is computed with."""
    if config.all_weights:
        return shape.weights if narrow(config) else 0.0
    return few_bits(weights(config, shape.weights), shape.weights, BITS.get(config.memory.base_precision, 16))


def few_bits(whole: float, sixteen_bit: float, bits: float) -> float:
    """GB of a part of which all but a twentieth, what lies around its blocks, is kept in so many bits."""
    return whole if bits == 16 else 0.05 * whole + 0.95 * sixteen_bit * bits / 16


def narrow(config: TrainSettings) -> bool:
    """Whether the frozen parts have 16 bits a number."""
    return config.accelerate.mixed_precision != "no"


def learning_encoders(config: TrainSettings) -> dict[str, TextEncoderLora]:
    """The text encoders that this family has and that are to learn."""
    names = families()[config.model.family].text_encoders
    return {name: text for name, text in config.lora.text_encoders.items() if text.train and name in names}


def megapixels(config: TrainSettings) -> float:
    return max(config.dataset.sides) ** 2 / 1e6
