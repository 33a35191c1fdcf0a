"""Lumina-Image 2.0 (Alpha-VLLM, arXiv 2503.21758): Gemma 2 reads the caption after a system prompt.

It counts time from noise to picture and says the direction of that way: both are turned round here, so that to the
loop it is a flow like the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.families.base import Footprint
from trainer.families.flow import FlowFamily, masked_tokens, trimmed

if TYPE_CHECKING:
    from torch import Tensor

    from trainer.base_model.models import BaseModel

LONGEST = 256  # tokens of Gemma, with those of the system prompt

_BLOCK = r"(layers|noise_refiner|context_refiner)\.\d+"
_ATTENTION = r"attn\.(to_[qkv]|to_out\.0)"


class Lumina2(FlowFamily):
    name = "lumina2"
    label = "Lumina-Image 2.0"
    order = 100
    resolution = 1024
    base_version = "lumina2"
    architecture = "lumina-2"
    layers = {
        "attention": rf"{_BLOCK}\.{_ATTENTION}",
        "attention+ff": rf"{_BLOCK}\.({_ATTENTION}|feed_forward\.linear_[123])",
        "all": rf"{_BLOCK}\.({_ATTENTION}|feed_forward\.linear_[123]|norm1\.linear)",
    }
    footprint = Footprint(
        weights=5.22,
        activations=23.72,
        checkpointed=3.11,
        readers={"text_encoder": 5.23},
        learnt={"attention": 0.461, "attention+ff": 1.498, "all": 1.784},
    )
    pipeline = "Lumina2Pipeline"
    steps = 30
    guidance = 4.0

    @classmethod
    def recognises(cls, model: BaseModel) -> bool:
        return super().recognises(model) or model.pipeline == "Lumina2Text2ImgPipeline"  # what it was called at first

    @classmethod
    def footprint_of(cls, model: BaseModel) -> Footprint | None:
        return cls.footprint if cls.said(model, "hidden_size", 2304) == 2304 else None

    def encode_captions(self, captions: list[str]) -> dict[str, Tensor]:
        """An empty one without the system prompt, as the pipeline reads what a picture should not show."""
        import torch

        pipe = self._pipe
        asked = [f"{pipe.system_prompt} <Prompt Start> {caption}" if caption else "" for caption in captions]
        cut = masked_tokens(pipe.tokenizer, asked, LONGEST, pipe.text_encoder)
        with torch.no_grad():
            words = pipe.text_encoder(**cut, output_hidden_states=True).hidden_states[-2]
        return {"words": words, "mask": cut["attention_mask"].bool()}

    def predict(self, noisy: Tensor, timesteps: Tensor, text: dict[str, Tensor]) -> Tensor:
        words, mask = trimmed(text["words"], text["mask"])
        return -self._pipe.transformer(
            hidden_states=noisy,
            timestep=1 - timesteps,
            encoder_hidden_states=words,
            encoder_attention_mask=mask,
        ).sample
