"""Tiny random models for the tests: the real classes with few weights, built offline in under a second.

What the trainer does to a full-size model it does to these, through the same code; only the pictures mean nothing.
"""

import json
from contextlib import contextmanager
from pathlib import Path


def tiny_sd15(folder: Path, *, seed: int = 0, prediction_type: str = "epsilon") -> Path:
    """Save a complete Stable Diffusion 1.x-shaped diffusers folder (about 0.2 M weights) and return it.

    64 px pictures become 32 x 32 latents with 4 channels (the VAE halves once). The same seed gives the same files.
    """
    with seeded(seed):
        return _sd(folder, clip_tokenizer(), {}, {}, prediction_type)


def tiny_sd2(folder: Path, *, seed: int = 0, prediction_type: str = "v_prediction") -> Path:
    """The same for Stable Diffusion 2.x: linear projections, and a text encoder of another width."""
    with seeded(seed):
        unet = {"cross_attention_dim": 48, "use_linear_projection": True, "attention_head_dim": [2, 4]}
        return _sd(folder, clip_tokenizer(pad="!"), unet, {"hidden_size": 48}, prediction_type)


def tiny_sdxl(folder: Path, *, seed: int = 0, prediction_type: str = "epsilon", pooled: int = 24) -> Path:
    """The same for Stable Diffusion XL: two text encoders, and the sizes of pictures as a condition."""
    from diffusers import StableDiffusionXLPipeline

    with seeded(seed):
        first, second = clip_tokenizer(), clip_tokenizer(pad="!")
        words = 32 + 40
        unet = tiny_unet(
            cross_attention_dim=words,
            use_linear_projection=True,
            attention_head_dim=[2, 4],
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=[1, 2],
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + pooled,
        )
        StableDiffusionXLPipeline(
            vae=_vae(scaling_factor=0.13025),
            text_encoder=tiny_clip_text_model(first),
            text_encoder_2=tiny_clip_text_model(second, projection=True, hidden_size=40, projection_dim=pooled),
            tokenizer=first,
            tokenizer_2=second,
            unet=unet,
            scheduler=scheduler(prediction_type),
            add_watermarker=False,
        ).save_pretrained(folder)
        return Path(folder)


def tiny_sd3(folder: Path, *, seed: int = 0) -> Path:
    """A tiny Stable Diffusion 3: two CLIPs, T5, and a transformer with 16 latent channels."""
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline

    with seeded(seed):
        first, second, third = clip_tokenizer(), clip_tokenizer(pad="!"), t5_tokenizer()
        StableDiffusion3Pipeline(
            transformer=SD3Transformer2DModel(
                sample_size=32, patch_size=2, in_channels=16, out_channels=16, num_layers=2, attention_head_dim=8,
                num_attention_heads=4, joint_attention_dim=64, caption_projection_dim=32, pooled_projection_dim=32 + 24,
                pos_embed_max_size=64, dual_attention_layers=(0,), qk_norm="rms_norm",
            ),
            vae=_vae(1.5305, latent_channels=16, shift_factor=0.0609),
            text_encoder=tiny_clip_text_model(first, projection=True, projection_dim=32),
            text_encoder_2=tiny_clip_text_model(second, projection=True, hidden_size=24, projection_dim=24),
            text_encoder_3=tiny_t5(third),
            tokenizer=first,
            tokenizer_2=second,
            tokenizer_3=third,
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        ).save_pretrained(folder)
        return Path(folder)


def tiny_flux(folder: Path, *, seed: int = 0) -> Path:
    """A tiny FLUX.1 dev: guidance as a number, and a shift that grows with the picture."""
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

    with seeded(seed):
        first, second = clip_tokenizer(), t5_tokenizer()
        FluxPipeline(
            transformer=FluxTransformer2DModel(
                patch_size=1, in_channels=64, num_layers=1, num_single_layers=1, attention_head_dim=16,
                num_attention_heads=2, joint_attention_dim=64, pooled_projection_dim=32, guidance_embeds=True,
                axes_dims_rope=(4, 6, 6),
            ),
            vae=_vae(0.3611, latent_channels=16, shift_factor=0.1159),
            text_encoder=tiny_clip_text_model(first),
            text_encoder_2=tiny_t5(second),
            tokenizer=first,
            tokenizer_2=second,
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        ).save_pretrained(folder)
        return Path(folder)


