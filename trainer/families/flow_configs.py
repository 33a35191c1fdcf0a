"""The configs that single files of SD 3 and FLUX.1 leave out, as their makers published them: SD 3 (Esser et al., arXiv
2403.03206), FLUX.1 (Black Forest Labs), T5 1.1 XXL (arXiv 1910.10683). The transformers are sized by their own shapes.
"""

from __future__ import annotations

from trainer.families.configs import CLIP_BIG_G, CLIP_L, VAE_SD, Config

_VAE = VAE_SD | {
    "sample_size": 1024,
    "latent_channels": 16,
    "force_upcast": True,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
}
_SCHEDULER = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000}
_GROWING = {"base_image_seq_len": 256, "base_shift": 0.5, "max_image_seq_len": 4096, "max_shift": 1.15}
T5_XXL = {
    "architectures": ["T5EncoderModel"],
    "model_type": "t5",
    "vocab_size": 32128,
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
    "pad_token_id": 0,
    "eos_token_id": 1,
    "decoder_start_token_id": 0,
}
_CLIP, _PROJECTED = ["transformers", "CLIPTextModel"], ["transformers", "CLIPTextModelWithProjection"]
_T5, _CLIP_TOKENIZER = ["transformers", "T5EncoderModel"], ["transformers", "CLIPTokenizer"]
_T5_TOKENIZER = ["transformers", "T5TokenizerFast"]
_PARTS = {
    "vae": ["diffusers", "AutoencoderKL"],
    "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    "image_encoder": [None, None],
    "feature_extractor": [None, None],
}

SD3: Config = {
    "model_index": _PARTS | {
        "_class_name": "StableDiffusion3Pipeline",
        "transformer": ["diffusers", "SD3Transformer2DModel"],
        "text_encoder": _PROJECTED, "text_encoder_2": _PROJECTED, "text_encoder_3": _T5,
        "tokenizer": _CLIP_TOKENIZER, "tokenizer_2": _CLIP_TOKENIZER, "tokenizer_3": _T5_TOKENIZER,
    },
    "transformer": {"_class_name": "SD3Transformer2DModel", "sample_size": 128},
    "vae": _VAE | {"scaling_factor": 1.5305, "shift_factor": 0.0609},
    "scheduler": _SCHEDULER | {"shift": 3.0},
    "text_encoder": CLIP_L | {"architectures": ["CLIPTextModelWithProjection"]},
    "text_encoder_2": CLIP_BIG_G,
    "text_encoder_3": T5_XXL,
    "tokenizer": "<|endoftext|>",
    "tokenizer_2": "!",
}  # fmt: skip
FLUX_DEV: Config = {
    "model_index": _PARTS | {
        "_class_name": "FluxPipeline",
        "transformer": ["diffusers", "FluxTransformer2DModel"],
        "text_encoder": _CLIP, "text_encoder_2": _T5, "tokenizer": _CLIP_TOKENIZER, "tokenizer_2": _T5_TOKENIZER,
    },
    "transformer": {"_class_name": "FluxTransformer2DModel"},
    "vae": _VAE | {"scaling_factor": 0.3611, "shift_factor": 0.1159},
    "scheduler": _SCHEDULER | _GROWING | {"shift": 3.0, "use_dynamic_shifting": True},
    "text_encoder": CLIP_L,
    "text_encoder_2": T5_XXL,
    "tokenizer": "<|endoftext|>",
}  # fmt: skip
FLUX_SCHNELL: Config = FLUX_DEV | {"scheduler": _SCHEDULER | _GROWING | {"shift": 1.0, "use_dynamic_shifting": False}}
