"""A LoRA and the new words that were learnt with it in one file, as A1111, Forge and OneTrainer read them: beside the
tensors of the LoRA, bundle_emb.WORD.KEY for each word. KEY is that of an embedding file, but for a model with a single
text encoder, where it is the one that A1111's own embeddings have."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import safe_open
from torch import Tensor

from trainer.lora import writing

KEYS = {"emb_params": "string_to_param.*"}  # ComfyUI and OneTrainer know the second alone; A1111 takes both


def beside(lora: Path) -> Path:
    return lora.with_name(f"{lora.stem}-bundled{lora.suffix}")


def write(path: Path, lora: Path, words: Mapping[str, Mapping[str, Tensor]]) -> None:
    """All of `lora`, and {word as prompts have it: {key: [vectors, width]}} in the LoRA's number format."""
    with safe_open(lora, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no dictionary
        notes = file.metadata() or {}
    dtype = next(tensor.dtype for name, tensor in tensors.items() if not name.endswith(".alpha"))
    tensors |= {f"bundle_emb.{word}.{KEYS.get(key, key)}": tensor.to(dtype)
                for word, rows in words.items() for key, tensor in rows.items()}
    writing.write(path, writing.content(tensors, notes))