def tiny_chroma(folder: Path, *, seed: int = 0) -> Path:
    """A tiny Chroma: FLUX without CLIP, and with a network that makes the modulations."""
    from diffusers import ChromaPipeline, ChromaTransformer2DModel, FlowMatchEulerDiscreteScheduler

    with seeded(seed):
        tokenizer = t5_tokenizer()
        ChromaPipeline(
            transformer=ChromaTransformer2DModel(
                patch_size=1, in_channels=64, num_layers=1, num_single_layers=1, attention_head_dim=16,
                num_attention_heads=2, joint_attention_dim=64, axes_dims_rope=(4, 6, 6), approximator_num_channels=64,
                approximator_hidden_dim=32, approximator_layers=1,
            ),
            vae=_vae(0.3611, latent_channels=16, shift_factor=0.1159),
            text_encoder=tiny_t5(tokenizer),
            tokenizer=tokenizer,
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        ).save_pretrained(folder)
        return Path(folder)


def tiny_z_image(folder: Path, *, seed: int = 0) -> Path:
    """A tiny Z-Image: FLUX's VAE, Qwen3, and one transformer over words and picture."""
    import torch
    from diffusers import FlowMatchEulerDiscreteScheduler, ZImagePipeline, ZImageTransformer2DModel

    with seeded(seed):
        tokenizer = qwen_tokenizer()
        transformer = ZImageTransformer2DModel(dim=32, n_layers=2, n_refiner_layers=1, n_heads=2, n_kv_heads=2,
                                               cap_feat_dim=32, axes_dims=[4, 6, 6], axes_lens=[1024, 64, 64])
        for pad in (transformer.x_pad_token, transformer.cap_pad_token):  # zeros, in a model that was never trained
            torch.nn.init.normal_(pad, std=0.02)
        ZImagePipeline(
            transformer=transformer,
            vae=_vae(0.3611, latent_channels=16, shift_factor=0.1159),
            text_encoder=tiny_qwen3(tokenizer),
            tokenizer=tokenizer,
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        ).save_pretrained(folder)
        return Path(folder)


def tiny_qwen_image(folder: Path, *, seed: int = 0) -> Path:
    """A tiny Qwen-Image: a VAE for films with latents of one frame, and Qwen2.5-VL."""
    from diffusers import (
        AutoencoderKLQwenImage,
        FlowMatchEulerDiscreteScheduler,
        QwenImagePipeline,
        QwenImageTransformer2DModel,
    )

    with seeded(seed):
        tokenizer = qwen_tokenizer()
        QwenImagePipeline(
            transformer=QwenImageTransformer2DModel(num_layers=1, attention_head_dim=16, num_attention_heads=2,
                                                    joint_attention_dim=32, axes_dims_rope=(4, 6, 6)),
            vae=AutoencoderKLQwenImage(base_dim=8, dim_mult=[1, 2], num_res_blocks=1, temperal_downsample=[True]),
            text_encoder=tiny_qwen_vl(tokenizer),
            tokenizer=tokenizer,
            scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, max_shift=0.9, max_image_seq_len=8192),
        ).save_pretrained(folder)
        return Path(folder)


def tiny_flux2_klein(folder: Path, *, seed: int = 0) -> Path:
    """A tiny FLUX.2 klein: three stacked layers of Qwen3, and a VAE with the statistics of its latents."""
    import torch
    from diffusers import (
        AutoencoderKLFlux2,
        FlowMatchEulerDiscreteScheduler,
        Flux2KleinPipeline,
        Flux2Transformer2DModel,
    )

    with seeded(seed):
        tokenizer, blocks = qwen_tokenizer(), 2
        vae = AutoencoderKLFlux2(
            sample_size=64, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, latent_channels=8,
            down_block_types=("DownEncoderBlock2D",) * blocks, up_block_types=("UpDecoderBlock2D",) * blocks)
        torch.nn.init.normal_(vae.bn.running_mean, std=0.1)
        torch.nn.init.uniform_(vae.bn.running_var, 0.5, 2)
        Flux2KleinPipeline(
            transformer=Flux2Transformer2DModel(
                in_channels=32, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
                joint_attention_dim=3 * 32, timestep_guidance_channels=16, axes_dims_rope=(4, 4, 4, 4),
                guidance_embeds=False,
            ),
            vae=vae,
            text_encoder=tiny_qwen3(tokenizer, layers=28),  # the 27th is the last that it reads
            tokenizer=tokenizer,
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        ).save_pretrained(folder)
        return Path(folder)


