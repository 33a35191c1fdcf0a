"""SDXL against diffusers: the words, the sizes, the names, and a file that its pipeline loads in full."""

import pytest
import torch
from diffusers import StableDiffusionXLPipeline

from tests.lora import spec
from tests.models import golden_lines, tiny_sdxl
from trainer.base_model.models import BaseModel, find
from trainer.families import configs
from trainer.families.base import Drawing, View
from trainer.families.sdxl import Sdxl
from trainer.lora import file, inject, keys, merge, native

CAPTIONS = ["a red dog", ""]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_sdxl(tmp_path_factory.mktemp("models") / "sdxl")


def loaded(folder, dtype=torch.float32):
    family = Sdxl()
    return family, family.load(find(str(folder)), dtype)


def test_words_and_pooled_words_are_those_of_the_pipeline(folder):
    family, _ = loaded(folder)
    pipe = StableDiffusionXLPipeline.from_pretrained(folder, add_watermarker=False)
    with torch.no_grad():
        ours = family.encode_captions(CAPTIONS)
        for row, caption in enumerate(CAPTIONS):
            words, _, pooled, _ = pipe.encode_prompt(caption, device="cpu", do_classifier_free_guidance=False)
            torch.testing.assert_close(ours["words"][row], words[0])
            torch.testing.assert_close(ours["pooled"][row], pooled[0])


def test_sizes_are_told_as_the_pipeline_tells_them_and_in_float32(folder):
    family, _ = loaded(folder, torch.bfloat16)
    pipe = StableDiffusionXLPipeline.from_pretrained(folder, add_watermarker=False)
    views = [View((1023, 769), 5, 7, (960, 704)), View((1999, 1501), 0, 0, (1152, 896))]
    told = family.conditions(views)["time_ids"]
    for row, view in zip(told, views):
        (width, height), (seen_width, seen_height) = view.original, view.size
        wanted = pipe._get_add_time_ids((height, width), (view.top, view.left), (seen_height, seen_width),
                                        dtype=torch.float32, text_encoder_projection_dim=24)
        assert torch.equal(row, wanted[0])
    assert told.dtype == torch.float32 and told[0, 1] == 1023  # P8: in bfloat16 it would be 1024


def test_a_prediction_follows_sizes_and_pooled_words(folder):
    family, _ = loaded(folder)
    noisy = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))

    def predicted(caption, width):
        text = family.encode_captions([caption]) | family.conditions([View((width, 64), 0, 0, (64, 64))])
        return family.predict(noisy, torch.tensor([500]), text)

    with torch.no_grad():
        first = predicted("a dog", 64)
        assert not torch.allclose(first, predicted("a dog", 640)) and not torch.allclose(first, predicted("a cat", 64))
        text = family.encode_captions(["a dog"]) | family.conditions([View((64, 64), 0, 0, (64, 64))])
        text["pooled"] = text["pooled"] + 1
        assert not torch.allclose(first, family.predict(noisy, torch.tensor([500]), text))


def test_its_file_loads_in_diffusers_with_every_key_and_draws_what_a_merge_draws(folder, tmp_path, caplog):
    family, parts = loaded(folder)
    trained = {name: parts[name] for name in ("denoiser", *family.text_encoders)}
    for name, part in trained.items():
        pattern = family.layers["all"] if name == "denoiser" else family.text_layers
        inject.inject(part, spec(part, name, pattern, 4, 2.0), seed=0)
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in inject.state(trained).values():
            weight.copy_(0.2 * torch.randn(weight.shape, generator=random))
    path = tmp_path / "lora.safetensors"
    file.save(path, inject.state(trained), inject.alphas(trained), naming=family.naming, metadata={},
              dtype=torch.float32)
    pipe = StableDiffusionXLPipeline.from_pretrained(folder, add_watermarker=False)
    pipe.set_progress_bar_config(disable=True)
    how = {"num_inference_steps": 2, "height": 64, "width": 64, "output_type": "np"}

    def drawn():
        return torch.tensor(pipe("a red dog", generator=torch.Generator().manual_seed(3), **how).images)

    plain = drawn()
    pipe.load_lora_weights(path)
    adapted = drawn()
    assert not [record for record in caplog.records if "not" in record.message and "key" in record.message.lower()]
    pipe.unload_lora_weights()
    bases = {"denoiser": pipe.unet, "text_encoder": pipe.text_encoder, "text_encoder_2": pipe.text_encoder_2}
    match = file.match(file.load(path), bases, family.naming)
    assert not match.unmatched and match.adapters.keys() == inject.alphas(trained).keys()
    merge.merge(bases, match.adapters)
    assert torch.allclose(adapted, drawn(), atol=1e-4) and not torch.allclose(plain, adapted, atol=1e-2)


