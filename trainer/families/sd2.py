"""Stable Diffusion 2.x: a wider text encoder, v prediction at 768 px and epsilon at 512."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.families import configs
from trainer.families.base import Footprint
from trainer.families.sd15 import in_this_pipeline
from trainer.families.unet import UNetFamily
from trainer.lora import keys

if TYPE_CHECKING:
    from trainer.base_model.models import BaseModel


class Sd2(UNetFamily):
    name = "sd2"
    label = "Stable Diffusion 2.x"
    order = 20
    resolution = 768
    naming = keys.STABLE_DIFFUSION
    widths = {r"denoiser\..*attn2\.to_[kv]|text_encoder\..*self_attn\..*": frozenset({1024})}
    footprint = Footprint(
        weights=1.73,
        activations=2.79,
        checkpointed=0.64,
        readers={"text_encoder": 0.68},
        learnt={"attention": 0.207, "attention+ff": 0.432, "all": 1.059},
    )
    pipeline = "StableDiffusionPipeline"
    left_out = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    configs = configs.SD2

    @classmethod
    def recognises(cls, model: BaseModel) -> bool:
        if model.pipeline:
            return in_this_pipeline(model) and model.configs.get("unet", {}).get("use_linear_projection", False)
        return (
            any(name.startswith("cond_stage_model.model.") for name in model.shapes)
            and model.shapes.get("model.diffusion_model.input_blocks.0.0.weight", (0, 0))[1] == 4
        )

    @classmethod
    def unsaid(cls, model: BaseModel) -> dict[str, str]:
        if model.kind != "file" or model.prediction_type:
            return {}
        return {"model.prediction_type": "an SD 2.x file does not say what it predicts: choose v_prediction for one "
                                         "that was made for 768 px, epsilon for one that was made for 512 px"}

    @property
    def base_version(self) -> str:
        return "sd_v2_v" if self._predicts_v else "sd_v2"

    @property
    def architecture(self) -> str:
        return "stable-diffusion-v2-768-v" if self._predicts_v else "stable-diffusion-v2-512"

    @property
    def _predicts_v(self) -> bool:
        return self.prediction_type == "v_prediction"