def tiny_lumina2(folder: Path, *, seed: int = 0) -> Path:
    """A tiny Lumina-Image 2.0: FLUX's VAE and Gemma 2."""
    from diffusers import FlowMatchEulerDiscreteScheduler, Lumina2Pipeline, Lumina2Transformer2DModel

    with seeded(seed):
        tokenizer = gemma_tokenizer()
        Lumina2Pipeline(
            transformer=Lumina2Transformer2DModel(sample_size=32, hidden_size=32, num_layers=2, num_refiner_layers=1,
                                                  num_attention_heads=2, num_kv_heads=1, multiple_of=16,
                                                  axes_dim_rope=(4, 6, 6), axes_lens=(300, 64, 64), cap_feat_dim=32),
            vae=_vae(0.3611, latent_channels=16, shift_factor=0.1159),
            text_encoder=tiny_gemma2(tokenizer),
            tokenizer=tokenizer,
            scheduler=FlowMatchEulerDiscreteScheduler(shift=6.0),
        ).save_pretrained(folder)
        return Path(folder)


def tiny_sana(folder: Path, *, seed: int = 0) -> Path:
    """A tiny Sana: an autoencoder without chance, and Gemma 2."""
    from diffusers import AutoencoderDC, DPMSolverMultistepScheduler, SanaPipeline, SanaTransformer2DModel

    with seeded(seed):
        tokenizer = gemma_tokenizer()
        SanaPipeline(
            transformer=SanaTransformer2DModel(
                in_channels=8, out_channels=8, num_attention_heads=2, attention_head_dim=16, num_layers=2,
                num_cross_attention_heads=2, cross_attention_head_dim=16, cross_attention_dim=32, caption_channels=32,
                sample_size=32,
            ),
            vae=AutoencoderDC(
                latent_channels=8, attention_head_dim=4, encoder_block_out_channels=(8, 16),
                decoder_block_out_channels=(8, 16), encoder_layers_per_block=(1, 1), decoder_layers_per_block=(1, 1),
                encoder_qkv_multiscales=((), ()), decoder_qkv_multiscales=((), ()), scaling_factor=0.41407,
            ),
            text_encoder=tiny_gemma2(tokenizer),
            tokenizer=tokenizer,
            scheduler=DPMSolverMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True,
                                                  flow_shift=3.0),
        ).save_pretrained(folder)
        return Path(folder)