def test_a_drawing_is_the_pipelines_own(folder):
    family, _ = loaded(folder)
    with torch.no_grad():
        ours = family.decode(family.draw(family.encode_captions(["a red dog"]), family.encode_captions([""]),
                                         Drawing(64, 64, 2, 4.0, "ddim", 7)))
    assert ours.shape == (1, 64, 64, 3)


def full_size():
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    plain = [{name: value for name, value in config.items() if name not in ("architectures", "model_type")}
             for config in (configs.CLIP_L, configs.CLIP_BIG_G)]
    with torch.device("meta"):
        return {
            "denoiser": UNet2DConditionModel(**configs.UNET_SDXL),
            "text_encoder": CLIPTextModel(CLIPTextConfig(**plain[0])),
            "text_encoder_2": CLIPTextModelWithProjection(CLIPTextConfig(**plain[1])),
        }


def test_the_full_size_has_the_published_numbers_and_kohyas_names():
    parts = full_size()
    count = {name: sum(weight.numel() for weight in part.parameters()) for name, part in parts.items()}
    assert count == {"denoiser": 2_567_463_684, "text_encoder": 123_060_480, "text_encoder_2": 694_659_840}
    layers = inject.learnable(parts)
    named = Sdxl.layers["attention+ff"], Sdxl.text_layers
    import re

    unet = [name for name in layers if re.fullmatch(rf"denoiser\.({named[0]})", name)]
    text = [name for name in layers if re.fullmatch(rf"text_encoder(_2)?\.({named[1]})", name)]
    assert (len(unet), len(text)) == (722, 264)  # what kohya's trainers report
    spelled = keys.SDXL.index(layers)
    known = {  # names that published files carry
        "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q":
            "denoiser.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q",
        "lora_unet_input_blocks_8_1_proj_in": "denoiser.down_blocks.2.attentions.1.proj_in",
        "lora_unet_middle_block_1_transformer_blocks_9_ff_net_2":
            "denoiser.mid_block.attentions.0.transformer_blocks.9.ff.net.2",
        "lora_unet_output_blocks_5_1_proj_out": "denoiser.up_blocks.1.attentions.2.proj_out",
        "lora_unet_input_blocks_3_0_op": "denoiser.down_blocks.0.downsamplers.0.conv",
        "lora_unet_output_blocks_2_2_conv": "denoiser.up_blocks.0.upsamplers.0.conv",
        "lora_unet_output_blocks_8_0_skip_connection": "denoiser.up_blocks.2.resnets.2.conv_shortcut",
        "lora_unet_middle_block_2_out_layers_3": "denoiser.mid_block.resnets.1.conv2",
        "lora_te1_text_model_encoder_layers_11_mlp_fc1": "text_encoder.encoder.layers.11.mlp.fc1",
        "lora_te2_text_model_encoder_layers_31_self_attn_out_proj":
            "text_encoder_2.encoder.layers.31.self_attn.out_proj",
    }
    assert {name: spelled[name] for name in known} == known


def test_the_names_of_the_original_are_each_of_one_layer():
    layers = [name.removeprefix("denoiser.") for name in inject.learnable({"denoiser": full_size()["denoiser"]})]
    originals = [native.sdxl_blocks(path).name for path in layers]
    assert len(set(originals)) == len(layers)
    assert not [name for name in originals if name.startswith(("down_blocks", "up_blocks", "mid_block"))]


@pytest.mark.parametrize("shapes, mine", [
    ({"conditioner.embedders.1.model.ln_final.bias": (1280,),
      "model.diffusion_model.input_blocks.0.0.weight": (320, 4, 3, 3)}, True),
    ({"conditioner.embedders.0.model.ln_final.bias": (1280,),  # the refiner has the second encoder alone
      "model.diffusion_model.input_blocks.0.0.weight": (384, 4, 3, 3)}, False),
    ({"conditioner.embedders.1.model.ln_final.bias": (1280,),  # an inpainting model
      "model.diffusion_model.input_blocks.0.0.weight": (320, 9, 3, 3)}, False),
])
def test_single_files_are_told_by_their_header(shapes, mine):
    assert Sdxl.recognises(BaseModel("model.safetensors", "file", shapes=shapes)) is mine


def test_the_golden_list_has_both_encoders():
    held = [line.split()[0] for line in golden_lines("keys/sdxl_tiny.txt")]
    assert {key.split("_")[1] for key in held} == {"unet", "te1", "te2"}
