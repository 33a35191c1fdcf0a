"""The configs and tokenizers that single-file checkpoints leave out, so that one loads without a download.

The numbers are the published architectures: SD 1.x (Rombach et al., arXiv 2112.10752), SD 2.x (stabilityai/stable-
diffusion-2), SDXL (Podell et al., arXiv 2307.01952), with CLIP ViT-L/14 (arXiv 2103.00020), OpenCLIP ViT-H/14 and
ViT-bigG/14 (arXiv 2212.07143) as text encoders. The vocabulary is built from the byte-pair merges that the open_clip
package carries; all of them share it.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jobs.folder import home

Config = Mapping[str, Any]
VERSION = 2  # of what is written; raise it when anything below changes

_CROSS, _PLAIN, _UP_CROSS, _UP = "CrossAttnDownBlock2D", "DownBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"
_LATENTS = {"in_channels": 4, "out_channels": 4, "layers_per_block": 2}
UNET_SD1 = _LATENTS | {
    "sample_size": 64,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
    "block_out_channels": [320, 640, 1280, 1280],
    "down_block_types": [_CROSS] * 3 + [_PLAIN],
    "up_block_types": [_UP] + [_UP_CROSS] * 3,
}
UNET_SD2 = UNET_SD1 | {
    "sample_size": 96,
    "cross_attention_dim": 1024,
    "attention_head_dim": [5, 10, 20, 20],
    "use_linear_projection": True,
}
UNET_SDXL = _LATENTS | {
    "sample_size": 128,
    "cross_attention_dim": 2048,
    "attention_head_dim": [5, 10, 20],
    "block_out_channels": [320, 640, 1280],
    "transformer_layers_per_block": [1, 2, 10],
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
    "down_block_types": [_PLAIN] + [_CROSS] * 2,
    "up_block_types": [_UP_CROSS] * 2 + [_UP],
}
VAE_SD = {
    "sample_size": 512,
    "latent_channels": 4,
    "block_out_channels": [128, 256, 512, 512],
    "layers_per_block": 2,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "scaling_factor": 0.18215,
}
VAE_SDXL = VAE_SD | {"sample_size": 1024, "scaling_factor": 0.13025, "force_upcast": True}
_CLIP = {"max_position_embeddings": 77, "vocab_size": 49408, "bos_token_id": 49406, "eos_token_id": 49407}
CLIP_L = _CLIP | {
    "architectures": ["CLIPTextModel"],
    "model_type": "clip_text_model",
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "hidden_act": "quick_gelu",
    "projection_dim": 768,
    "pad_token_id": 1,
}
CLIP_H = CLIP_L | {  # 23 of its 24 layers: what SD 2.x reads is the last but one
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 23,
    "num_attention_heads": 16,
    "hidden_act": "gelu",
    "projection_dim": 512,
}
CLIP_BIG_G = CLIP_L | {
    "architectures": ["CLIPTextModelWithProjection"],
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "hidden_act": "gelu",
    "projection_dim": 1280,
}
SCHEDULER = {
    "_class_name": "DDIMScheduler",
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}
_TEXT = {"text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"]}
_PARTS = {
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
    "scheduler": ["diffusers", "DDIMScheduler"],
}
_NOT_THERE = {"safety_checker": [None, None], "feature_extractor": [None, None]}

# The folder of each family: part -> its config. Tokenizers are named by what they pad with.
SD15: Config = {
    "model_index": {"_class_name": "StableDiffusionPipeline"} | _PARTS | _TEXT | _NOT_THERE,
    "unet": UNET_SD1, "vae": VAE_SD, "text_encoder": CLIP_L, "scheduler": SCHEDULER, "tokenizer": "<|endoftext|>",
}  # fmt: skip
SD2: Config = SD15 | {"unet": UNET_SD2, "text_encoder": CLIP_H, "tokenizer": "!"}
SDXL: Config = {
    "model_index": {"_class_name": "StableDiffusionXLPipeline", "force_zeros_for_empty_prompt": True} | _PARTS | _TEXT
    | {"text_encoder_2": ["transformers", "CLIPTextModelWithProjection"], "tokenizer_2": _TEXT["tokenizer"],
       "feature_extractor": [None, None], "image_encoder": [None, None]},
    "unet": UNET_SDXL, "vae": VAE_SDXL, "text_encoder": CLIP_L, "text_encoder_2": CLIP_BIG_G, "scheduler": SCHEDULER,
    "tokenizer": "<|endoftext|>", "tokenizer_2": "!",
}  # fmt: skip
_CLASSES = {"unet": "UNet2DConditionModel", "vae": "AutoencoderKL"}


def place(name: str) -> Path:
    """Where `written` puts it."""
    return home() / "cache" / "configs" / f"{name}-{VERSION}"


def written(name: str, parts: Config) -> Path:
    """A diffusers folder without weights, made at first use in the workspace's cache."""
    folder = place(name)
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=folder.parent))
        write(aside, parts)
        try:
            os.replace(aside, folder)
        except OSError:  # another process was quicker
            shutil.rmtree(aside)
    return folder


def write(folder: Path, parts: Config) -> None:
    for part, config in parts.items():
        if isinstance(config, str):
            tokenizer(config).save_pretrained(folder / part)
            continue
        names = {"model_index": "model_index.json", "scheduler": "scheduler/scheduler_config.json"}
        path = folder / names.get(part, f"{part}/config.json")
        path.parent.mkdir(exist_ok=True)
        named = {"_class_name": _CLASSES[part]} if part in _CLASSES else {}
        path.write_text(json.dumps({**named, **config}, indent=2), encoding="utf-8")


def tokenizer(pad: str = "<|endoftext|>"):
    """CLIP's tokenizer: 256 bytes, the same ending a word, 48,894 merges, start and end."""
    import open_clip
    from transformers import CLIPTokenizer

    lines = gzip.open(Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz", "rt", encoding="utf-8").read()
    merges = [tuple(line.split()) for line in lines.split("\n")[1 : 49152 - 256 - 2 + 1]]
    letters = byte_letters()
    words = [
        *letters,
        *(letter + "</w>" for letter in letters),
        *("".join(pair) for pair in merges),
        "<|startoftext|>",
        "<|endoftext|>",
    ]
    return CLIPTokenizer(
        vocab={word: number for number, word in enumerate(words)}, merges=merges, model_max_length=77, pad_token=pad
    )


def byte_letters() -> list[str]:
    """A printable letter for every byte, in the order of GPT-2's byte-level vocabulary: printable bytes first."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    rest = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + place) for place, _ in enumerate(rest)]
