"""The configs and the tokenizer of SD 1.x, which single-file checkpoints leave out, so that one loads without a
download.

The numbers are the published architecture (Rombach et al., arXiv 2112.10752; CLIP ViT-L/14, arXiv 2103.00020). The
vocabulary is built from the byte-pair merges that the open_clip package carries.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import tempfile
from pathlib import Path

from jobs.folder import home

UNET = {
    "sample_size": 64,
    "in_channels": 4,
    "out_channels": 4,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
    "block_out_channels": [320, 640, 1280, 1280],
    "layers_per_block": 2,
    "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
}
VAE = {
    "sample_size": 512,
    "latent_channels": 4,
    "block_out_channels": [128, 256, 512, 512],
    "layers_per_block": 2,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "scaling_factor": 0.18215,
}
TEXT_ENCODER = {
    "architectures": ["CLIPTextModel"],
    "model_type": "clip_text_model",
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 77,
    "hidden_act": "quick_gelu",
    "projection_dim": 768,
    "vocab_size": 49408,
    "bos_token_id": 49406,
    "eos_token_id": 49407,
    "pad_token_id": 1,
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
INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "safety_checker": [None, None],
    "feature_extractor": [None, None],
}


def written() -> Path:
    """The folder, made at first use in the workspace's cache."""
    folder = home() / "cache" / "configs" / "sd15-1"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=folder.parent))
        write(aside)
        try:
            os.replace(aside, folder)
        except OSError:  # another process was quicker
            shutil.rmtree(aside)
    return folder


def write(folder: Path) -> None:
    configs = {
        "unet/config.json": {"_class_name": "UNet2DConditionModel"} | UNET,
        "vae/config.json": {"_class_name": "AutoencoderKL"} | VAE,
        "text_encoder/config.json": TEXT_ENCODER,
        "scheduler/scheduler_config.json": SCHEDULER,
        "model_index.json": INDEX,
    }
    for name, config in configs.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(config, indent=2), encoding="utf-8")
    tokenizer().save_pretrained(folder / "tokenizer")


def tokenizer():
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
        vocab={word: number for number, word in enumerate(words)},
        merges=merges,
        model_max_length=77,
        pad_token="<|endoftext|>",
    )


def byte_letters() -> list[str]:
    """A printable letter for every byte, in the order of GPT-2's byte-level vocabulary: printable bytes first."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    rest = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + place) for place, _ in enumerate(rest)]
