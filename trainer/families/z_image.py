"""Z-Image (Tongyi, arXiv 2511.22699): one row of words and picture in one transformer, and Qwen3 reads the caption.

It counts time from noise to picture and says the direction of that way: both are turned round here, so that to the
loop it is a flow like the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer.families.base import Footprint
from trainer.families.flow import FlowFamily, filled_up

if TYPE_CHECKING:
    from torch import Tensor

    from trainer.base_model.models import BaseModel

LONGEST = 512  # tokens of Qwen3, with those of its chat template

_BLOCK = r"(layers|noise_refiner|context_refiner)\.\d+"
_ATTENTION = r"attention\.(to_[qkv]|to_out\.0)"


class ZImage(FlowFamily):
    name = "z_image"
    label = "Z-Image"
    order = 70
    resolution = 1024
    base_version = "zimage"
    architecture = "z-image"
    layers = {
        "attention": rf"{_BLOCK}\.{_ATTENTION}",
        "attention+ff": rf"{_BLOCK}\.({_ATTENTION}|feed_forward\.w[123])",
        "all": rf"{_BLOCK}\.({_ATTENTION}|feed_forward\.w[123]|adaLN_modulation\.0)",
    }
    footprint = Footprint(
        weights=12.31,
        activations=39.49,
        checkpointed=2.57,
        readers={"text_encoder": 8.04},
        learnt={"attention": 1.044, "attention+ff": 2.481, "all": 2.98},
    )
    pipeline = "ZImagePipeline"
    guidance = 5.0

    @classmethod
    def footprint_of(cls, model: BaseModel) -> Footprint | None:
        return cls.footprint if cls.said(model, "dim", 3840) == 3840 else None

    def encode_captions(self, captions: list[str]) -> dict[str, Tensor]:
        import torch

        pipe = self._pipe
        with torch.no_grad():
            words, _ = pipe.encode_prompt(list(captions), pipe.text_encoder.device, do_classifier_free_guidance=False,
                                          max_sequence_length=LONGEST)
        return filled_up(words, LONGEST)

    def predict(self, noisy: Tensor, timesteps: Tensor, text: dict[str, Tensor]) -> Tensor:
        import torch

        frames = list(noisy.unsqueeze(2).unbind())  # a picture is a film of one frame
        found = self._pipe.transformer(frames, 1 - timesteps, self._each(text)).sample
        return -torch.stack(found).squeeze(2)

    @staticmethod
    def _each(text: dict[str, Tensor]) -> list[Tensor]:
        """The words of each caption [n, width], as many as it has."""
        return [words[mask] for words, mask in zip(text["words"], text["mask"])]

    def _prompts(self, text: dict[str, Tensor], negative: dict[str, Tensor]) -> dict[str, Any]:
        return {"prompt_embeds": self._each(text), "negative_prompt_embeds": self._each(negative)}

    def _guidance(self, scale: float) -> dict[str, Any]:
        return {"guidance_scale": scale - 1}  # this pipeline counts from 0
