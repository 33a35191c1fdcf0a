"""FLUX.1 dev and schnell (Black Forest Labs): T5 reads the caption, CLIP only says in one vector what it is about.

dev was distilled to follow a number, the guidance, in one pass instead of two; while it is trained, that number is 1.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from trainer.families.base import Flow, Footprint
from trainer.families.flow import FlowFamily, tokens
from trainer.lora import keys, targets

if TYPE_CHECKING:
    from torch import Tensor

    from trainer.models import BaseModel

LONGEST = 512  # tokens of T5
GUIDANCE = 1.0


class Flux(FlowFamily):
    name = "flux"
    label = "FLUX.1"
    order = 50
    traits = frozenset({"flow", "original_blocks"})
    resolution = 1024
    bucket_step = 64
    base_version = "flux1"
    architecture = "flux-1-dev"
    naming = keys.FLUX
    widths = {r"denoiser\.(single_)?transformer_blocks\.\d+\.attn\.to_[qkv]": frozenset({3072})}
    layers = targets.FLUX
    footprint = Footprint(weights=24.0, activations=14.0, checkpointed=2.2)
    readers = ("text_encoder", "text_encoder_2")
    pipeline = "FluxPipeline"
    left_out = {"image_encoder": None, "feature_extractor": None}

    @classmethod
    def footprint_of(cls, model: BaseModel) -> Footprint | None:
        return cls.footprint if model.configs.get("transformer", {}).get("num_layers", 19) == 19 else None

    def process(self) -> Flow:
        """Larger pictures are sampled with more noise; schnell is not."""
        said = self._pipe.scheduler.config
        if not said.use_dynamic_shifting:
            return Flow(lambda _: float(said.shift))

        def shift(shape: tuple[int, ...]) -> float:
            pieces = shape[1] * shape[2] / 4
            rise = (said.max_shift - said.base_shift) / (said.max_image_seq_len - said.base_image_seq_len)
            return math.exp(said.base_shift + rise * (pieces - said.base_image_seq_len))

        return Flow(shift)

    def encode_captions(self, captions: list[str]) -> dict[str, Tensor]:
        import torch

        pipe = self._pipe
        cut = tokens(pipe.tokenizer, captions, pipe.tokenizer.model_max_length, pipe.text_encoder)
        pooled = pipe.text_encoder(cut).pooler_output
        with torch.no_grad():
            words = pipe.text_encoder_2(tokens(pipe.tokenizer_2, captions, LONGEST, pipe.text_encoder_2))[0]
        return {"words": words, "pooled": pooled}

    def predict(self, noisy: Tensor, timesteps: Tensor, text: dict[str, Tensor]) -> Tensor:
        import torch

        _, _, height, width = noisy.shape
        transformer, words = self._pipe.transformer, text["words"]
        guided = transformer.config.guidance_embeds
        found = transformer(
            hidden_states=self._packed(noisy),
            timestep=timesteps,
            guidance=torch.full_like(timesteps, GUIDANCE) if guided else None,
            pooled_projections=text["pooled"],
            encoder_hidden_states=words,
            txt_ids=torch.zeros(words.shape[1], 3, device=noisy.device),
            img_ids=places(height // 2, width // 2).to(noisy.device),
        ).sample
        return self._unpacked(found, tuple(noisy.shape))

    def _prompts(self, text: dict[str, Tensor], negative: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"prompt_embeds": text["words"], "pooled_prompt_embeds": text["pooled"]}  # one pass: no negative

    def _packed(self, latents: Tensor) -> Tensor:
        """Squares of 2 x 2 become one place: [B, C, h, w] -> [B, h w / 4, 4 C]."""
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