def qwen_tokenizer():
    """A Qwen tokenizer over single bytes, with a chat template like that of Qwen3; built from nothing."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import Qwen2Tokenizer

    pieces = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *sorted(ByteLevel.alphabet())]
    tokenizer = Qwen2Tokenizer(vocab={piece: number for number, piece in enumerate(pieces)}, merges=[])
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = (
        "{% for message in messages %}<|im_start|>{{ message.role }} {{ message.content }}<|im_end|>{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant{% endif %}{% if not enable_thinking %} so{% endif %}"
    )
    return tokenizer


_LANGUAGE_MODEL = {"hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 2, "num_key_value_heads": 1,
                   "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}


def tiny_qwen3(tokenizer, layers: int = 2):
    from transformers import Qwen3Config, Qwen3ForCausalLM

    return Qwen3ForCausalLM(Qwen3Config(vocab_size=len(tokenizer), num_hidden_layers=layers, head_dim=16,
                                        **_LANGUAGE_MODEL))


def tiny_qwen_vl(tokenizer):
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    text = _LANGUAGE_MODEL | {
        "vocab_size": len(tokenizer), "num_hidden_layers": 2,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]},
    }
    seeing = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 32}
    return Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(text_config=text, vision_config=seeing))


def gemma_tokenizer():
    """A Gemma tokenizer over single bytes; built from nothing."""
    from tokenizers.processors import TemplateProcessing
    from transformers import GemmaTokenizer

    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *(f"<0x{number:02X}>" for number in range(256))]
    tokenizer = GemmaTokenizer(vocab={piece: number for number, piece in enumerate(pieces)}, merges=[])
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 2)])
    return tokenizer


def tiny_gemma2(tokenizer):
    from transformers import Gemma2Config, Gemma2Model

    return Gemma2Model(Gemma2Config(vocab_size=len(tokenizer), num_hidden_layers=2, head_dim=16, **_LANGUAGE_MODEL))


def t5_tokenizer():
    """A T5 tokenizer over single letters and a few words; built from nothing."""
    from transformers import T5TokenizerFast

    words = ["\u2581dog", "\u2581cat", "\u2581sks", "\u2581red", "\u2581a"]
    letters = [chr(number) for number in range(33, 127)]
    pieces = ["<pad>", "</s>", "<unk>", "\u2581", *words, *letters]
    return T5TokenizerFast(vocab=[(piece, -float(place)) for place, piece in enumerate(pieces)])


def tiny_t5(tokenizer):
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(T5Config(vocab_size=len(tokenizer), d_model=64, d_kv=16, d_ff=64, num_layers=2, num_heads=4,
                                   feed_forward_proj="gated-gelu", pad_token_id=0, eos_token_id=1))


@contextmanager
def seeded(seed: int):
    """Whatever is drawn inside follows from the seed; outside nothing has happened."""
    import torch

    state = torch.get_rng_state()
    torch.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(state)


def scheduler(prediction_type: str):
    """The noise schedule of all Stable Diffusion models."""
    from diffusers import DDPMScheduler

    return DDPMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        steps_offset=1,
        prediction_type=prediction_type,
    )


def _sd(folder: Path, tokenizer, unet: dict, text: dict, prediction_type: str) -> Path:
    from diffusers import StableDiffusionPipeline

    StableDiffusionPipeline(
        vae=_vae(),
        text_encoder=tiny_clip_text_model(tokenizer, **text),
        tokenizer=tokenizer,
        unet=tiny_unet(**unet),
        scheduler=scheduler(prediction_type),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return Path(folder)


def clip_tokenizer(pad: str = "<|endoftext|>"):
    """A CLIP tokenizer over single bytes with a handful of whole words; built from nothing, 77 tokens long."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    letters = sorted(ByteLevel.alphabet())
    merges, pieces = [], []
    for word in ("dog", "cat", "sks", "red", "star", "photo"):
        left = word[0]
        for i, letter in enumerate(word[1:], start=2):
            right = letter + ("</w>" if i == len(word) else "")
            if (left, right) not in merges:
                merges.append((left, right))
                pieces.append(left + right)
            left += right
    tokens = [*letters, *(letter + "</w>" for letter in letters), *pieces, "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77, pad_token=pad)


def full_size(architecture: str):
    """(denoiser, text encoder) of the real `architecture` ("sd15") on the meta device: names and shapes, no memory."""
    import torch
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    if architecture != "sd15":
        raise ValueError(f"no full-size architecture called {architecture}")
    with torch.device("meta"):
        unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
        text = CLIPTextModel(
            CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)
        )
    return unet, text


def golden_lines(name: str) -> list[str]:
    """The lines of tests/golden/`name`, which a person reads in review when a change moves them."""
    return (Path(__file__).parent / "golden" / name).read_text(encoding="utf-8").splitlines()


def header_of(path: Path) -> dict:
    """The JSON header of a safetensors file as it stands on disk, metadata included, read without any library."""
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        return json.loads(file.read(size))


def tiny_unet(**other):
    """The UNet of `tiny_sd15`, with random weights."""
    from diffusers import UNet2DConditionModel

    usual = {
        "sample_size": 32,
        "block_out_channels": (8, 16),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "cross_attention_dim": 32,
        "attention_head_dim": 2,
    }
    return UNet2DConditionModel(**usual | other)


def _vae(scaling_factor: float = 0.18215, latent_channels: int = 4, **other):
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        sample_size=64,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=latent_channels,
        scaling_factor=scaling_factor,
        **other,
    )


def tiny_clip_text_model(tokenizer, projection: bool = False, **other):
    """The text encoder of `tiny_sd15`, with random weights, for `tokenizer`."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    usual = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 37,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 77,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    return (CLIPTextModelWithProjection if projection else CLIPTextModel)(CLIPTextConfig(**usual | other))


def full_sd15(folder: Path, *, seed: int = 0) -> Path:
    """Save Stable Diffusion 1.5 at full size (860 M weights in the UNet, 2.1 GB in bf16), randomly initialised, and
    return its folder. For measuring; no picture of it means anything."""
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    from trainer.families import configs

    torch.manual_seed(seed)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        plain = {
            name: value for name, value in configs.CLIP_L.items() if name not in ("architectures", "model_type")
        }
        pipeline = StableDiffusionPipeline(
            unet=UNet2DConditionModel(**configs.UNET_SD1),
            vae=AutoencoderKL(**configs.VAE_SD),
            tokenizer=configs.tokenizer(),
            text_encoder=CLIPTextModel(CLIPTextConfig(**plain)),
            scheduler=DDIMScheduler.from_config(configs.SCHEDULER),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    finally:
        torch.set_default_dtype(before)
    pipeline.save_pretrained(folder)
    return Path(folder)
