"""What a LoRA changes: which layers, which of them never moved, and how much, block by block."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch

from trainer.lora.adapter import Adapter

_BLOCK = re.compile(r"mid_block\.\w+\.\d+|(?:[^.]+\.)*?[^.]*(?:blocks?|layers|refiner)\.\d+"
                    r"(?:\.(?:attentions|resnets)\.\d+)?")


def coverage(adapters: Mapping[str, Adapter]) -> dict[str, Any]:
    """A report that can be written as JSON: for each part its layers, ranks, alphas, blocks and what is still zero.

    `norm` is the Frobenius norm of what the weights gain, over all layers of a block.
    """
    return {"layers": len(adapters), "parts": [
        _part(part, {name: one for name, one in adapters.items() if name.startswith(f"{part}.")})
        for part in dict.fromkeys(name.split(".", 1)[0] for name in adapters)
    ]}


def _part(part: str, adapters: Mapping[str, Adapter]) -> dict[str, Any]:
    norms = {name.removeprefix(f"{part}."): norm(adapter) for name, adapter in adapters.items()}
    blocks: dict[str, list[str]] = {}
    for path in norms:
        blocks.setdefault(block(path), []).append(path)
    return {
        "part": part,
        "layers": len(adapters),
        "ranks": _counted(adapter.rank for adapter in adapters.values()),
        "alphas": _counted(adapter.alpha for adapter in adapters.values()),
        "norm": _total(norms.values()),
        "zero": [path for path, size in norms.items() if not size],
        "blocks": [{"name": name, "layers": len(paths), "zero": sum(not norms[path] for path in paths),
                    "norm": _total(norms[path] for path in paths), "kinds": kinds(paths)}
                   for name, paths in blocks.items()],
    }


def norm(adapter: Adapter) -> float:
    """The Frobenius norm of what the layer's weight gains, from rank x rank products: the weight is never made."""
    down, up = adapter.down.double().flatten(1), adapter.up.double().flatten(1)
    square = ((up.T @ up) * (down @ down.T)).sum().clamp(min=0)
    return float(torch.sqrt(square)) * abs(adapter.alpha / adapter.rank)


def block(path: str) -> str:
    """The block of a model that a layer belongs to: up to its number, of a UNet also which attention or resnet."""
    found = _BLOCK.match(path)
    return found.group() if found else "outside the blocks"


def kinds(paths: list[str]) -> list[str]:
    """What layers of a block do, shortened: attention, feed-forward, convolution, other."""
    return sorted({_kind(path) for path in paths})


def _kind(path: str) -> str:
    if re.search(r"attn|attention\.|qkv", path):
        return "attention"
    if re.search(r"\b(ff|mlp|feed_forward)|proj_mlp|conv_(inverted|point|depth)", path):
        return "feed-forward"
    return "convolution" if re.search(r"\bconv", path) else "other"


def _total(norms: Any) -> float:
    return sum(size * size for size in norms) ** 0.5


def _counted(values: Any) -> dict[str, int]:
    """{value: how many layers}, the most usual first."""
    return {f"{value:g}": count for value, count in Counter(values).most_common()}
