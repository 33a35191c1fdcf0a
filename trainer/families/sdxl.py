"""Stable Diffusion XL and what descends from it (Podell et al., arXiv 2307.01952), with epsilon or v prediction.

It reads each caption with two text encoders, and is told for each picture how large the file was, where it was cut and
how large it came out: without that it would learn to draw what upscaled and cut-off pictures look like.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from trainer.families import configs
from trainer.families.base import Footprint, View
from trainer.families.unet import UNetFamily
from trainer.families.words import read
from trainer.lora import keys

if TYPE_CHECKING:
    from torch import Tensor

    from trainer.base_model.models import BaseModel


class Sdxl(UNetFamily):
    name = "sdxl"
    label = "Stable Diffusion XL"
    order = 30
    traits = frozenset({"ddpm", "text_encoder", "two_text_encoders", "original_blocks", "clip_words", "full"})
    resolution = 1024
    base_version = "sdxl_base_v1-0"
    architecture = "stable-diffusion-xl-v1-base"
    naming = keys.SDXL
    widths = {r"denoiser\..*attn2\.to_[kv]": frozenset({2048}), r"text_encoder_2\..*self_attn\..*": frozenset({1280})}
    footprint = Footprint(
        weights=5.13,
        activations=8.37,
        checkpointed=0.72,
        readers={"text_encoder": 0.25, "text_encoder_2": 1.39},
        learnt={"attention": 1.452, "attention+ff": 2.66, "all": 3.074},
    )
    text_encoders = ("text_encoder", "text_encoder_2")
    embedding_keys = {"text_encoder": "clip_l", "text_encoder_2": "clip_g"}
    pipeline = "StableDiffusionXLPipeline"
    left_out = {"feature_extractor": None, "image_encoder": None, "add_watermarker": False}
    configs = configs.SDXL

    places = {"text_encoder": "conditioner.embedders.0.transformer.",
              "text_encoder_2": "conditioner.embedders.1.model."}
    @classmethod
    def recognises(cls, model: BaseModel) -> bool:
        if model.pipeline:  # the refiner has the same pipeline with another name, and only the second text encoder
            return model.pipeline == cls.pipeline and "text_encoder" in model.configs
        return (
            any(name.startswith("conditioner.embedders.1.") for name in model.shapes)
            and model.shapes.get("model.diffusion_model.input_blocks.0.0.weight", (0, 0))[1] == 4
        )

    def tokenizer_id(self) -> str:
        return super().tokenizer_id() + self._pipe.tokenizer_2.backend_tokenizer.to_str()

    def encode_captions(self, captions: list[str]) -> dict[str, Tensor]:
        import torch

        pipe, words = self._pipe, []
        for encoder, tokenizer in ((pipe.text_encoder, pipe.tokenizer), (pipe.text_encoder_2, pipe.tokenizer_2)):
            asked = read(tokenizer, captions, self.reading, encoder)
            said = encoder(asked.numbers, output_hidden_states=True)
            # The last layer but one of both, without the norm that would follow the last.
            words.append(asked.joined(said.hidden_states[-2]))
        # The second's alone, of the first piece of each caption: it is one vector, and has no weights.
        return {"words": torch.cat(words, dim=-1), "pooled": said.text_embeds[:: self.reading.pieces]}

    def conditions(self, views: Sequence[View]) -> dict[str, Tensor]:
        """time_ids, float32 [B, 6]: heights before widths, as the model was trained. In bfloat16 1023 would be 1024."""
        import torch

        rows = [[*reversed(view.original), view.top, view.left, *reversed(view.size)] for view in views]
        return {"time_ids": torch.tensor(rows, dtype=torch.float32)}

    def predict(self, noisy: Tensor, timesteps: Tensor, text: dict[str, Tensor]) -> Tensor:
        more = {"text_embeds": text["pooled"], "time_ids": text["time_ids"]}
        return self._pipe.unet(noisy, timesteps, text["words"], added_cond_kwargs=more).sample

    def _prompts(self, text: dict[str, Tensor], negative: dict[str, Tensor]) -> dict[str, Tensor]:
        pooled = {"pooled_prompt_embeds": text["pooled"], "negative_pooled_prompt_embeds": negative["pooled"]}
        return super()._prompts(text, negative) | pooled
