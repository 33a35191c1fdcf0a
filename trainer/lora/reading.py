"""Reads LoRA files in every common dialect: .safetensors, PEFT's adapter folders, diffusers' folders.

What is read keeps the file's own names; `updates` finds our layers among them, also where the original implementation
has several of our layers in one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from trainer.lora import declared, peft_folders
from trainer.lora.adapter import Adapter, Update
from trainer.lora.keys import LoraError, Naming, dialect, group, split
from trainer.lora.kinds import assembled

DIFFUSERS_WEIGHTS = "pytorch_lora_weights.safetensors"
_LONGEST_HEADER = 100_000_000  # bytes; the safetensors library's own limit


@dataclass(frozen=True)
class LoraFile:
    """What stands in a file, under the file's own names."""

    path: Path
    tensors: dict[str, Tensor]
    metadata: dict[str, str]
    dialect: str
    """As keys.dialect has it; for messages."""


def load(path: Path) -> LoraFile:
    """Read a .safetensors file, a PEFT adapter folder (or one over `unet/`, `text_encoder/`), or a diffusers folder.

    Nothing is converted yet, but an alpha that is stated beside the tensors is added to them. LoraError when the file
    is missing, broken, a pickle, or no LoRA.
    """
    path = Path(path)
    if path.is_dir():
        return _load_folder(path)
    tensors, metadata = _read(path)
    called = dialect(tensors)
    _add_alphas(tensors, declared.from_header(metadata, _shapes(tensors)))
    return LoraFile(path, tensors, metadata, called)


def updates(file: LoraFile, naming: Naming, layers: Iterable[str]) -> tuple[dict[str, Update], list[str]]:
    """({our name: update}, keys that fit no layer) of what the file holds for `layers`; LoraError when a layer is there
    and can't be used."""
    layers = list(layers)
    fused = naming.fused(layers)
    named, unmatched = group(file.tensors, naming.index(layers) | {spelling: spelling for spelling in fused})
    found = {}
    for name, keys in named.items():
        whole = assembled(file.tensors, keys, f"{file.path.name}: {name}")
        found |= cut(whole, naming, fused[name], f"{file.path.name}: {name}") if name in fused else {name: whole}
    return found, unmatched


def cut(whole: Update, naming: Naming, names: Sequence[str], where: str) -> dict[str, Adapter]:
    """The updates of our layers `names` that are pieces of one original layer, whose update is `whole`.

    Columns of "up" that are zero all over a piece are left out of it with their rows of "down", so that what `joined`
    has put together comes apart again. Raises LoraError for kinds whose pieces are not of the same kind.
    """
    if not isinstance(whole, Adapter):
        raise LoraError(f"{where} is one layer of the original and several here: a LoRA can be cut, {whole.kind} can't")
    pieces = {name: naming.piece(name) for name in names}
    shares = next(iter(pieces.values())).shares
    rows, rest = divmod(whole.up.shape[0], sum(shares))
    if rest:
        raise LoraError(f"{where} has {whole.up.shape[0]} rows, which are not {sum(shares)} equal parts: the LoRA "
                        "belongs to another model")
    found = {}
    for name, piece in pieces.items():
        first = rows * sum(shares[: piece.number])
        up = whole.up[first : first + rows * shares[piece.number]]
        used = up.flatten(1).any(dim=0)
        if used.any():
            alpha = whole.alpha * int(used.sum()) / whole.rank
            found[name] = Adapter(whole.down[used], up[:, used], alpha)
    return found or {name: Adapter(whole.down.clone(), whole.up[: rows * shares[piece.number]].clone(), whole.alpha)
                     for name, piece in pieces.items()}


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        keys, metadata = _header(path)
        if not any(split(key)[1] not in ("alpha", "unknown") for key in keys):
            raise LoraError(f"{path.name} is no LoRA: none of its {len(keys)} tensors is an update of a layer")
        return safetensors.torch.load(path.read_bytes()), metadata
    except SafetensorError as error:
        raise LoraError(f"{path.name} is damaged or cut short: {error}") from error
    except OSError as error:
        raise LoraError(f"{path} can't be read: {error.strerror or error}") from error


def _header(path: Path) -> tuple[list[str], dict[str, str]]:
    """(names of the tensors, metadata), without the data: a checkpoint given by mistake may be many gigabytes."""
    with open(path, "rb") as file:
        start = file.read(8)
        size = int.from_bytes(start, "little")
        if len(start) < 8 or size > min(_LONGEST_HEADER, path.stat().st_size - 8):
            if start[:4] == b"PK\x03\x04" or start[:1] == b"\x80":
                raise LoraError(f"{path.name} is a pickle, which can carry programs; only .safetensors files are read")
            raise LoraError(f"{path.name} is not a complete safetensors file; download or save it again")
        content = file.read(size)
    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise LoraError(f"{path.name} is not a safetensors file: its header can't be read") from error
    if not isinstance(values, dict):
        raise LoraError(f"{path.name} is not a safetensors file: its header is no table of tensors")
    metadata = values.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        raise LoraError(f"{path.name} is not a safetensors file: its metadata is no table")
    return list(values), {str(key): str(value) for key, value in metadata.items()}


def _load_folder(folder: Path) -> LoraFile:
    if (folder / DIFFUSERS_WEIGHTS).is_file():
        return load(folder / DIFFUSERS_WEIGHTS)
    found = [folder] if (folder / peft_folders.WEIGHTS).is_file() else sorted(
        child for child in folder.iterdir() if (child / peft_folders.WEIGHTS).is_file())
    if not found:
        raise LoraError(f"{folder} holds no {peft_folders.WEIGHTS} and no {DIFFUSERS_WEIGHTS}, in itself or one level "
                        "down")
    tensors: dict[str, Tensor] = {}
    metadata: dict[str, str] = {}
    for child in found:
        own, said = _read(child / peft_folders.WEIGHTS)
        metadata |= said
        said = child / peft_folders.CONFIG
        try:
            config = declared.parse(said.read_text(encoding="utf-8"), str(said))
        except (OSError, UnicodeDecodeError) as error:
            raise LoraError(f"{said} can't be read, so the LoRA's strength is not known") from error
        if (said := config.get("peft_type", "LORA")) not in peft_folders.TYPES.values():
            raise LoraError(f"{child} is PEFT's {said}: of PEFT's folders only LoRA, DoRA, LoHa and LoKr are read")
        _add_declared(own, config)
        prefix = "" if child == folder else f"{child.name}."
        tensors |= {prefix + key: tensor for key, tensor in own.items()}
    return LoraFile(folder, tensors, metadata, "peft")


def _add_declared(tensors: dict[str, Tensor], config: Mapping[str, Any]) -> None:
    """What PEFT's config says beside the tensors of a folder."""
    shapes, prefix = _shapes(tensors), "base_model.model."
    alphas = declared.from_config(config, shapes, prefix)
    if config.get("peft_type") == "LOKR":
        peft_folders.fold_scales(tensors, declared.ranks_from_config(config, shapes, prefix), alphas)
    _add_alphas(tensors, alphas)


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(tensor.shape) for key, tensor in tensors.items() if tensor.ndim}


def _add_alphas(tensors: dict[str, Tensor], alphas: Mapping[str, float]) -> None:
    for stem, alpha in alphas.items():
        tensors.setdefault(f"{stem}.alpha", torch.tensor(alpha))
