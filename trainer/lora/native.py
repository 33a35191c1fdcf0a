"""What layers are called in the original implementations, which kohya's own trainers and OneTrainer write into files.

Some of those layers are several of ours in one: there `to_q`, `to_k` and `to_v` are the thirds of `qkv`. A LoRA of such
a layer is cut into ours without loss: they share "down", and each has its rows of "up".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Piece:
    """Where one of our layers is in the original."""

    name: str
    """The original layer."""
    number: int = 0
    """Which of its pieces, from the top."""
    shares: tuple[int, ...] = (1,)
    """How its rows are divided."""

    @property
    def alone(self) -> bool:
        return len(self.shares) == 1


Original = Callable[[str], Piece | None]

_RESNET = {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
           "conv2": "out_layers.3", "conv_shortcut": "skip_connection"}
_ENDS = {"conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
         "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
         "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2"}
_BLOCK = re.compile(r"(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)\.(.+)")
_MIDDLE = re.compile(r"mid_block\.(resnets|attentions)\.(\d+)\.(.+)")


def sdxl_blocks(path: str) -> Piece | None:
    """A layer of SDXL's UNet: input_blocks, middle_block and output_blocks, each resnet with its attention in one
    block, three blocks at every size."""
    return Piece(found) if (found := unet(path)) else None


def sd_blocks(path: str) -> Piece | None:
    """The same for SD 1.x and 2.x, whose first block on the way up has no attention."""
    found = unet(path)
    return Piece(found.replace("output_blocks.2.2.conv", "output_blocks.2.1.conv")) if found else None


def unet(path: str, resnets: int = 2) -> str:
    """Any layer of a UNet with so many resnets a block on the way down; "" for what is none. Where a block on the way
    up has no attention, its upsampler is one place further up than is said here."""
    if path in _ENDS:
        return _ENDS[path]
    if found := _MIDDLE.fullmatch(path):
        kind, place, rest = found.groups()
        return f"middle_block.{1 if kind == 'attentions' else 2 * int(place)}.{_RESNET.get(rest, rest)}"
    if not (found := _BLOCK.fullmatch(path)):
        return ""
    way, block, kind, place, rest = found.groups()
    first = (resnets + 1) * int(block)
    if kind == "downsamplers":
        return f"input_blocks.{first + resnets + 1}.0.{rest.replace('conv', 'op')}"
    if kind == "upsamplers":
        return f"output_blocks.{first + resnets}.2.{rest}"
    side, number = ("input", first + int(place) + 1) if way == "down" else ("output", first + int(place))
    return f"{side}_blocks.{number}.{'1' if kind == 'attentions' else '0'}.{_RESNET.get(rest, rest)}"


def _by_table(table: Mapping[str, tuple[str, ...]], **shares: int) -> Original:
    """A look-up in {original: our layers in it}, where {} is a number; a layer not named in `shares` has one share."""
    pieces = {}
    for original, ours in table.items():
        rows = tuple(shares.get(name.rpartition(".")[2], 1) for name in ours)
        pieces |= {name: (original, number, rows) for number, name in enumerate(ours)}

    def look_up(path: str) -> Piece | None:
        number = next((part for part in path.split(".") if part.isdigit()), "")
        found = pieces.get(path.replace(f".{number}.", ".{}.", 1)) if number else None
        found = found or pieces.get(path)
        return Piece(found[0].replace("{}", number), *found[1:]) if found else None

    return look_up


def _qkv(path: str, query: str = "to_q", key: str = "to_k", value: str = "to_v") -> tuple[str, ...]:
    return tuple(f"{path}.{name}" for name in (query, key, value))


_ADDED = ("add_q_proj", "add_k_proj", "add_v_proj")
_DOUBLE, _SINGLE = "transformer_blocks.{}", "single_transformer_blocks.{}"

# Not here: final_layer, and in SD 3 the modulation of words, whose halves the original has the other way round.
flux = _by_table({
    "double_blocks.{}.img_attn.qkv": _qkv(f"{_DOUBLE}.attn"),
    "double_blocks.{}.txt_attn.qkv": _qkv(f"{_DOUBLE}.attn", *_ADDED),
    "double_blocks.{}.img_attn.proj": (f"{_DOUBLE}.attn.to_out.0",),
    "double_blocks.{}.txt_attn.proj": (f"{_DOUBLE}.attn.to_add_out",),
    "double_blocks.{}.img_mlp.0": (f"{_DOUBLE}.ff.net.0.proj",),
    "double_blocks.{}.img_mlp.2": (f"{_DOUBLE}.ff.net.2",),
    "double_blocks.{}.txt_mlp.0": (f"{_DOUBLE}.ff_context.net.0.proj",),
    "double_blocks.{}.txt_mlp.2": (f"{_DOUBLE}.ff_context.net.2",),
    "double_blocks.{}.img_mod.lin": (f"{_DOUBLE}.norm1.linear",),
    "double_blocks.{}.txt_mod.lin": (f"{_DOUBLE}.norm1_context.linear",),
    "single_blocks.{}.linear1": (*_qkv(f"{_SINGLE}.attn"), f"{_SINGLE}.proj_mlp"),
    "single_blocks.{}.linear2": (f"{_SINGLE}.proj_out",),
    "single_blocks.{}.modulation.lin": (f"{_SINGLE}.norm.linear",),
    "img_in": ("x_embedder",),
    "txt_in": ("context_embedder",),
    "time_in.in_layer": ("time_text_embed.timestep_embedder.linear_1",),
    "time_in.out_layer": ("time_text_embed.timestep_embedder.linear_2",),
    "vector_in.in_layer": ("time_text_embed.text_embedder.linear_1",),
    "vector_in.out_layer": ("time_text_embed.text_embedder.linear_2",),
    "guidance_in.in_layer": ("time_text_embed.guidance_embedder.linear_1",),
    "guidance_in.out_layer": ("time_text_embed.guidance_embedder.linear_2",),
    "distilled_guidance_layer.in_proj": ("distilled_guidance_layer.in_proj",),
    "distilled_guidance_layer.out_proj": ("distilled_guidance_layer.out_proj",),
    "distilled_guidance_layer.layers.{}.in_layer": ("distilled_guidance_layer.layers.{}.linear_1",),
    "distilled_guidance_layer.layers.{}.out_layer": ("distilled_guidance_layer.layers.{}.linear_2",),
}, proj_mlp=4)  # fmt: skip
sd3 = _by_table({
    "joint_blocks.{}.x_block.attn.qkv": _qkv(f"{_DOUBLE}.attn"),
    "joint_blocks.{}.x_block.attn2.qkv": _qkv(f"{_DOUBLE}.attn2"),
    "joint_blocks.{}.context_block.attn.qkv": _qkv(f"{_DOUBLE}.attn", *_ADDED),
    "joint_blocks.{}.x_block.attn.proj": (f"{_DOUBLE}.attn.to_out.0",),
    "joint_blocks.{}.x_block.attn2.proj": (f"{_DOUBLE}.attn2.to_out.0",),
    "joint_blocks.{}.context_block.attn.proj": (f"{_DOUBLE}.attn.to_add_out",),
    "joint_blocks.{}.x_block.mlp.fc1": (f"{_DOUBLE}.ff.net.0.proj",),
    "joint_blocks.{}.x_block.mlp.fc2": (f"{_DOUBLE}.ff.net.2",),
    "joint_blocks.{}.context_block.mlp.fc1": (f"{_DOUBLE}.ff_context.net.0.proj",),
    "joint_blocks.{}.context_block.mlp.fc2": (f"{_DOUBLE}.ff_context.net.2",),
    "joint_blocks.{}.x_block.adaLN_modulation.1": (f"{_DOUBLE}.norm1.linear",),
    "x_embedder.proj": ("pos_embed.proj",),
    "context_embedder": ("context_embedder",),
    "t_embedder.mlp.0": ("time_text_embed.timestep_embedder.linear_1",),
    "t_embedder.mlp.2": ("time_text_embed.timestep_embedder.linear_2",),
    "y_embedder.mlp.0": ("time_text_embed.text_embedder.linear_1",),
    "y_embedder.mlp.2": ("time_text_embed.text_embedder.linear_2",),
})  # fmt: skip
