"""Makes single-file checkpoints, as their makers published them, out of diffusers folders: whole ones of Stable
Diffusion 1.x, the transformers of SD 3, FLUX.1 and Chroma, and ComfyUI's files of these with text encoders and VAE.

The names are those of the original implementations: `model.diffusion_model.`, `first_stage_model.`,
`cond_stage_model.`; `joint_blocks.`; `double_blocks.`, `single_blocks.`.
"""

import json
import re
from pathlib import Path

import torch
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
    layers = json.loads((folder / "unet/config.json").read_text())["layers_per_block"]
    for name, tensor in weights(folder / "unet").items():
        tensors["model.diffusion_model." + unet_name(name, layers)] = tensor
    tensors |= vae_tensors(folder, "first_stage_model.")
    for name, tensor in weights(folder / "text_encoder").items():
        tensors["cond_stage_model.transformer.text_model." + name.removeprefix("text_model.")] = tensor
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


def vae_tensors(folder: Path, prefix: str) -> dict:
    levels, found = len(json.loads((folder / "vae/config.json").read_text())["block_out_channels"]), {}
    for name, tensor in weights(folder / "vae").items():
        name = vae_name(name, levels)
        square = re.search(r"attn_1\.(q|k|v|proj_out)\.weight", name)  # they were 1x1 convolutions
        found[prefix + name] = tensor[:, :, None, None] if square else tensor
    return found


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


SD3_ENDS = {
    "pos_embed.pos_embed": "pos_embed", "pos_embed.proj": "x_embedder.proj", "context_embedder": "context_embedder",
    "norm_out.linear": "final_layer.adaLN_modulation.1", "proj_out": "final_layer.linear",
    "time_text_embed.timestep_embedder.linear_1": "t_embedder.mlp.0",
    "time_text_embed.timestep_embedder.linear_2": "t_embedder.mlp.2",
    "time_text_embed.text_embedder.linear_1": "y_embedder.mlp.0",
    "time_text_embed.text_embedder.linear_2": "y_embedder.mlp.2",
}
SD3_BLOCK = {
    "attn.norm_q": "x_block.attn.ln_q", "attn.norm_k": "x_block.attn.ln_k", "attn.to_out.0": "x_block.attn.proj",
    "attn.norm_added_q": "context_block.attn.ln_q", "attn.norm_added_k": "context_block.attn.ln_k",
    "attn.to_add_out": "context_block.attn.proj", "attn2.to_out.0": "x_block.attn2.proj",
    "attn2.norm_q": "x_block.attn2.ln_q", "attn2.norm_k": "x_block.attn2.ln_k",
    "norm1.linear": "x_block.adaLN_modulation.1", "norm1_context.linear": "context_block.adaLN_modulation.1",
    "ff.net.0.proj": "x_block.mlp.fc1", "ff.net.2": "x_block.mlp.fc2",
    "ff_context.net.0.proj": "context_block.mlp.fc1", "ff_context.net.2": "context_block.mlp.fc2",
}
SD3_FUSED = {"x_block.attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
             "x_block.attn2.qkv": ("attn2.to_q", "attn2.to_k", "attn2.to_v"),
             "context_block.attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj")}
FLUX_ENDS = {
    "x_embedder": "img_in", "context_embedder": "txt_in", "proj_out": "final_layer.linear",
    "norm_out.linear": "final_layer.adaLN_modulation.1",
    "time_text_embed.timestep_embedder.linear_1": "time_in.in_layer",
    "time_text_embed.timestep_embedder.linear_2": "time_in.out_layer",
    "time_text_embed.text_embedder.linear_1": "vector_in.in_layer",
    "time_text_embed.text_embedder.linear_2": "vector_in.out_layer",
    "time_text_embed.guidance_embedder.linear_1": "guidance_in.in_layer",
    "time_text_embed.guidance_embedder.linear_2": "guidance_in.out_layer",
}
FLUX_DOUBLE = {
    "norm1.linear": "img_mod.lin", "norm1_context.linear": "txt_mod.lin", "attn.to_out.0": "img_attn.proj",
    "attn.to_add_out": "txt_attn.proj", "attn.norm_q": "img_attn.norm.query_norm",
    "attn.norm_k": "img_attn.norm.key_norm", "attn.norm_added_q": "txt_attn.norm.query_norm",
    "attn.norm_added_k": "txt_attn.norm.key_norm", "ff.net.0.proj": "img_mlp.0", "ff.net.2": "img_mlp.2",
    "ff_context.net.0.proj": "txt_mlp.0", "ff_context.net.2": "txt_mlp.2",
}
FLUX_SINGLE = {"norm.linear": "modulation.lin", "attn.norm_q": "norm.query_norm", "attn.norm_k": "norm.key_norm",
               "proj_out": "linear2"}
FLUX_FUSED = {"img_attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
              "txt_attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj")}
