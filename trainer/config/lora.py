"""What is attached to the base model and learns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from settings.section import Section, Ui

Share = Annotated[float, Field(ge=0, lt=1)]


class DenoiserLora(Section):
    """The part that draws. This is where a subject or a style is learnt."""

    train: Annotated[bool, Ui("Train the UNet", kohya="network_train_text_encoder_only")] = True
    """Teach the denoiser."""

    rank: Annotated[
        int, Field(ge=1, le=1024), Ui(level="quick", step=4, when="lora.denoiser.train", kohya="network_dim")
    ] = 16
    """Size of the update to each layer. More holds more detail, and needs more memory and more pictures."""

    alpha: Annotated[float, Field(gt=0, le=4096), Ui(when="lora.denoiser.train", kohya="network_alpha")] = 16
    """The update is scaled by alpha / rank. Equal to the rank: no scaling. Halving it acts like halving the learning
    rate."""

    learning_rate: Annotated[
        float, Field(gt=0, le=10), Ui(level="quick", when="lora.denoiser.train", kohya="unet_lr learning_rate")
    ] = 1e-4
    """Size of a step. Too high: burnt colours and mush. Too low: the subject never appears."""

    layers: Annotated[
        Literal["attention", "attention+ff", "all"],
        Ui("Layers", when="lora.denoiser.train", kohya="conv_dim lycoris preset"),
    ] = "attention+ff"
    """Which layers learn: attention only (smallest), with the feed-forward layers (kohya's default), or with the
    convolutions (LoCon)."""

    dropout: Annotated[Share, Ui(level="expert", when="lora.denoiser.train", kohya="network_dropout")] = 0.0
    """Share of the update's inputs dropped at random while training. Slows memorising on very small sets."""

    plus_ratio: Annotated[
        float | None,
        Field(ge=1, le=100),
        Ui(
            "LoRA+ ratio",
            level="expert",
            when="lora.denoiser.train",
            kohya="network_args loraplus_lr_ratio loraplus_unet_lr_ratio",
        ),
    ] = None
    """The second matrix of each update learns this many times faster (LoRA+): 4 to 16 learns sooner with the same
    rate. Empty: both alike."""


class TextEncoderLora(Section):
    """The part that reads the caption. Training it helps a new word take hold, and makes overtraining easier."""

    train: Annotated[bool, Ui("Train the text encoder", kohya="text_encoder_lr network_train_unet_only")] = False
    """Also teach this text encoder. Captions are then encoded anew each step instead of once."""

    rank: Annotated[int, Field(ge=1, le=1024), Ui(step=4, when=".train", kohya="network_dim")] = 8
    """Size of the update to each layer."""

    alpha: Annotated[float, Field(gt=0, le=4096), Ui(when=".train", kohya="network_alpha")] = 8
    """The update is scaled by alpha / rank."""

    learning_rate: Annotated[float, Field(gt=0, le=10), Ui(when=".train", kohya="text_encoder_lr")] = (
        5e-5
    )
    """Size of a step for this text encoder; usually half of the UNet's or less."""

    dropout: Annotated[Share, Ui(level="expert", when=".train", kohya="network_dropout")] = 0.0
    """Share of the update's inputs dropped at random while training."""

    plus_ratio: Annotated[
        float | None,
        Field(ge=1, le=100),
        Ui(
            "LoRA+ ratio",
            level="expert",
            when=".train",
            kohya="network_args loraplus_lr_ratio loraplus_text_encoder_lr_ratio",
        ),
    ] = None
    """The second matrix of each update learns this many times faster (LoRA+): 4 to 16 learns sooner with the same
    rate. Empty: both alike."""


class LoraSettings(Section):
    """What is trained: small updates beside the layers of the frozen base model (LoRA, arXiv 2106.09685)."""

    weights: Annotated[str, Ui("Start from", kind="file", kohya="network_weights")] = ""
    """A LoRA file, or the folder of an earlier run, to train on from as a new run. Ranks and layers must be the same.
    Empty: from nothing."""

    denoiser: DenoiserLora = DenoiserLora()
    text_encoder: Annotated[TextEncoderLora, Ui(needs="text_encoder")] = TextEncoderLora()
    text_encoder_2: Annotated[TextEncoderLora, Ui(needs="two_text_encoders")] = TextEncoderLora()

    @property
    def text_encoders(self) -> dict[str, TextEncoderLora]:
        """By the names that families give the parts."""
        return {"text_encoder": self.text_encoder, "text_encoder_2": self.text_encoder_2}

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if not self.denoiser.train and not any(text.train for text in self.text_encoders.values()):
            yield "denoiser.train", "nothing would be trained: switch on the UNet or the text encoder"
