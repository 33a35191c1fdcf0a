"""Makes single-file checkpoints, as Stable Diffusion 1.x was first published, out of diffusers folders.

The names are those of the original implementation: `model.diffusion_model.`, `first_stage_model.`, `cond_stage_model.`.
"""

import json
import re
from pathlib import Path

from safetensors.torch import load_file, save_file

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
UNET_ENDS = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
VAE_MID = {"resnets.0": "block_1", "attentions.0": "attn_1", "resnets.1": "block_2"}
VAE_ATTENTION = {"to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out", "group_norm": "norm"}


def single_file(folder: Path, path: Path, **marks) -> Path:
    """Write the models of a diffusers folder into one file; `marks` are extra tensors."""
    tensors = dict(marks)
    levels = len(json.loads((folder / "unet/config.json").read_text())["block_out_channels"])
    layers = json.loads((folder / "unet/config.json").read_text())["layers_per_block"]
    for name, tensor in weights(folder / "unet").items():
        tensors["model.diffusion_model." + unet_name(name, layers)] = tensor
    for name, tensor in weights(folder / "vae").items():
        name = vae_name(name, levels)
        square = re.search(r"attn_1\.(q|k|v|proj_out)\.weight", name)  # they were 1x1 convolutions
        tensors["first_stage_model." + name] = tensor[:, :, None, None] if square else tensor
    for name, tensor in weights(folder / "text_encoder").items():
        tensors["cond_stage_model.transformer.text_model." + name.removeprefix("text_model.")] = tensor
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


def weights(part: Path) -> dict:
    return load_file(next(part.glob("*.safetensors")))


def unet_name(name: str, layers: int) -> str:
    for ours, theirs in UNET_ENDS.items():
        if name.startswith(ours + "."):
            return theirs + name.removeprefix(ours)
    name = re.sub(r"resnets\.(\d+)\.(\w+)\.", lambda m: f"resnets.{m[1]}.{RESNET[m[2]]}.", name)
    if found := re.match(r"mid_block\.(resnets|attentions)\.(\d+)\.(.*)", name):
        return f"middle_block.{1 if found[1] == 'attentions' else 2 * int(found[2])}.{found[3]}"
    side, block, kind, layer, rest = re.match(r"(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)\.(.*)", name).groups()
    block, layer = int(block), int(layer)
    if kind == "downsamplers":
        return f"input_blocks.{(block + 1) * (layers + 1)}.0.{rest.replace('conv.', 'op.')}"
    if kind == "upsamplers":
        # After the resnet and, in blocks that have one, the attention; the first block of SD 1.x has none.
        return f"output_blocks.{block * (layers + 1) + layers}.{1 if block == 0 else 2}.{rest}"
    place = 1 + block * (layers + 1) + layer if side == "down" else block * (layers + 1) + layer
    return f"{'input' if side == 'down' else 'output'}_blocks.{place}.{0 if kind == 'resnets' else 1}.{rest}"


def vae_name(name: str, levels: int) -> str:
    name = name.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
    if found := re.match(r"(encoder|decoder)\.mid_block\.(\w+\.\d)\.(.*)", name):
        rest = found[3]
        if found[2] == "attentions.0":
            part, _, end = rest.rpartition(".")
            rest = f"{VAE_ATTENTION[part]}.{end}"
        return f"{found[1]}.mid.{VAE_MID[found[2]]}.{rest}"
    if found := re.match(r"(encoder|decoder)\.(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)\.(.*)", name):
        side, way, block, kind, layer, rest = found.groups()
        block = int(block) if way == "down" else levels - 1 - int(block)
        return f"{side}.{way}.{block}." + (f"block.{layer}.{rest}" if kind == "resnets" else f"{way}sample.{rest}")
    return name
