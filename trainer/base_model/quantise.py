"""A frozen denoiser or text encoder in 8 or 4 bits a weight, for cards that can't hold it in 16: LLM.int8 (Dettmers et
al., arXiv 2208.07339) and NF4 of QLoRA (arXiv 2305.14314), both by bitsandbytes. What learns stays in float32.

Only the layers in the stacks of blocks are taken: they are nearly all of the weights, and what lies before and after
them (embeddings, the last layer) is small and decides much.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from settings.errors import SettingsError

BITS = {"8bit": 8, "4bit": 4}


def quantise(part: nn.Module, precision: str, dtype: torch.dtype, setting: str = "memory.base_precision") -> int:
    """Replace the linear layers of the blocks, in place; they are made small when the part is moved to its device next.
    Returns how many. `dtype`: of the arithmetic. SettingsError, naming `setting`, where it can't work."""
    try:
        import bitsandbytes
    except (ImportError, OSError, RuntimeError) as error:
        fix = f"bitsandbytes does not work on this machine ({type(error).__name__}: {error}); choose 16bit"
        raise SettingsError({setting: fix}) from error
    make = _four_bits if precision == "4bit" else _eight_bits
    found = list(_in_blocks(part))
    for parent, name, layer in found:
        setattr(parent, name, make(bitsandbytes.nn, layer, dtype))
    # By this PEFT knows which of its layers to attach, and the cache that captions are read otherwise.
    setattr(part, f"is_loaded_in_{BITS[precision]}bit", True)
    return len(found)


def bits(part: nn.Module) -> int | None:
    """In how many bits `quantise` keeps it; None for a part that is whole."""
    return next((count for count in BITS.values() if getattr(part, f"is_loaded_in_{count}bit", False)), None)


def _in_blocks(part: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Linear]]:
    """(parent, name, layer) of each linear layer that lies in a list of blocks."""
    stacks = [module for module in part.modules() if isinstance(module, nn.ModuleList)]
    seen: set[int] = set()
    for stack in stacks:
        for parent in stack.modules():
            for name, layer in parent.named_children():
                if type(layer) is nn.Linear and id(layer) not in seen:
                    seen.add(id(layer))
                    yield parent, name, layer


def _four_bits(kinds, layer: nn.Linear, dtype: torch.dtype) -> nn.Module:
    # T5 casts what a layer gets to the type of its weight: it must not be that of bytes.
    stored = {"quant_type": "nf4", "quant_storage": dtype}
    small = kinds.Linear4bit(
        layer.in_features, layer.out_features, layer.bias is not None, compute_dtype=dtype, device="meta", **stored)
    small.weight = kinds.Params4bit(layer.weight.data, requires_grad=False, module=small, **stored)
    return _with_bias(small, layer)


def _eight_bits(kinds, layer: nn.Linear, dtype: torch.dtype) -> nn.Module:
    small = kinds.Linear8bitLt(
        layer.in_features, layer.out_features, layer.bias is not None, has_fp16_weights=False, threshold=6.0,
        device="meta",
    )  # fmt: skip
    small.weight = kinds.Int8Params(layer.weight.data, requires_grad=False, has_fp16_weights=False)
    return _with_bias(small, layer)


def _with_bias(small: nn.Module, layer: nn.Linear) -> nn.Module:
    if layer.bias is not None:
        small.bias = nn.Parameter(layer.bias.data, requires_grad=False)
    return small.train(layer.training)
