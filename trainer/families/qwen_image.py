"""Qwen-Image (Alibaba, arXiv 2508.02324): 20 billion weights, and Qwen2.5-VL reads the caption.

Its VAE is made for films, so a picture is a film of one frame; each channel of the latents has a mean and a spread of
its own. What the chat template says before the caption is read, and then left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer.families.base import Drawing, Footprint
from trainer.families.flow import RowFamily, as_bytes, filled_up, trimmed

if TYPE_CHECKING:
    from torch import Tensor

    from trainer.base_model.models import BaseModel

LONGEST = 512  # tokens of a caption, as the pipeline takes them

_ATTENTION = r"attn\.(to_[qkv]|to_out\.0)"
_BOTH = r"(attn\.(add_[qkv]_proj|to_add_out)|(img|txt)_mlp\.net\.(0\.proj|2))"


class QwenImage(RowFamily):
    name = "qwen_image"
    label = "Qwen-Image"
    order = 80
    resolution = 1024
    base_version = "qwen_image"
    architecture = "qwen-image"
    layers = {
        "attention": rf"transformer_blocks\.\d+\.{_ATTENTION}",
        "attention+ff": rf"transformer_blocks\.\d+\.({_ATTENTION}|{_BOTH})",
        "all": rf"transformer_blocks\.\d+\.({_ATTENTION}|{_BOTH}|(img|txt)_mod\.1)",
    }
    footprint = Footprint(
        weights=40.86,
        activations=44.41,
        checkpointed=2.6,
        readers={"text_encoder": 16.58},
        learnt={"attention": 1.475, "attention+ff": 6.636, "all": 9.216},
    )
    pipeline = "QwenImagePipeline"
    levels = "dim_mult"
    guidance = 4.0

    @classmethod
    def footprint_of(cls, model: BaseModel) -> Footprint | None:
        return cls.footprint if cls.said(model, "num_layers", 60) == 60 else None

    def encode_pictures(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        posterior = self._pipe.vae.encode(pixels.unsqueeze(2)).latent_dist
        mean, spread = self._statistics(pixels)
        return (posterior.mean.squeeze(2) - mean) / spread, posterior.std.squeeze(2) / spread

    def decode(self, latents: Tensor) -> Tensor:
        vae = self._pipe.vae
        latents = latents.to(vae.device, vae.dtype)
        mean, spread = self._statistics(latents)
        return as_bytes(vae.decode((latents * spread + mean).unsqueeze(2)).sample[:, :, 0])

    def _statistics(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each channel of the latents, [1, C, 1, 1]."""
        said = self._pipe.vae.config
        return tuple(like.new_tensor(numbers).view(1, -1, 1, 1) for numbers in (said.latents_mean, said.latents_std))

    def encode_captions(self, captions: list[str]) -> dict[str, Tensor]:
        import torch

        pipe = self._pipe
        with torch.no_grad():
            words, mask = pipe.encode_prompt(captions, pipe.text_encoder.device, max_sequence_length=LONGEST)
        kept = words.new_ones(words.shape[:2]).bool() if mask is None else mask.bool()
        return filled_up([row[own] for row, own in zip(words, kept)], LONGEST)

    def predict(self, noisy: Tensor, timesteps: Tensor, text: dict[str, Tensor]) -> Tensor:
        _, _, height, width = noisy.shape
        words, mask = trimmed(text["words"], text["mask"])
        found = self._pipe.transformer(
            hidden_states=self._packed(noisy),
            timestep=timesteps,
            encoder_hidden_states=words,
            encoder_hidden_states_mask=None if mask.all() else mask,
            img_shapes=[[(1, height // 2, width // 2)]] * len(noisy),
        ).sample
        return self._unpacked(found, tuple(noisy.shape))

    def _shape(self, how: Drawing) -> tuple[int, ...]:
        factor = self._pipe.vae_scale_factor
        return (1, self._pipe.vae.config.z_dim, how.height // factor, how.width // factor)

    def _prompts(self, text: dict[str, Tensor], negative: dict[str, Tensor]) -> dict[str, Any]:
        return {"prompt_embeds": text["words"], "prompt_embeds_mask": text["mask"],
                "negative_prompt_embeds": negative["words"], "negative_prompt_embeds_mask": negative["mask"]}

    def _guidance(self, scale: float) -> dict[str, Any]:
        return {"true_cfg_scale": scale}
