"""FLUX.2 klein (Black Forest Labs), 4B and 9B: three layers of Qwen3, stacked, are what it reads of the caption.

Its latents are squares of 2 x 2 as channels, evened out by the statistics that its VAE kept of its own training.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trainer.families.base import Drawing, Footprint
from trainer.families.flow import FlowFamily, as_bytes, places

if TYPE_CHECKING:
    from torch import Tensor

    from trainer.base_model.models import BaseModel

SMALLER = Footprint(  # of 4B
    weights=7.75,
    activations=19.09,
    checkpointed=1.86,
    readers={"text_encoder": 8.04},
    learnt={"attention": 1.167, "attention+ff": 1.505, "all": 1.561},
)
STEPS = 50  # of the sampler whose preference for noise is trained
LARGE = 4300  # places

_ATTENTION = (r"(transformer_blocks\.\d+\.attn\.(to_[qkv]|to_out\.0|add_[qkv]_proj|to_add_out)"
              r"|single_transformer_blocks\.\d+\.attn\.(to_qkv_mlp_proj|to_out))")
_FEED_FORWARD = r"transformer_blocks\.\d+\.ff(_context)?\.linear_(in|out)"


class Flux2Klein(FlowFamily):
    name = "flux2_klein"
    label = "FLUX.2 klein"
    order = 90
    resolution = 1024
    base_version = "flux2_klein"
    architecture = "flux-2-klein"
    layers = {
        "attention": _ATTENTION,
        "attention+ff": rf"({_ATTENTION}|{_FEED_FORWARD})",
        "all": rf"({_ATTENTION}|{_FEED_FORWARD}|(double_stream_modulation_(img|txt)|single_stream_modulation)\.linear)",
    }
    footprint = Footprint(
        weights=18.16,
        activations=32.54,
        checkpointed=2.73,
        readers={"text_encoder": 16.38},
        learnt={"attention": 1.999, "attention+ff": 2.72, "all": 2.793},
    )
    pipeline = "Flux2KleinPipeline"
    guidance = 4.0  # a distilled one draws without, whatever is said

    @classmethod
    def footprint_of(cls, model: BaseModel) -> Footprint | None:
        known = {24: SMALLER, 32: cls.footprint}
        return known.get(cls.said(model, "num_attention_heads", 32))

    @classmethod
    def shift_of(cls, said: Mapping[str, Any], places: float) -> float:
        """As its sampler reckons: between two straight lines, measured for 10 and for 200 steps; for large pictures
        the second."""
        if not said.get("use_dynamic_shifting"):
            return super().shift_of(said, places)
        few, many = 8.73809524e-05 * places + 1.89833333, 0.00016927 * places + 0.45666666
        return math.exp(many if places > LARGE else many + (few - many) * (200 - STEPS) / 190)

    @staticmethod
    def _places(shape: tuple[int, ...]) -> float:
        return shape[1] * shape[2]

    def encode_pictures(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        posterior = self._pipe.vae.encode(pixels).latent_dist
        mean, spread = self._statistics()
        return (in_squares(posterior.mean) - mean) / spread, in_squares(posterior.std) / spread

    def decode(self, latents: Tensor) -> Tensor:
        vae = self._pipe.vae
        mean, spread = self._statistics()
        return as_bytes(vae.decode(out_of_squares(latents.to(vae.device, vae.dtype) * spread + mean)).sample)

    def _statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each channel of the latents, [1, C, 1, 1]."""
        vae = self._pipe.vae
        spread = (vae.bn.running_var + vae.config.batch_norm_eps).sqrt()
        return vae.bn.running_mean.view(1, -1, 1, 1), spread.view(1, -1, 1, 1)

    def encode_captions(self, captions: list[str]) -> dict[str, Tensor]:
        import torch

        with torch.no_grad():
            return {"words": self._pipe.encode_prompt(captions, self._pipe.text_encoder.device)[0]}

    def predict(self, noisy: Tensor, timesteps: Tensor, text: dict[str, Tensor]) -> Tensor:
        import torch

        _, _, height, width = noisy.shape
        words, picture = torch.zeros(text["words"].shape[1], 4), torch.zeros(height * width, 4)
        words[:, 3], picture[:, :3] = torch.arange(len(words)), places(height, width)
        found = self._pipe.transformer(
            hidden_states=noisy.flatten(2).transpose(1, 2),
            timestep=timesteps,
            encoder_hidden_states=text["words"],
            txt_ids=words.to(noisy.device),
            img_ids=picture.to(noisy.device),
        ).sample
        return found.transpose(1, 2).reshape(noisy.shape)

    def _shape(self, how: Drawing) -> tuple[int, ...]:
        _, channels, height, width = super()._shape(how)
        return (1, 4 * channels, height // 2, width // 2)

    def _drawing_pipe(self):
        pipe = super()._drawing_pipe()
        pipe.register_to_config(is_distilled=self._pipe.config.is_distilled)  # such a one draws without guidance
        return pipe

    def _prompts(self, text: dict[str, Tensor], negative: dict[str, Tensor]) -> dict[str, Any]:
        return {"prompt_embeds": text["words"], "negative_prompt_embeds": negative["words"]}

    def _unpacked(self, packed: Tensor, shape: tuple[int, ...]) -> Tensor:
        """The pipeline gives what its VAE decodes."""
        mean, spread = (numbers.to(packed) for numbers in self._statistics())
        return (in_squares(packed) - mean) / spread


def in_squares(latents: Tensor) -> Tensor:
    """[B, C, h, w] -> [B, 4 C, h / 2, w / 2]."""
    import torch

    return torch.nn.functional.pixel_unshuffle(latents, 2)


def out_of_squares(latents: Tensor) -> Tensor:
    """[B, 4 C, h, w] -> [B, C, 2 h, 2 w]."""
    import torch

    return torch.nn.functional.pixel_shuffle(latents, 2)
