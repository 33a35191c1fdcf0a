"""What the families that draw along straight lines have in common: a transformer as denoiser, a pipeline of diffusers,
latents that are shifted as well as scaled, and readers of long captions, which never learn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from trainer.base_model.models import ModelError, own_vae
from trainer.families import configs, one_file
from trainer.families.base import Drawing, Family, Flow
from trainer.lora import keys, targets

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from trainer.base_model.models import BaseModel

DENOISER_ALONE = keys.Naming(
    (keys.Part("denoiser", "lora_transformer", "transformer", also=keys.SD3.parts[0].also),),
    style="diffusers",
    alphas=False,  # diffusers 0.42 refuses or misreads alphas beside names that begin with "transformer."
)


class FlowFamily(Family):
    """A pipeline with a `transformer`. All its text encoders are parts; those in `text_encoders` can learn."""

    traits = frozenset({"flow"})
    text_encoders = ()
    text_layers = targets.CLIP
    naming = DENOISER_ALONE
    prediction_type = "flow"
    bucket_step = 64
    pipeline: ClassVar[str]  # of diffusers
    transformer: ClassVar[str]  # its class, where `marks` say how it is known in a single file
    readers: ClassVar[tuple[str, ...]] = ("text_encoder",)
    encoders: ClassVar[Mapping[str, tuple[str, str]]] = {}  # what single files call a reader, and its class
    spare: ClassVar[tuple[str, ...]] = ()  # readers that a model's folder may leave out; they are None then
    left_out: ClassVar[dict[str, Any]] = {}  # parts that training never looks at
    levels: ClassVar[str] = "block_out_channels"  # of the VAE's config; between two of them it halves the sides
    patch: ClassVar[int] = 2  # latents a side that are one place to the transformer
    published_step: ClassVar[int] = 16  # between sides of pictures, where the VAE's config is not at hand
    marks: ClassVar[tuple[str, ...]] = ()  # tensors by which its transformer is known in a single file; (): not read

    @classmethod
    def recognises(cls, model: BaseModel) -> bool:
        if model.kind == "file":
            return bool(cls.marks) and one_file.transformer(model.shapes).keys() >= set(cls.marks)
        return model.pipeline == cls.pipeline

    @classmethod
    def unsaid(cls, model: BaseModel) -> dict[str, str]:
        """What a single file leaves out must come from somewhere."""
        if model.kind not in ("file", "pickle"):
            return {}
        try:
            one_file.components(model, cls)
        except ModelError as error:
            return {one_file.SETTING: str(error)}
        return {}

    @classmethod
    def side_step(cls, model: BaseModel) -> int:
        parts = one_file.components(model, cls) if model.kind == "file" and not cls.unsaid(model) else model
        levels = parts.configs.get("vae", {}).get(cls.levels)
        return 2 ** (len(levels) - 1) * cls.patch if levels else cls.published_step

    @classmethod
    def said(cls, model: BaseModel, name: str, usual: int) -> int:
        """A number of the transformer's config; `usual` if it is not told."""
        told = model.configs.get("transformer", {}) if model.kind != "file" else cls.sizes(
            one_file.transformer(model.shapes))
        return told.get(name, usual)

    @classmethod
    def sizes(cls, shapes: one_file.Shapes) -> dict[str, Any]:
        """What the transformer's tensors in a single file say of its config; the rest is that of the components."""
        return {}

    @classmethod
    def published(cls, model: BaseModel) -> tuple[str, configs.Config] | None:
        """A name for the configs that a single file leaves out, and these; None where they are not known here."""
        return None

    def load(self, model: BaseModel, dtype: torch.dtype, vae: str = "") -> dict[str, nn.Module]:
        import diffusers
        import torch

        dtypes = {"default": dtype, "vae": torch.float32}
        parts, given = model, {}
        if model.kind in ("file", "pickle"):
            parts = one_file.components(model, type(self))
            given = one_file.read(model, parts, type(self), dtype)
        absent = self._nothing(self._missing(parts, given)) if parts.kind == "folder" else {}
        self._pipe = getattr(diffusers, self.pipeline).from_pretrained(
            parts.where, dtype=dtypes, use_safetensors=parts.only_safetensors, **given, **self.left_out, **absent
        )
        if vae:
            self._pipe.vae = type(self._pipe.vae).from_pretrained(
                own_vae(vae, model), dtype=torch.float32, use_safetensors=model.only_safetensors
            )
        parts = {"denoiser": self._pipe.transformer, "vae": self._pipe.vae}
        parts |= {name: getattr(self._pipe, name) for name in self.readers if getattr(self._pipe, name) is not None}
        for part in parts.values():
            part.requires_grad_(False).eval()
        return parts

    def _missing(self, model: BaseModel, given: Mapping[str, Any]) -> list[str]:
        """The readers that neither a folder nor a single file has. ModelError where the family can't do without."""
        missing = [name for name in self.readers if name not in model.configs and name not in given]
        if needed := [name for name in missing if name not in self.spare]:
            raise ModelError(f"{model.where} lacks {' and '.join(needed)}, which {self.label} reads captions with: "
                             "download the whole folder")
        return missing

    def process(self) -> Flow:
        """As the model's own sampler has it: one shift for all, or one that grows with the picture."""
        return Flow(lambda shape: self.shift_of(self._pipe.scheduler.config, self._places(shape)))

    @classmethod
    def shift_of(cls, said: Mapping[str, Any], places: float) -> float:
        """How much the noisy end is preferred by a sampler of this config, where the transformer sees so many places
        of a picture."""
        if not said.get("use_dynamic_shifting"):
            return float(said["shift"])
        rise = (said["max_shift"] - said["base_shift"]) / (said["max_image_seq_len"] - said["base_image_seq_len"])
        return math.exp(said["base_shift"] + rise * (places - said["base_image_seq_len"]))

    @staticmethod
    def _places(shape: tuple[int, ...]) -> float:
        """How long a row the transformer sees of latents [C, h, w]: squares of 2 x 2 are one place."""
        return shape[1] * shape[2] / 4

    def encode_pictures(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        posterior, config = self._pipe.vae.encode(pixels).latent_dist, self._pipe.vae.config
        return (posterior.mean - config.shift_factor) * config.scaling_factor, posterior.std * config.scaling_factor

    def tokenizer(self, name: str) -> Any:
        return getattr(self._pipe, name.replace("text_encoder", "tokenizer"))

    def tokenizer_id(self) -> str:
        """With the family's name: two may have the same text encoder and take other layers of it."""
        found = [getattr(self._pipe, name.replace("text_encoder", "tokenizer")) for name in self.readers]
        said = [f"{one.backend_tokenizer.to_str()}{getattr(one, 'chat_template', '')}" for one in found if one]
        return "".join([self.name, *said])

    def checkpoint_gradients(self) -> None:
        self._pipe.transformer.enable_gradient_checkpointing()
        for name in self.text_encoders:
            getattr(self._pipe, name).gradient_checkpointing_enable({"use_reentrant": False})

    def draw(self, text: dict[str, Tensor], negative: dict[str, Tensor], how: Drawing) -> Tensor:
        """With the model's own sampler."""
        import torch

        pipe, transformer = self._drawing_pipe(), self._pipe.transformer
        pipe.set_progress_bar_config(disable=True)
        shape = self._shape(how)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(how.seed))
        found = pipe(
            **self._prompts(placed(text, transformer), placed(negative, transformer)),
            **self._guidance(how.guidance),
            latents=self._packed(noise.to(transformer.device, transformer.dtype)),
            height=how.height,
            width=how.width,
            num_inference_steps=how.steps,
            output_type="latent",
        ).images
        return self._unpacked(found, shape)

    def _shape(self, how: Drawing) -> tuple[int, ...]:
        """Of a drawing's latents, batch first."""
        vae, factor = self._pipe.vae.config, 2 ** (len(self._pipe.vae.config.block_out_channels) - 1)
        return (1, vae.latent_channels, how.height // factor, how.width // factor)

    def _guidance(self, scale: float) -> dict[str, Any]:
        """How the pipeline is told; at a scale of 1 there is none."""
        return {"guidance_scale": scale}

    def _drawing_pipe(self):
        """The pipeline with a sampler of its own and without the text encoders: what they say is there."""
        pipe = self._pipe
        sampler = type(pipe.scheduler).from_config(pipe.scheduler.config)
        parts = {"vae": pipe.vae, "transformer": pipe.transformer, "scheduler": sampler}
        return type(pipe)(**parts, **self._nothing(self.readers), **self.left_out)

    @staticmethod
    def _nothing(readers: Sequence[str]) -> dict[str, None]:
        """Arguments of a pipeline that has none of these text encoders, and so none of their tokenizers."""
        return dict.fromkeys([*readers, *(name.replace("text_encoder", "tokenizer") for name in readers)])

    def _prompts(self, text: dict[str, Tensor], negative: dict[str, Tensor]) -> dict[str, Any]:
        """Encoded captions under the names of the pipeline's arguments."""
        return {"prompt_embeds": text["words"], "prompt_attention_mask": text["mask"],
                "negative_prompt_embeds": negative["words"], "negative_prompt_attention_mask": negative["mask"]}

    def _packed(self, latents: Tensor) -> Tensor:
        """Latents [B, C, h, w] as the pipeline takes them."""
        return latents

    def _unpacked(self, packed: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Back again, into `shape`."""
        return packed

    def decode(self, latents: Tensor) -> Tensor:
        vae = self._pipe.vae
        latents = latents.to(vae.device, vae.dtype) / vae.config.scaling_factor + vae.config.shift_factor
        return as_bytes(vae.decode(latents).sample)


class RowFamily(FlowFamily):
    """A transformer that takes a picture as one row of places, each of which is a square of 2 x 2 latents."""

    def _packed(self, latents: Tensor) -> Tensor:
        """[B, C, h, w] -> [B, h w / 4, 4 C]."""
        batch, channels, height, width = latents.shape
        squares = latents.view(batch, channels, height // 2, 2, width // 2, 2).permute(0, 2, 4, 1, 3, 5)
        return squares.reshape(batch, height * width // 4, 4 * channels)

    def _unpacked(self, packed: Tensor, shape: tuple[int, ...]) -> Tensor:
        _, channels, height, width = shape
        squares = packed.view(len(packed), height // 2, width // 2, channels, 2, 2).permute(0, 3, 1, 4, 2, 5)
        return squares.reshape(len(packed), channels, height, width)


def places(height: int, width: int) -> Tensor:
    """(0, row, column) of each place, float32 [height * width, 3]."""
    import torch

    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([torch.zeros_like(rows), rows, columns], dim=-1).reshape(-1, 3).float()


def tokens(tokenizer, captions: list[str], length: int, encoder: nn.Module) -> Tensor:
    """Numbers of tokens [B, length], padded and cut, where the encoder is."""
    return masked_tokens(tokenizer, captions, length, encoder)["input_ids"]


def masked_tokens(tokenizer, captions: list[str], length: int, encoder: nn.Module) -> dict[str, Tensor]:
    """Numbers of tokens and which of them are a caption's own ("input_ids", "attention_mask"), both [B, length]."""
    cut = tokenizer(captions, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    return {name: cut[name].to(encoder.device) for name in ("input_ids", "attention_mask")}


def filled_up(words: Sequence[Tensor], length: int) -> dict[str, Tensor]:
    """Words of captions, each [n, width], as one tensor [B, length, width] with a mask of what is a caption's own."""
    import torch

    mask = torch.stack([torch.arange(length, device=row.device) < len(row) for row in words])
    filled = [torch.nn.functional.pad(row, (0, 0, 0, length - len(row))) for row in words]
    return {"words": torch.stack(filled), "mask": mask}


def trimmed(words: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Without the places that no caption of the batch reaches: `words` [B, n, width], `mask` bool [B, n], padded on
    the right."""
    longest = int(mask.sum(1).max())
    return words[:, :longest], mask[:, :longest]


def placed(text: dict[str, Tensor], like: nn.Module) -> dict[str, Tensor]:
    """Encoded captions on the device and in the format of a part; masks stay masks."""
    return {name: tensor.to(like.device, like.dtype if tensor.is_floating_point() else tensor.dtype)
            for name, tensor in text.items()}


def as_bytes(pixels: Tensor) -> Tensor:
    """[B, 3, H, W] in -1..1 -> uint8 [B, H, W, 3] on the CPU."""
    return ((pixels / 2 + 0.5).clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu()
