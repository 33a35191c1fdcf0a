"""What the loop needs to know about a kind of base model, and nothing about how it is trained.

A family loads, encodes, predicts and decodes. It sees no settings and no step number, and moves nothing between
devices: the loop does that, so that it is the same for every family.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from trainer.base_model.models import BaseModel
    from trainer.lora.keys import Naming


@dataclass(frozen=True)
class Footprint:
    """Rough memory of one training step, measured once (`benchmarks/memory.py`); for the plan's estimate.

    `weights`: GB of the denoiser in 16 bit. `activations`: GB a picture at the family's own resolution, growing with
    its pixels. `checkpointed`: the same with gradient checkpointing. `readers`: GB of each text encoder in 16 bit.
    `learnt`: millions of weights at rank 1, by the choice of layers.
    """

    weights: float
    activations: float
    checkpointed: float
    readers: Mapping[str, float] = field(default_factory=dict)
    learnt: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Drawing:
    """How a sample is drawn. `width` and `height` in pixels."""

    width: int
    height: int
    steps: int
    guidance: float
    sampler: str
    seed: int


@dataclass(frozen=True)
class Diffusion:
    """The model was made with DDPM's noise (Ho et al., arXiv 2006.11239). Its timesteps are numbers, int64."""

    alphas_cumprod: Tensor  # float64 [timesteps]
    prediction_type: str  # "epsilon" or "v_prediction"


@dataclass(frozen=True)
class Flow:
    """The model goes on straight lines from noise to pictures (rectified flow, Liu et al., arXiv 2209.03003). Its
    timesteps are sigmas, float32 in 0..1, the share of noise. `shift` gives for latents of a shape [C, h, w] how much
    the model's own sampling prefers the noisy end: sigma' = shift sigma / (1 + (shift - 1) sigma); 1 is not at all."""

    shift: Callable[[tuple[int, ...]], float]


@dataclass(frozen=True)
class View:
    """What of a picture is trained. Sizes are (width, height) in pixels."""

    original: tuple[int, int]  # of the file
    left: int  # of the scaled picture, how much is cut off; of a mirrored one, in the mirror
    top: int
    size: tuple[int, int]  # what the denoiser gets to see


class Family(ABC):
    """One kind of base model. A subclass in a file of this folder is found by itself."""

    name: ClassVar[str]  # in settings files; never changes
    label: ClassVar[str]  # on the form
    order: ClassVar[int]  # on the form, from the top
    traits: ClassVar[frozenset[str]]  # what settings may ask for with Ui(needs=...)
    resolution: ClassVar[int]  # pixels a side it was made for
    bucket_step: ClassVar[int]  # its usual step between bucket sides
    base_version: ClassVar[str]  # ss_base_model_version of its LoRA files
    architecture: ClassVar[str]  # modelspec.architecture of its LoRA files, without "/lora"
    naming: ClassVar[Naming]  # what its LoRA files call the parts
    layers: ClassVar[dict[str, str]]  # choice of lora.denoiser.layers -> pattern of whole module names
    text_layers: ClassVar[str]  # the same for text encoders
    widths: ClassVar[dict[str, frozenset[int]]] = {}
    """{pattern of our names of layers: how many inputs they may have}: tells its LoRA files from those of families
    whose layers have the same names."""
    footprint: ClassVar[Footprint]
    steps: ClassVar[int] = 25  # in which it is usually drawn
    guidance: ClassVar[float] = 7.0  # and how closely to the prompt
    text_encoders: ClassVar[tuple[str, ...]] = ("text_encoder",)
    """The parts that read captions and can learn; each has its settings under `lora`, by the same name."""
    embedding_keys: ClassVar[Mapping[str, str]] = {}
    """What embedding files call the vectors of a new word, by text encoder; empty where no words can be learnt."""

    @classmethod
    @abstractmethod
    def recognises(cls, model: BaseModel) -> bool:
        """Is this base model of this family? Judged from names, configs and tensor shapes; no weights are read."""

    @classmethod
    def footprint_of(cls, model: BaseModel) -> Footprint | None:
        """The memory of this very model; None for one of other sizes than the published ones."""
        return cls.footprint

    @classmethod
    def side_step(cls, model: BaseModel) -> int:
        """The sides of its pictures, in pixels, are multiples of this."""
        return 8

    @classmethod
    def unsaid(cls, model: BaseModel) -> dict[str, str]:
        """{setting: what to choose} for what must be known of this base model and can't be told from its file."""
        return {}

    @abstractmethod
    def load(self, model: BaseModel, dtype: torch.dtype, vae: str = "") -> dict[str, nn.Module]:
        """Once, first. The parts by name, on the CPU, frozen, in `dtype`, except that the VAE stays in float32.

        "denoiser" and "vae" are always there; what is left are text encoders. `vae` names another VAE to use.
        """

    @abstractmethod
    def process(self) -> Diffusion | Flow:
        """How noise gets into pictures, and what the denoiser is to say of it, as the loaded model has it."""

    @property
    @abstractmethod
    def prediction_type(self) -> str:
        """ "epsilon", "v_prediction" or "flow", as the loaded model says. The first two may be set, where a single
        file cannot say it."""

    @abstractmethod
    def encode_pictures(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """float32 [B, 3, H, W] in -1..1 -> mean and standard deviation of the latents, scaled as the denoiser takes
        them."""

    @abstractmethod
    def encode_captions(self, captions: list[str]) -> dict[str, Tensor]:
        """What the denoiser reads of each caption. The batch is the first axis of every tensor."""

    @abstractmethod
    def tokenizer_id(self) -> str:
        """A text that changes when captions would be cut into tokens otherwise; encoded captions are kept under it."""

    @abstractmethod
    def tokenizer(self, name: str) -> Any:
        """The tokenizer of one of `text_encoders`, which new words are taught to."""

    def conditions(self, views: Sequence[View]) -> dict[str, Tensor]:
        """What the denoiser is told of each picture besides its caption. The batch is the first axis."""
        return {}

    @abstractmethod
    def predict(self, noisy: Tensor, timesteps: Tensor, text: dict[str, Tensor]) -> Tensor:
        """Every step, with gradients: what the denoiser makes of noisy latents [B, C, h, w], in their shape. `text` is
        what `encode_captions` and `conditions` have said."""

    @abstractmethod
    def checkpoint_gradients(self) -> None:
        """From now on keep only a few activations of a forward pass, and compute the others again in the backward
        pass."""

    @abstractmethod
    def draw(self, text: dict[str, Tensor], negative: dict[str, Tensor], how: Drawing) -> Tensor:
        """One picture: latents [1, C, h, w] drawn on the denoiser's device. Its noise is made on the CPU from
        `how.seed`."""

    @abstractmethod
    def decode(self, latents: Tensor) -> Tensor:
        """Latents [B, C, h, w] -> pixels uint8 [B, H, W, 3], on the CPU."""
