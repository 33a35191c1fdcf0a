"""Stable Diffusion 3 Medium, 3.5 Medium and 3.5 Large (Esser et al., arXiv 2403.03206).

Three text encoders read each caption: two CLIPs, which can learn, and T5, which never does. A folder without T5 works:
the model was trained with each of the three left out now and then.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from trainer.families import configs, flow_configs, one_file
from trainer.families.base import Footprint
from trainer.families.flow import FlowFamily, tokens
from trainer.lora import keys, targets

if TYPE_CHECKING:
    from torch import Tensor

    from trainer.base_model.models import BaseModel

LONGEST = 256  # tokens of T5, as the pipeline takes them; the CLIPs see 77
READERS = {"text_encoder": 0.25, "text_encoder_2": 1.39, "text_encoder_3": 9.5}
MEDIUM = Footprint(  # of 3.5; 3 takes a little less
    weights=4.49,
    activations=11.05,
    checkpointed=0.85,
    readers=READERS,
    learnt={"attention": 0.746, "attention+ff": 1.468, "all": 2.038},
)


class Sd3(FlowFamily):
    name = "sd3"
    label = "Stable Diffusion 3 and 3.5"
    order = 40
    traits = frozenset({"flow", "text_encoder", "two_text_encoders"})
    resolution = 1024
    base_version = "sd3"
    architecture = "stable-diffusion-3"
    naming = keys.SD3
    widths = {r"denoiser\.transformer_blocks\.\d+\.attn\.to_[qkv]": frozenset({1536, 2432})}
    layers = targets.SD3
    footprint = Footprint(
        weights=16.11,
        activations=22.24,
        checkpointed=1.47,
        readers=READERS,
        learnt={"attention": 1.474, "attention+ff": 3.298, "all": 4.582},
    )
    text_encoders = ("text_encoder", "text_encoder_2")
    embedding_keys = {"text_encoder": "clip_l", "text_encoder_2": "clip_g"}
    readers = ("text_encoder", "text_encoder_2", "text_encoder_3")
    encoders = {"text_encoder": ("clip_l", "CLIPTextModelWithProjection"),
                "text_encoder_2": ("clip_g", "CLIPTextModelWithProjection"),
                "text_encoder_3": ("t5xxl", "T5EncoderModel")}
    spare = ("text_encoder_3",)
    pipeline = "StableDiffusion3Pipeline"
    guidance = 4.5
    transformer = "SD3Transformer2DModel"
    left_out = {"image_encoder": None, "feature_extractor": None}
    marks = ("joint_blocks.0.context_block.attn.qkv.weight", "y_embedder.mlp.0.weight")

    @classmethod
    def footprint_of(cls, model: BaseModel) -> Footprint | None:
        known = {24: MEDIUM, 38: cls.footprint}
        return known.get(cls.said(model, "num_layers", 38))

    @classmethod
    def sizes(cls, shapes: one_file.Shapes) -> dict[str, Any]:
        layers, (width, joint) = one_file.blocks(shapes, "joint_blocks"), shapes["context_embedder.weight"]
        (head,) = shapes.get("joint_blocks.0.x_block.attn.ln_q.weight", (64,))  # 3.0 has no such norm, and always 64
        return {
            "num_layers": layers,
            "dual_attention_layers": tuple(
                place for place in range(layers) if f"joint_blocks.{place}.x_block.attn2.qkv.weight" in shapes),
            "qk_norm": "rms_norm" if "joint_blocks.0.x_block.attn.ln_q.weight" in shapes else None,
            "attention_head_dim": head,
            "num_attention_heads": width // head,
            "caption_projection_dim": width,
            "joint_attention_dim": joint,
            "pooled_projection_dim": shapes["y_embedder.mlp.0.weight"][1],
            "pos_embed_max_size": math.isqrt(shapes["pos_embed"][1]),
        }

    @classmethod
    def published(cls, model: BaseModel) -> tuple[str, configs.Config]:
        return "sd3", flow_configs.SD3

    def encode_captions(self, captions: list[str]) -> dict[str, Tensor]:
        import torch

        pipe, words, pooled = self._pipe, [], []
        for encoder, tokenizer in ((pipe.text_encoder, pipe.tokenizer), (pipe.text_encoder_2, pipe.tokenizer_2)):
            said = encoder(tokens(tokenizer, captions, tokenizer.model_max_length, encoder), output_hidden_states=True)
            words.append(said.hidden_states[-2])
            pooled.append(said.text_embeds)
        clip, width = torch.cat(words, dim=-1), pipe.transformer.config.joint_attention_dim
        if pipe.text_encoder_3 is None:
            long = clip.new_zeros(len(captions), LONGEST, width)
        else:
            with torch.no_grad():
                long = pipe.text_encoder_3(tokens(pipe.tokenizer_3, captions, LONGEST, pipe.text_encoder_3))[0]
        # One after the other: the CLIPs side by side, filled up with zeros to T5's width, then T5.
        clip = torch.nn.functional.pad(clip, (0, width - clip.shape[-1]))
        return {"words": torch.cat([clip, long.to(clip.dtype)], dim=-2), "pooled": torch.cat(pooled, dim=-1)}

    def _prompts(self, text: dict[str, Tensor], negative: dict[str, Tensor]) -> dict[str, Tensor]:
        return {
            "prompt_embeds": text["words"], "pooled_prompt_embeds": text["pooled"],
            "negative_prompt_embeds": negative["words"], "negative_pooled_prompt_embeds": negative["pooled"],
        }  # fmt: skip

    def predict(self, noisy: Tensor, timesteps: Tensor, text: dict[str, Tensor]) -> Tensor:
        return self._pipe.transformer(
            hidden_states=noisy,
            timestep=1000 * timesteps,
            encoder_hidden_states=text["words"],
            pooled_projections=text["pooled"],
        ).sample
