"""What the tensors of Stable Diffusion 1.x and SDXL are called in single files, as their makers published them and as
A1111, ComfyUI and kohya's tools read them. diffusers converts only the other way, from these names to its own.

The UNet lies under `model.diffusion_model.`, the VAE under `first_stage_model.`, and the text encoders where their
family says. Tensors are renamed, and in two places put into other shapes: the attention of the VAE was a convolution,
and an open_clip encoder keeps queries, keys and values in one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from trainer.lora import native

UNET, VAE = "model.diffusion_model.", "first_stage_model."
OPEN_CLIP = ".model."  # how the place of such an encoder ends; that of the other kind with ".transformer."

Tensors = Mapping[str, Tensor]

_VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
_VAE_MIDDLE = {"resnets.0": "block_1", "attentions.0": "attn_1", "resnets.1": "block_2"}
_VAE_ENDS = {"conv_norm_out": "norm_out"}
_IN_VAE = re.compile(r"(encoder|decoder)\.(?:(mid)_block\.(\w+\.\d)|(down|up)_blocks\.(\d+)\.(\w+)\.(\d+))\.(.+)")
_OPEN_CLIP_LAYER = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
                    "self_attn.out_proj": "attn.out_proj"}  # fmt: skip
_OPEN_CLIP_ENDS = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "final_layer_norm.weight": "ln_final.weight",
    "final_layer_norm.bias": "ln_final.bias",
}


def unet(names: Iterable[str]) -> dict[str, str]:
    """{our name of a weight: its name in a single file}. Raises ValueError for one that has none there."""
    names = list(names)
    resnets = 1 + max(int(found[1]) for name in names if (found := re.match(r"down_blocks\.0\.resnets\.(\d+)", name)))
    with_attention = {name.split(".")[1] for name in names if name.startswith("up_blocks.") and ".attentions." in name}
    found = {}
    for name in names:
        layer, _, kind = name.rpartition(".")
        original = native.unet(layer, resnets)
        if not original:
            raise ValueError(f"a layer of this UNet has no name in single files: {layer}")
        if ".upsamplers." in layer and layer.split(".")[1] not in with_attention:
            original = original.replace(".2.conv", ".1.conv")
        found[name] = f"{UNET}{original}.{kind}"
    return found


def vae(tensors: Tensors) -> dict[str, Tensor]:
    """The tensors of an AutoencoderKL as a single file has them."""
    levels = 1 + max(int(found[1]) for name in tensors if (found := re.match(r"decoder\.up_blocks\.(\d+)", name)))
    renamed = {}
    for name, tensor in tensors.items():
        layer, _, kind = name.rpartition(".")
        layer = _in_vae(layer, levels)
        square = kind == "weight" and re.search(r"attn_1\.(q|k|v|proj_out)$", layer)
        renamed[f"{VAE}{layer}.{kind}"] = tensor[:, :, None, None] if square else tensor
    return renamed


def _in_vae(layer: str, levels: int) -> str:
    if not (found := _IN_VAE.fullmatch(layer)):
        side, _, end = layer.partition(".")
        return f"{side}.{_VAE_ENDS[end]}" if end in _VAE_ENDS else layer
    side, middle, part, way, block, kind, place, rest = found.groups()
    rest = rest.replace("conv_shortcut", "nin_shortcut")
    if middle:
        return f"{side}.mid.{_VAE_MIDDLE[part]}.{_VAE_ATTENTION.get(rest, rest)}"
    number = int(block) if way == "down" else levels - 1 - int(block)  # counted from the largest size there
    return f"{side}.{way}.{number}." + (f"block.{place}.{rest}" if kind == "resnets" else f"{way}sample.{rest}")


def text_encoder(tensors: Tensors, place: str) -> dict[str, Tensor]:
    """The tensors of a CLIP text encoder as a single file has them at `place`, which says the kind that it was."""
    plain = {name.removeprefix("text_model."): tensor for name, tensor in tensors.items()}
    if not place.endswith(OPEN_CLIP):
        return {f"{place}text_model.{name}": tensor for name, tensor in plain.items()}
    return {f"{place}{name}": tensor for name, tensor in _open_clip(plain).items()}


def _open_clip(tensors: Tensors) -> dict[str, Tensor]:
    renamed = {}
    for name, tensor in tensors.items():
        found = re.fullmatch(r"encoder\.layers\.(\d+)\.(.+)\.(weight|bias)", name)
        if name == "text_projection.weight":
            renamed["text_projection"] = tensor.T
        elif not found:
            renamed[_OPEN_CLIP_ENDS[name]] = tensor
        elif found[2] in _OPEN_CLIP_LAYER:
            renamed[f"transformer.resblocks.{found[1]}.{_OPEN_CLIP_LAYER[found[2]]}.{found[3]}"] = tensor
        elif found[2] == "self_attn.q_proj":
            rows = [tensors[name.replace("q_proj", f"{letter}_proj")] for letter in "qkv"]
            renamed[f"transformer.resblocks.{found[1]}.attn.in_proj_{found[3]}"] = torch.cat(rows)
    return renamed