FLUX_FUSED_SINGLE = {"linear1": ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")}


def sd3_file(folder: Path, path: Path, prefix: str = "model.diffusion_model.") -> Path:
    """Write the transformer of an SD 3 folder as Stability AI published it."""
    tensors = weights(folder / "transformer")
    last = max(int(name.split(".")[1]) for name in tensors if name.startswith("transformer_blocks."))
    # Shift comes before scale where the last layers take both, and the other way round in diffusers.
    swapped = ("norm_out.linear.", f"transformer_blocks.{last}.norm1_context.linear.")
    tensors = {name: halves_swapped(tensor) if name.startswith(swapped) else tensor for name, tensor in tensors.items()}
    found = fused(tensors, "transformer_blocks", "joint_blocks", SD3_BLOCK, SD3_FUSED) | ends(tensors, SD3_ENDS)
    return written(found, tensors, path, prefix)


def flux_file(folder: Path, path: Path, prefix: str = "") -> Path:
    """Write the transformer of a FLUX.1 or Chroma folder as their makers published it."""
    tensors = weights(folder / "transformer")
    tensors = {name: halves_swapped(tensor) if name.startswith("norm_out.") else tensor
               for name, tensor in tensors.items()}
    found = fused(tensors, "single_transformer_blocks", "single_blocks", FLUX_SINGLE, FLUX_FUSED_SINGLE)
    found |= fused(tensors, "transformer_blocks", "double_blocks", FLUX_DOUBLE, FLUX_FUSED) | ends(tensors, FLUX_ENDS)
    found = {re.sub(r"(query|key)_norm\.weight", r"\1_norm.scale", name): tensor for name, tensor in found.items()}
    for name, tensor in tensors.items():  # Chroma's network for the timestep
        if name.startswith("distilled_guidance_layer."):
            name = name.replace("linear_1", "in_layer").replace("linear_2", "out_layer")
            found[re.sub(r"norms\.(\d+)\.weight", r"norms.\1.scale", name)] = tensor
    return written(found, tensors, path, prefix)


def halves_swapped(tensor: torch.Tensor) -> torch.Tensor:
    return torch.cat(tensor.chunk(2)[::-1])


def ends(tensors: dict, names: dict[str, str]) -> dict:
    """What belongs to no block, under its original names."""
    found = {}
    for name, tensor in tensors.items():
        layer, _, kind = name.rpartition(".")
        if name in names:
            found[names[name]] = tensor
        elif layer in names:
            found[f"{names[layer]}.{kind}"] = tensor
    return found


def fused(tensors: dict, ours: str, theirs: str, names: dict[str, str], joined: dict[str, tuple[str, ...]]) -> dict:
    """The blocks called `ours` under their original names, with layers that the original has as one made one."""
    found = {}
    for name, tensor in tensors.items():
        if not name.startswith(f"{ours}."):
            continue
        _, place, rest = name.split(".", 2)
        layer, _, kind = rest.rpartition(".")
        if layer in names:
            found[f"{theirs}.{place}.{names[layer]}.{kind}"] = tensor
    for place in {name.split(".")[1] for name in tensors if name.startswith(f"{ours}.")}:
        for whole, parts in joined.items():
            for kind in ("weight", "bias"):
                if f"{ours}.{place}.{parts[0]}.{kind}" in tensors:
                    found[f"{theirs}.{place}.{whole}.{kind}"] = torch.cat(
                        [tensors[f"{ours}.{place}.{part}.{kind}"] for part in parts])
    return found


def written(found: dict, tensors: dict, path: Path, prefix: str) -> Path:
    """Save under a prefix, if every number of the folder's tensors has found its place."""
    assert sum(tensor.numel() for tensor in found.values()) == sum(tensor.numel() for tensor in tensors.values())
    save_file({prefix + name: tensor.contiguous() for name, tensor in found.items()}, path)
    return path


def all_in_one(transformer: Path, folder: Path, encoders: dict[str, str], vae: str) -> Path:
    """Put text encoders ({part of the folder: what files call it}) and VAE beside the transformer of a file, as ComfyUI
    saves them; with the tensors that it adds, and nobody should read."""
    prefix = "model.diffusion_model."
    found = {prefix + name.removeprefix(prefix): tensor for name, tensor in load_file(transformer).items()}
    for part, name in encoders.items():
        for key, tensor in weights(folder / part).items():
            whole = key if name == "t5xxl" or key.startswith("text_") else f"text_model.{key}"
            found[f"text_encoders.{name}.transformer.{whole}"] = tensor
        found[f"text_encoders.{name}.logit_scale"] = torch.zeros(())
        if name == "clip_l":
            found[f"text_encoders.{name}.transformer.text_projection.weight"] = torch.full((32, 32), 7.0)
    path = transformer.with_name(f"whole-{transformer.name}")
    tensors = found | vae_tensors(folder, vae)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path
