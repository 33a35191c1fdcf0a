"""Stable Diffusion 1.x and what descends from it, with epsilon or v prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.families import configs
from trainer.families.base import Footprint
from trainer.families.unet import UNetFamily
from trainer.lora import keys

if TYPE_CHECKING:
    from trainer.base_model.models import BaseModel


class Sd15(UNetFamily):
    name = "sd15"
    label = "Stable Diffusion 1.x"
    order = 10
    traits = UNetFamily.traits | {"clip_skip", "full"}
    resolution = 512
    base_version = "sd_v1"
    architecture = "stable-diffusion-v1"
    naming = keys.STABLE_DIFFUSION
    widths = {r"denoiser\..*attn2\.to_[kv]|text_encoder\..*self_attn\..*": frozenset({768})}
    footprint = Footprint(
        weights=1.72,
        activations=1.26,
        checkpointed=0.30,
        readers={"text_encoder": 0.25},
        learnt={"attention": 0.199, "attention+ff": 0.424, "all": 1.051},
    )
    pipeline = "StableDiffusionPipeline"
    left_out = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    configs = configs.SD15
    places = {"text_encoder": "cond_stage_model.transformer."}

    @classmethod
    def recognises(cls, model: BaseModel) -> bool:
        if model.pipeline:
            unet = model.configs.get("unet", {})
            return in_this_pipeline(model) and not unet.get("use_linear_projection", False)
        return (
            any(name.startswith("cond_stage_model.transformer.") for name in model.shapes)
            and model.shapes.get("model.diffusion_model.input_blocks.0.0.weight", (0, 0))[1] == 4
        )


def in_this_pipeline(model: BaseModel) -> bool:
    """SD 1.x and 2.x have the same one; those of SDXL and of SD 3 begin with its name as well."""
    return model.pipeline.startswith("StableDiffusionPipeline")
