"""Sana (NVIDIA, arXiv 2410.10629): linear attention over latents that are 32 times smaller than the picture.

Gemma 2 reads the caption after an instruction on how to imagine it, of which only the caption's end is kept. The VAE
is an autoencoder without chance: each picture has its latents, and no spread.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trainer.families.base import Drawing, Footprint
from trainer.families.flow import FlowFamily, as_bytes, trimmed

if TYPE_CHECKING:
    from torch import Tensor

    from trainer.base_model.models import BaseModel

LONGEST = 300  # tokens of a caption

_ATTENTION = r"transformer_blocks\.\d+\.attn[12]\.(to_[qkv]|to_out\.0)"
_FEED_FORWARD = r"transformer_blocks\.\d+\.ff\.conv_(inverted|point)"


class Sana(FlowFamily):
    name = "sana"
    label = "Sana"
    order = 110
    resolution = 1024
    base_version = "sana"
    architecture = "sana"
    layers = {
        "attention": _ATTENTION,
        "attention+ff": rf"({_ATTENTION}|{_FEED_FORWARD})",
        "all": rf"({_ATTENTION}|{_FEED_FORWARD}|time_embed\.linear)",
    }
    footprint = Footprint(
        weights=3.21,
        activations=3.47,
        checkpointed=0.27,
        readers={"text_encoder": 5.23},
        learnt={"attention": 0.717, "attention+ff": 1.142, "all": 1.158},
    )
    pipeline = "SanaPipeline"
    levels = "encoder_block_out_channels"
    patch = 1
    published_step = 32
    steps = 20
    guidance = 4.5

    @classmethod
    def footprint_of(cls, model: BaseModel) -> Footprint | None:
        return cls.footprint if cls.said(model, "num_layers", 20) == 20 else None

    @classmethod
    def shift_of(cls, said: Mapping[str, Any], places: float) -> float:
        return float(said.get("flow_shift") or said["shift"])  # of its own sampler, or of the flows' usual one

    def encode_pictures(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        latents = self._pipe.vae.encode(pixels).latent * self._pipe.vae.config.scaling_factor
        return latents, latents.new_zeros(latents.shape)

    def decode(self, latents: Tensor) -> Tensor:
        vae = self._pipe.vae
        return as_bytes(vae.decode(latents.to(vae.device, vae.dtype) / vae.config.scaling_factor).sample)

    def encode_captions(self, captions: list[str]) -> dict[str, Tensor]:
        """An empty one without the instruction, as the pipeline reads what a picture should not show."""
        import torch

        rows = [self._read(caption) for caption in captions]
        return {"words": torch.cat([words for words, _ in rows]), "mask": torch.cat([mask for _, mask in rows]).bool()}

    def _read(self, caption: str) -> tuple[Tensor, Tensor]:
        """Words [1, n, width] and mask [1, n] of one caption."""
        import inspect

        import torch

        pipe = self._pipe
        asked = inspect.signature(type(pipe).__call__).parameters["complex_human_instruction"].default
        with torch.no_grad():
            words, mask, _, _ = pipe.encode_prompt(
                caption, False, device=pipe.text_encoder.device, max_sequence_length=LONGEST,
                complex_human_instruction=asked if caption else None)
        return words, mask

    def predict(self, noisy: Tensor, timesteps: Tensor, text: dict[str, Tensor]) -> Tensor:
        words, mask = trimmed(text["words"], text["mask"])
        return self._pipe.transformer(
            noisy,
            encoder_hidden_states=words,
            encoder_attention_mask=mask,
            timestep=1000 * self._pipe.transformer.config.timestep_scale * timesteps,
        ).sample

    def _shape(self, how: Drawing) -> tuple[int, ...]:
        factor = self._pipe.vae_scale_factor
        return (1, self._pipe.vae.config.latent_channels, how.height // factor, how.width // factor)

    def _prompts(self, text: dict[str, Tensor], negative: dict[str, Tensor]) -> dict[str, Any]:
        return super()._prompts(text, negative) | {"negative_prompt": None}

    def _guidance(self, scale: float) -> dict[str, Any]:
        return {"guidance_scale": scale, "use_resolution_binning": False}  # the size that was asked for
