"""What the families that draw along straight lines have in common: a transformer as denoiser, a pipeline of diffusers,
an AutoencoderKL whose latents are shifted as well as scaled, and T5, which reads long captions and never learns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from trainer.families.base import Drawing, Family
from trainer.lora import targets
from trainer.models import ModelError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from trainer.models import BaseModel


class FlowFamily(Family):
    """A pipeline with a `transformer`. All its text encoders are parts; those in `text_encoders` can learn."""

    traits = frozenset({"flow"})
    text_layers = targets.CLIP
    prediction_type = "flow"
    pipeline: ClassVar[str]  # of diffusers
    readers: ClassVar[tuple[str, ...]]  # all text encoders; one that the model's folder leaves out is None
    left_out: ClassVar[dict[str, Any]] = {}  # parts that training never looks at

    @classmethod
    def recognises(cls, model: BaseModel) -> bool:
        return model.pipeline == cls.pipeline

    def load(self, model: BaseModel, dtype: torch.dtype, vae: str = "") -> dict[str, nn.Module]:
        import diffusers
        import torch

        if model.kind == "file":
            raise ModelError(f"{self.label} is read from a diffusers folder or the hub: a single file lacks its text "
                             "encoders")
        dtypes = {"default": dtype, "vae": torch.float32}
        missing = [name for name in self.readers if name not in self.text_encoders and name not in model.configs]
        absent = self._nothing(missing) if model.kind == "folder" else {}
        self._pipe = getattr(diffusers, self.pipeline).from_pretrained(
            model.where, dtype=dtypes, **self.left_out, **absent
        )
        if vae:
            self._pipe.vae = diffusers.AutoencoderKL.from_pretrained(vae, dtype=torch.float32)
        parts = {"denoiser": self._pipe.transformer, "vae": self._pipe.vae}
        parts |= {name: getattr(self._pipe, name) for name in self.readers if getattr(self._pipe, name) is not None}
        for part in parts.values():
            part.requires_grad_(False).eval()
        return parts

    def encode_pictures(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        posterior, config = self._pipe.vae.encode(pixels).latent_dist, self._pipe.vae.config
        return (posterior.mean - config.shift_factor) * config.scaling_factor, posterior.std * config.scaling_factor

    def tokenizer_id(self) -> str:
        found = (getattr(self._pipe, name.replace("text_encoder", "tokenizer")) for name in self.readers)
        return "".join(tokenizer.backend_tokenizer.to_str() for tokenizer in found if tokenizer)

    def checkpoint_gradients(self) -> None:
        self._pipe.transformer.enable_gradient_checkpointing()
        for name in self.text_encoders:
            getattr(self._pipe, name).gradient_checkpointing_enable({"use_reentrant": False})

    def draw(self, text: dict[str, Tensor], negative: dict[str, Tensor], how: Drawing) -> Tensor:
        """With the model's own sampler, Euler's along the flow."""
        import torch

        pipe, transformer = self._drawing_pipe(), self._pipe.transformer
        pipe.set_progress_bar_config(disable=True)
        factor = pipe.vae_scale_factor
        shape = (1, pipe.vae.config.latent_channels, how.height // factor, how.width // factor)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(how.seed))
        found = pipe(
            **{name: tensor.to(transformer.device, transformer.dtype)
               for name, tensor in self._prompts(text, negative).items()},
            latents=self._packed(noise.to(transformer.device, transformer.dtype)),
            height=how.height,
            width=how.width,
            num_inference_steps=how.steps,
            guidance_scale=how.guidance,
            output_type="latent",
        ).images
        return self._unpacked(found, shape)

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

    def _prompts(self, text: dict[str, Tensor], negative: dict[str, Tensor]) -> dict[str, Tensor]:
        """Encoded captions under the names of the pipeline's arguments."""
        return {
            "prompt_embeds": text["words"], "pooled_prompt_embeds": text["pooled"],
            "negative_prompt_embeds": negative["words"], "negative_pooled_prompt_embeds": negative["pooled"],
        }  # fmt: skip

    def _packed(self, latents: Tensor) -> Tensor:
        """Latents [B, C, h, w] as the transformer takes them."""
        return latents

    def _unpacked(self, packed: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Back again, into `shape`."""
        return packed

    def decode(self, latents: Tensor) -> Tensor:
        vae = self._pipe.vae
        latents = latents.to(vae.device, vae.dtype) / vae.config.scaling_factor + vae.config.shift_factor
        pixels = vae.decode(latents).sample
        return ((pixels / 2 + 0.5).clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu()


def tokens(tokenizer, captions: list[str], length: int, encoder: nn.Module) -> Tensor:
    """Numbers of tokens [B, length], padded and cut, where the encoder is."""
    cut = tokenizer(captions, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    return cut.input_ids.to(encoder.device)
