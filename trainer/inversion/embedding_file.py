"""Embedding files, one for each new word, as A1111, ComfyUI and diffusers read them.

Of a model with one text encoder a file has one tensor, "emb_params"; of one with several, one for each by the names
that ComfyUI gives them ("clip_l", "clip_g"). All are [vectors, width].
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from trainer.lora import writing
from trainer.lora.keys import LoraError

FOLDER = "embeddings"  # beside the LoRA, and not among its files: other programs have a folder of that name for them
LARGEST = 64_000_000  # bytes


def save(path: Path, rows: Mapping[str, Tensor], metadata: Mapping[str, str], dtype: torch.dtype) -> None:
    """Write a word, {key: rows}, and read it back. LoraError when a number is not finite, in `dtype` or at all."""
    tensors = {key: tensor.detach().cpu().to(dtype).contiguous() for key, tensor in rows.items()}
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise LoraError(f"nothing was saved: {path.stem} holds NaN or infinity: the run diverged; lower the learning "
                        "rate of the word")
    path.parent.mkdir(exist_ok=True)
    writing.write(path, writing.content(tensors, metadata))
    found = _read(path)
    if found.keys() != tensors.keys() or not all(torch.equal(found[key], tensors[key]) for key in tensors):
        raise LoraError(f"{path.name} is not what was trained")


def load(path: Path, keys: Mapping[str, str]) -> dict[str, Tensor]:
    """{text encoder: rows} of a file, for a family with these {text encoder: key}. LoraError where one is missing."""
    found = _read(path)
    if len(keys) == len(found) == 1:  # diffusers calls the only tensor by its word
        found = dict(zip(keys.values(), found.values()))
    if missing := [key for key in keys.values() if key not in found]:
        raise LoraError(f"{path.name} has no {' and no '.join(missing)} (only {', '.join(found) or 'nothing'}): it is "
                        "no embedding of this kind of model")
    return {name: found[key].float().reshape(-1, found[key].shape[-1]) for name, key in keys.items()}


def fits(path: Path, rows: Tensor, own: Tensor) -> None:
    """LoraError when the rows of a file are of another size than those that learn."""
    if rows.shape[1] != own.shape[1]:
        raise LoraError(f"{path.name} has vectors of {rows.shape[1]} numbers, this model's have {own.shape[1]}: it "
                        "belongs to another kind of model")
    if rows.shape != own.shape:
        raise LoraError(f"{path.name} has {len(rows)} vectors and the word is to have {len(own)}: set the same number")


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.stat().st_size > LARGEST:
            raise LoraError(f"{path.name} is too large for an embedding file: is it a model?")
        found = safetensors.torch.load(path.read_bytes())
    except SafetensorError as error:
        raise LoraError(f"{path.name} is no whole .safetensors file: {error}") from error
    except OSError as error:
        raise LoraError(f"{path} can't be read: {error.strerror or error}") from error
    if not all(tensor.ndim in (1, 2) and tensor.is_floating_point() for tensor in found.values()):
        raise LoraError(f"{path.name} is no embedding file: it holds other tensors than rows of vectors")
    return found
