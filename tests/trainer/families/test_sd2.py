"""SD 2.x is told from SD 1.x, and says what it predicts."""

import torch

from tests.models import tiny_sd2
from trainer.base_model.models import BaseModel, find
from trainer.families import configs
from trainer.families.sd2 import Sd2
from trainer.families.sd15 import Sd15


def test_what_it_predicts_is_part_of_its_files(tmp_path):
    for said, version, architecture in (("v_prediction", "sd_v2_v", "stable-diffusion-v2-768-v"),
                                        ("epsilon", "sd_v2", "stable-diffusion-v2-512")):
        family = Sd2()
        family.load(find(str(tiny_sd2(tmp_path / said, prediction_type=said))), torch.float32)
        assert (family.prediction_type, family.base_version, family.architecture) == (said, version, architecture)


def test_the_full_size_has_the_published_numbers():
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    plain = {name: value for name, value in configs.CLIP_H.items() if name not in ("architectures", "model_type")}
    with torch.device("meta"):
        unet, text = UNet2DConditionModel(**configs.UNET_SD2), CLIPTextModel(CLIPTextConfig(**plain))
    assert sum(weight.numel() for weight in unet.parameters()) == 865_910_724
    assert sum(weight.numel() for weight in text.parameters()) == 340_387_840


def test_a_single_file_is_asked_about(tmp_path):
    shapes = {"cond_stage_model.model.ln_final.bias": (1024,)}
    assert "768 px" in Sd2.unsaid(BaseModel("a", "file", shapes=shapes))["model.prediction_type"]
    assert not Sd2.unsaid(BaseModel("a", "file", shapes=shapes | {"v_pred": ()}))
    assert not Sd2.unsaid(find(str(tiny_sd2(tmp_path / "two"))))


def test_single_files_are_told_from_those_of_sd1():
    unet = {"model.diffusion_model.input_blocks.0.0.weight": (320, 4, 3, 3)}
    text = "cond_stage_model.transformer.text_model.final_layer_norm.bias", "cond_stage_model.model.ln_final.bias"
    one, two = (BaseModel("a", "file", shapes=unet | {name: (768,)}) for name in text)
    assert [Sd15.recognises(one), Sd2.recognises(one)] == [True, False]
    assert [Sd15.recognises(two), Sd2.recognises(two)] == [False, True]
