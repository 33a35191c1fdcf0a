"""What a LoRA changes: which layers, which of them never moved, and how much, block by block."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from trainer.lora.adapter import Update
from trainer.lora.layers import block


def coverage(adapters: Mapping[str, Update], bases: Mapping[str, Tensor] | None = None) -> dict[str, Any]:
    """A report that can be written as JSON: for each part its layers, kinds of adapter, ranks, alphas, blocks and what
    is still zero.

    `norm` is the Frobenius norm of what the weights gain, over all layers of a block; None where it depends on weights
    that are not in `bases` ({our name: weight}).
    """
    return {"layers": len(adapters), "parts": [
        _part(part, {name: one for name, one in adapters.items() if name.startswith(f"{part}.")}, bases or {})
        for part in dict.fromkeys(name.split(".", 1)[0] for name in adapters)
    ]}


def _part(part: str, adapters: Mapping[str, Update], bases: Mapping[str, Tensor]) -> dict[str, Any]:
    norms = {name.removeprefix(f"{part}."): one.norm(bases.get(name)) for name, one in adapters.items()}
    still = {name.removeprefix(f"{part}.") for name, one in adapters.items() if one.nothing}
    still |= {path for path, size in norms.items() if size == 0}
    blocks: dict[str, list[str]] = {}
    for path in norms:
        blocks.setdefault(block(path), []).append(path)
    return {
        "part": part,
        "layers": len(adapters),
        "adapters": dict(Counter(one.kind for one in adapters.values()).most_common()),
        "ranks": _counted(adapter.rank for adapter in adapters.values()),
        "alphas": _counted(adapter.alpha for adapter in adapters.values()),
        "norm": _total(norms.values()),
        "zero": [path for path in norms if path in still],
        "blocks": [{"name": name, "layers": len(paths), "zero": sum(path in still for path in paths),
                    "norm": _total(norms[path] for path in paths), "kinds": kinds(paths)}
                   for name, paths in blocks.items()],
    }


def kinds(paths: list[str]) -> list[str]:
    """What layers of a block do, shortened: attention, feed-forward, convolution, other."""
    return sorted({_kind(path) for path in paths})


def _kind(path: str) -> str:
    if re.search(r"attn|attention\.|qkv", path):
        return "attention"
    if re.search(r"\b(ff|mlp|feed_forward)|proj_mlp|conv_(inverted|point|depth)", path):
        return "feed-forward"
    return "convolution" if re.search(r"\bconv", path) else "other"


def _total(norms: Iterable[float | None]) -> float | None:
    norms = list(norms)
    return None if None in norms else sum(size * size for size in norms) ** 0.5


def _counted(values: Any) -> dict[str, int]:
    """{value: how many layers}, the most usual first."""
    return {f"{value:g}": count for value, count in Counter(values).most_common()}
