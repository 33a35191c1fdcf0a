"""FLUX.1 dev and schnell (Black Forest Labs): T5 reads the caption, CLIP only says in one vector what it is about.

dev was distilled to follow a number, the guidance, in one pass instead of two; while it is trained, that number is 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer.families import configs, flow_configs, one_file
from trainer.families.base import Footprint
from trainer.families.flow import RowFamily, places, tokens
from trainer.lora import keys, targets

if TYPE_CHECKING:
    from torch import Tensor

    from trainer.base_model.models import BaseModel

LONGEST = 512  # tokens of T5
GUIDANCE = 1.0
GUIDED = "guidance_in.in_layer.weight"  # where it is in a file, the model is told a guidance
PLAIN = 64  # channels of a place in a noisy picture


class Flux(RowFamily):
    name = "flux"
    label = "FLUX.1"
    order = 50
    traits = frozenset({"flow", "text_encoder", "original_blocks"})
    resolution = 1024
    base_version = "flux1"
    architecture = "flux-1-dev"
    naming = keys.FLUX
    widths = {r"denoiser\.(single_)?transformer_blocks\.\d+\.attn\.to_[qkv]": frozenset({3072})}
    layers = targets.FLUX
    footprint = Footprint(
        weights=23.8,
        activations=37.91,
        checkpointed=2.46,
        readers={"text_encoder": 0.25, "text_encoder_2": 9.52},
        learnt={"attention": 1.634, "attention+ff": 4.086, "all": 5.37},
    )
    text_encoders = ("text_encoder",)
    embedding_keys = {"text_encoder": "clip_l"}
    readers = ("text_encoder", "text_encoder_2")
    encoders = {"text_encoder": ("clip_l", "CLIPTextModel"), "text_encoder_2": ("t5xxl", "T5EncoderModel")}
    pipeline = "FluxPipeline"
    guidance = 3.5
    transformer = "FluxTransformer2DModel"
    left_out = {"image_encoder": None, "feature_extractor": None}
    marks = ("double_blocks.0.img_attn.qkv.weight", "vector_in.in_layer.weight")

    @classmethod
    def footprint_of(cls, model: BaseModel) -> Footprint | None:
        return cls.footprint if cls.said(model, "num_layers", 19) == 19 else None

    @classmethod
    def recognises(cls, model: BaseModel) -> bool:
        """Those that fill in or are controlled see more than the noisy picture."""
        return super().recognises(model) and cls.said(model, "in_channels", PLAIN) == PLAIN

    @classmethod
    def sizes(cls, shapes: one_file.Shapes) -> dict[str, Any]:
        (head,), (width, given) = shapes["double_blocks.0.img_attn.norm.query_norm.scale"], shapes["img_in.weight"]
        return {
            "num_layers": one_file.blocks(shapes, "double_blocks"),
            "num_single_layers": one_file.blocks(shapes, "single_blocks"),
            "attention_head_dim": head,
            "num_attention_heads": width // head,
            "in_channels": given,
            "joint_attention_dim": shapes["txt_in.weight"][1],
            "pooled_projection_dim": shapes["vector_in.in_layer.weight"][1],
            "guidance_embeds": GUIDED in shapes,
        }

    @classmethod
    def published(cls, model: BaseModel) -> tuple[str, configs.Config]:
        """dev is told a guidance, and prefers noise the more the larger a picture is; schnell neither."""
        dev = GUIDED in one_file.transformer(model.shapes)
        return ("flux-dev", flow_configs.FLUX_DEV) if dev else ("flux-schnell", flow_configs.FLUX_SCHNELL)

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
