"""What is attached to the base model and learns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from settings.section import Section, Ui

Share = Annotated[float, Field(ge=0, lt=1)]


class PartLora(Section):
    """What every part that learns has."""

    train: Annotated[bool, Ui("Train the text encoder", kohya="text_encoder_lr network_train_unet_only")] = False
    """Also teach this text encoder. Captions are then encoded anew each step instead of once."""

    rank: Annotated[int, Field(ge=1, le=1024), Ui(step=4, when=".train", kohya="network_dim")] = 8
    """Size of the update to each layer."""

    alpha: Annotated[float, Field(gt=0, le=4096), Ui(when=".train", kohya="network_alpha")] = 8
    """The update is scaled by alpha / rank. Equal to the rank: no scaling. Halving it acts like halving the learning
    rate."""

    learning_rate: Annotated[float, Field(gt=0, le=10), Ui(when=".train", kohya="text_encoder_lr")] = 5e-5
    """Size of a step for this text encoder; usually half of the denoiser's or less."""

    dropout: Annotated[Share, Ui(level="expert", when=".train", kohya="network_dropout")] = 0.0
    """Share of the update's inputs dropped at random while training. Slows memorising on very small sets."""

    rank_dropout: Annotated[Share, Ui(level="expert", when=".train", kohya="network_args rank_dropout")] = 0.0
    """Share of the update's ranks left out at random for each picture (of LoHa and LoKr for each batch); the others are
    made as much stronger. OFT has none."""

    module_dropout: Annotated[
        Share, Ui("Layer dropout", level="expert", when=".train", kohya="network_args module_dropout")
    ] = 0.0
    """Share of the layers whose update is left out at random in each step."""

    plus_ratio: Annotated[
        float | None,
        Field(ge=1, le=100),
        Ui(
            "LoRA+ ratio",
            level="expert",
            when=".train",
            kohya="network_args loraplus_lr_ratio loraplus_unet_lr_ratio loraplus_text_encoder_lr_ratio",
        ),
    ] = None
    """The second matrix of each update learns this many times faster (LoRA+): 4 to 16 learns sooner with the same
    rate. Empty: both alike."""


class TextEncoderLora(PartLora):
    """The part that reads the caption. Training it helps a new word take hold, and makes overtraining easier."""


