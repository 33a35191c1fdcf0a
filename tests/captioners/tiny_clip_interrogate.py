"""A tiny random CLIP, made and saved as open_clip has its models, with the toy world's tokenizer. Its choices mean
nothing."""

import json
from pathlib import Path

from captioners.clip_interrogate import ClipInterrogateSettings
from toy import clip

SMALL = {
    "embed_dim": 24, "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"width": 32, "heads": 2, "layers": 1},
}  # fmt: skip


def tiny_folder(folder: Path, **changes: object) -> Path:
    """About 60,000 weights in `folder`; `changes` go into its model_cfg."""
    import torch
    from safetensors.torch import save_file

    clip.write_folder(folder)
    path = folder / clip.SETTINGS
    config = json.loads(path.read_text())
    config["model_cfg"] |= {key: value for key, value in SMALL.items() if key != "text_cfg"} | changes
    config["model_cfg"]["text_cfg"] |= SMALL["text_cfg"]
    path.write_text(json.dumps(config))
    torch.manual_seed(0)
    model, _ = clip.new_model(folder)
    for value in model.parameters():  # open_clip begins with texts that are nearly the same
        value.data.add_(torch.randn_like(value) * 0.1)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / clip.WEIGHTS)
    return folder


def tiny_clip_interrogate(folder: Path) -> ClipInterrogateSettings:
    """Without a BLIP; phrases of one short list."""
    return ClipInterrogateSettings(
        model=str(tiny_folder(folder)), caption_model="", mode="best", lists=["mediums"], least=2, most=3
    )
