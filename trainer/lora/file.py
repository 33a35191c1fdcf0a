"""LoRA files: written whole or not at all, read in every common dialect, and compared with what they should hold.

A file names layers as its family's table says (keys.py) and holds for each: down, up, and alpha as a float32 scalar.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from trainer.lora import writing
from trainer.lora.adapter import Adapter, fitted
from trainer.lora.inject import ADAPTER, layers, learnable
from trainer.lora.keys import LoraError, Naming, group
from trainer.lora.reading import LoraFile, load, updates
from trainer.lora.writing import PARTIAL

PRECISIONS = {"fp16": torch.float16, "bf16": torch.bfloat16, "float32": torch.float32}


@dataclass(frozen=True)
class Match:
    """How a file fits a model."""

    adapters: dict[str, Adapter]
    """{our name: update} of the layers that were found."""
    unmatched: list[str]
    """Keys of the file that fit no layer of the model."""


@dataclass(frozen=True)
class Applied:
    """What copying a file into the adapters of a run did."""

    loaded: list[str]
    """Layers that now start from the file."""
    untouched: list[str]
    """Layers that learn in this run but are not in the file."""
    unused: list[str]
    """Layers in the file that do not learn in this run, and keys that fit no layer."""


@dataclass(frozen=True)
class Verified:
    """A file that was read back and holds what it should."""

    layers: int
    zero: list[str]
    """Layers whose update is exactly nothing."""
    max_error: float
    """Largest difference from the float32 weights, which is the rounding of the file's precision."""
    size: int
    """Bytes on disk."""


def save(path: Path, state: Mapping[str, Tensor], alphas: Mapping[str, float], *, naming: Naming,
         metadata: Mapping[str, str], dtype: torch.dtype = torch.float16) -> None:
    """Write `state` (inject.state, or its average) to `path` in the family's names, with the metadata and its hashes.

    Written aside, flushed, then renamed: a killed process or a full disk leaves the old file as it was. LoraError, and
    nothing written, when a weight is not finite or does not fit into `dtype`.
    """
    writing.write(Path(path), writing.content(_named(state, alphas, naming, dtype), metadata))


def sweep(folder: Path) -> list[Path]:
    """Remove what killed processes left half written in `folder`. Call it only where no other process writes."""
    orphans = [path for path in Path(folder).glob(f"{PARTIAL}*") if path.is_file()]
    for path in orphans:
        path.unlink()
    return orphans


def match(file: LoraFile, parts: Mapping[str, nn.Module], naming: Naming) -> Match:
    """Find the layer of `parts` for every key; LoraError when none fits, or one fits by name and not by shape."""
    modules = learnable(parts)
    found, unmatched = updates(file, naming, modules)
    if not found:
        raise LoraError(f"{file.path.name}: none of its {len(file.tensors)} keys ({file.dialect} names, such as "
                        f"{next(iter(file.tensors))}) fits this model; it was made for another kind of model")
    return Match({name: fitted(adapter, modules[name].weight.shape, f"{file.path.name}: {name}")
                  for name, adapter in found.items()}, unmatched)


def apply(parts: Mapping[str, nn.Module], file: LoraFile, naming: Naming) -> Applied:
    """Start the attached adapters from `file`. Where alpha differs, weights are scaled so that the update is the same.

    LoraError when a rank differs or nothing that learns is in the file.
    """
    found = match(file, parts, naming)
    attached = {f"{part}.{path}": layer for part, module in parts.items() for path, layer in layers(module).items()}
    loaded = [name for name in found.adapters if name in attached]
    if not loaded:
        raise LoraError(f"{file.path.name}: none of its {len(found.adapters)} layers learns in this run")
    for name in loaded:
        if (rank := attached[name].r[ADAPTER]) != found.adapters[name].rank:
            raise LoraError(f"{file.path.name}: {name} has rank {found.adapters[name].rank}, this run trains rank "
                            f"{rank}; set the same rank, or resize the file first")
    with torch.no_grad():
        for name in loaded:
            layer, adapter = attached[name], found.adapters[name]
            down, up = layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight
            down.copy_(adapter.down.reshape(down.shape))
            up.copy_(adapter.up.float().reshape(up.shape) * (adapter.alpha / adapter.rank / layer.scaling[ADAPTER]))
    unused = [name for name in found.adapters if name not in attached] + found.unmatched
    return Applied(loaded, [name for name in attached if name not in found.adapters], unused)


def verify(path: Path, state: Mapping[str, Tensor], alphas: Mapping[str, float], *, naming: Naming,
           trained: bool = True) -> Verified:
    """Read `path` back and compare every tensor with `state` at the file's precision.

    LoraError when anything is missing, different, not finite, or (where `trained`) when every update is zero.
    """
    file = load(path)
    named, unmatched = group(file.tensors, naming.index(alphas))
    if unmatched or named.keys() != alphas.keys() or len(file.tensors) != (3 if naming.alphas else 2) * len(alphas):
        raise LoraError(f"{file.path.name} holds {len(named)} layers and {len(unmatched)} foreign keys; expected "
                        f"{len(alphas)} layers")
    max_error, zero = 0.0, []
    for name, keys in named.items():
        for role, letter in (("down", "A"), ("up", "B")):
            written = file.tensors[keys[role]]
            wanted = _as_written(state, alphas, name, letter, naming)
            if not torch.equal(written, wanted.to(written.dtype)) or not torch.isfinite(written).all():
                raise LoraError(f"{file.path.name}: {keys[role]} is not what was trained")
            max_error = max(max_error, (written.float() - wanted.float()).abs().max().item())
        if naming.alphas and abs(file.tensors[keys["alpha"]].item() - alphas[name]) > 1e-6 * abs(alphas[name]):
            raise LoraError(f"{file.path.name}: {keys['alpha']} is {file.tensors[keys['alpha']].item()}, expected "
                            f"{alphas[name]}")
        if not file.tensors[keys["up"]].any() or not file.tensors[keys["down"]].any():
            zero.append(name)
    if trained and len(zero) == len(named):
        raise LoraError(f"{file.path.name}: every update in it is zero; nothing was learnt or the precision is too low")
    return Verified(len(named), zero, max_error, Path(path).stat().st_size)


def _named(state: Mapping[str, Tensor], alphas: Mapping[str, float], naming: Naming,
           dtype: torch.dtype) -> dict[str, Tensor]:
    tensors = {}
    for name, alpha in alphas.items():
        keys = naming.keys(name)
        for role, letter in (("down", "A"), ("up", "B")):
            weight = _as_written(state, alphas, name, letter, naming)
            tensors[keys[role]] = weight.to(dtype).contiguous()
            if not torch.isfinite(tensors[keys[role]]).all():
                why = f"does not fit into {dtype}: save in bf16 or float32" if torch.isfinite(weight).all() else (
                    "holds NaN or infinity: the run diverged; lower the learning rate")
                raise LoraError(f"nothing was saved: {name} {why}")
        if naming.alphas:
            tensors[keys["alpha"]] = torch.tensor(float(alpha))
    return tensors


def _as_written(state: Mapping[str, Tensor], alphas: Mapping[str, float], name: str, letter: str,
                naming: Naming) -> Tensor:
    """A weight on the CPU; where the file has no alphas, "up" as strong as alpha would make it."""
    weight = state[f"{name}.lora_{letter}.weight"].detach().cpu()
    if naming.alphas or letter == "A":
        return weight
    return weight * (alphas[name] / weight.shape[1])