class BlockLora(Section):
    """One row of the block table. The first row that a layer belongs to counts for it."""

    block: Annotated[
        str, Ui(kohya="network_reg_dims network_reg_lrs train_double_block_indices train_single_block_indices")
    ] = ""
    """Name of a block (`mid_block`, `down_blocks.1.attentions.0`, `transformer_blocks.4`), for all layers in it; or a
    regular expression for the beginning of their names."""

    rank: Annotated[int | None, Field(ge=0, le=1024), Ui(step=4, kohya="block_dims")] = None
    """Size of the update there. 0: the block does not learn. Empty: as everywhere."""

    alpha: Annotated[float | None, Field(gt=0, le=4096), Ui(kohya="block_alphas")] = None
    """Empty: as large against the rank as everywhere."""

    rate: Annotated[
        float, Field(gt=0, le=100), Ui("Learning rate x", kohya="down_lr_weight mid_lr_weight up_lr_weight")
    ] = 1.0
    """The learning rate of these layers is multiplied by this."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if not self.block:
            yield "block", "name the block, as in the list of its layers"
        elif said := no_pattern(self.block):
            yield "block", said


class DenoiserLora(PartLora):
    """The part that draws. This is where a subject or a style is learnt."""

    train: Annotated[bool, Ui("Train the denoiser", kohya="network_train_text_encoder_only")] = True
    """Teach the part that draws: a UNet in Stable Diffusion 1.x, 2.x and XL, a transformer in the others."""

    rank: Annotated[int, Field(ge=1, le=1024), Ui(level="quick", step=4, when=".train", kohya="network_dim")] = 16
    """Size of the update to each layer. More holds more detail, and needs more memory and more pictures."""

    alpha: Annotated[float, Field(gt=0, le=4096), Ui(when=".train", kohya="network_alpha")] = 16
    """The update is scaled by alpha / rank. Equal to the rank: no scaling. Halving it acts like halving the learning
    rate."""

    learning_rate: Annotated[
        float, Field(gt=0, le=10), Ui(level="quick", when=".train", kohya="unet_lr learning_rate")
    ] = 1e-4
    """Size of a step. Too high: burnt colours and mush. Too low: the subject never appears."""

    layers: Annotated[
        Literal["attention", "attention+ff", "all", "any"],
        Ui("Layers", when=".train", kohya="lycoris preset"),
    ] = "attention+ff"
    """Which layers learn: attention only (smallest), with the feed-forward layers (kohya's default), with all that is
    usually taught beside them, such as the convolutions (LoCon); or any linear and convolution layer of the model, to
    be narrowed below."""

    only: Annotated[list[str], Ui("Only layers named", level="expert", when=".train", kohya="only_if_contains")] = []
    """Of these layers, those with one of these in their name, one a line: plain text such as `attn2` or a regular
    expression. Empty: all of them."""

    exclude: Annotated[
        list[str],
        Ui("Without layers named", level="expert", when=".train", kohya="exclude_patterns ignore_if_contains"),
    ] = []
    """Layers with one of these in their name do not learn, written in the same way."""

    conv_rank: Annotated[
        int | None, Field(ge=0, le=1024), Ui("Rank of convolutions", level="expert", step=4, when=".layers=all|any",
                                             kohya="conv_dim")
    ] = None
    """Size of the update to convolutions of more than one pixel. 0: they do not learn. Empty: as everywhere."""

    conv_alpha: Annotated[
        float | None, Field(gt=0, le=4096), Ui("Alpha of convolutions", level="expert", when=".layers=all|any",
                                               kohya="conv_alpha")
    ] = None
    """Empty: as large against the rank as everywhere."""

    blocks: Annotated[list[BlockLora], Ui("Blocks", level="expert", when=".train", kohya="block_dims")] = []
    """Ranks and learning rates of single blocks, where they differ."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        for field in ("only", "exclude"):
            wrong = [said for pattern in getattr(self, field) if (said := no_pattern(pattern))]
            if wrong:
                yield field, "; ".join(wrong)

    def warnings(self) -> Iterator[tuple[str, str]]:
        if self.conv_alpha is not None and self.conv_rank is None:
            yield "conv_alpha", "has no effect without a rank of the convolutions"
        if self.conv_rank is not None and self.layers not in ("all", "any"):
            yield "conv_rank", f"has no effect: no convolution learns with layers = {self.layers}"


def no_pattern(text: str) -> str:
    """Why a text is no regular expression; "" if it is one."""
    try:
        re.compile(text)
    except re.error as error:
        return f"{text!r} is no regular expression ({error}): put a \\ before signs that stand for themselves"
    return ""


class LoraSettings(Section):
    """What is trained: small updates beside the layers of the frozen base model (LoRA, arXiv 2106.09685)."""

    kind: Annotated[
        Literal["lora", "rslora", "dora", "pissa", "loha", "lokr", "oft"],
        Ui("Adapter", kohya="network_module network_args algo dora_wd LoRA_type"),
    ] = "lora"
    """LoRA is read everywhere. rsLoRA keeps large ranks (64 and more) strong. DoRA learns the direction and the size of
    weights apart: often nearer to full training, and slower. PiSSA starts from the main part of the weights and learns
    sooner. LoHa and LoKr (LyCORIS) reach more with fewer numbers. OFT only turns weights, gently; its rank is the size
    of what is turned together."""

    factor: Annotated[
        int | None, Field(ge=1, le=1024), Ui("LoKr factor", level="expert", when="lora.kind=lokr",
                                             kohya="network_args factor LyCORIS_factor")
    ] = None
    """The update is a small matrix of at most this many rows and columns times a larger one. 4 to 16: larger files that
    hold more. Empty: as square as can be, the smallest files."""

    weights: Annotated[str, Ui("Start from", kind="file", kohya="network_weights")] = ""
    """A LoRA file, or the folder of an earlier run, to train on from as a new run. Kind, ranks and layers must be the
    same. Empty: from nothing."""

    max_norm: Annotated[
        float | None, Field(gt=0, le=1000), Ui("Max norm", level="expert", kohya="scale_weight_norms")
    ] = None
    """After each step, an update whose Frobenius norm is above this is scaled down to it: no layer can run away. 1 is
    usual. Of DoRA it limits the LoRA in it, not the lengths; PiSSA and OFT can't be limited. Empty: no limit."""

    denoiser: DenoiserLora = DenoiserLora()
    text_encoder: Annotated[TextEncoderLora, Ui(needs="text_encoder")] = TextEncoderLora()
    text_encoder_2: Annotated[TextEncoderLora, Ui(needs="two_text_encoders")] = TextEncoderLora()

    @property
    def text_encoders(self) -> dict[str, TextEncoderLora]:
        """By the names that families give the parts."""
        return {"text_encoder": self.text_encoder, "text_encoder_2": self.text_encoder_2}
