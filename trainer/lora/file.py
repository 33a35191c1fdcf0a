"""LoRA files: written whole or not at all, read in every common dialect, and compared with what they should hold.

A file names layers as its family's table says (keys.py) and holds for each: its weights (of LoRA down and up), and
alpha as a float32 scalar.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from trainer.lora import writing
from trainer.lora.adapter import Adapter, Update
from trainer.lora.inject import ADAPTER, Layer, layers, learnable, weights
from trainer.lora.keys import LoraError, Naming, group
from trainer.lora.kinds import assembled, made, parted
from trainer.lora.kinds.base import AdapterLayer, shape_of
from trainer.lora.reading import LoraFile, load, updates
from trainer.lora.writing import PARTIAL

PRECISIONS = {"fp16": torch.float16, "bf16": torch.bfloat16, "float32": torch.float32}


@dataclass(frozen=True)
class Match:
    """How a file fits a model."""

    adapters: dict[str, Update]
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
    """Write `state` (inject.state, or its average, with inject.kept) to `path` in the family's names, with the metadata
    and its hashes.

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
    return Match({name: update.fitted(shape_of(modules[name]), f"{file.path.name}: {name}")
                  for name, update in found.items()}, unmatched)


def apply(parts: Mapping[str, nn.Module], file: LoraFile, naming: Naming) -> Applied:
    """Start the attached adapters from `file`. Where alpha differs, weights are scaled so that the update is the same.

    LoraError when a rank or the kind differs or nothing that learns is in the file.
    """
    found = match(file, parts, naming)
    attached = {f"{part}.{path}": layer for part, module in parts.items() for path, layer in layers(module).items()}
    loaded = [name for name in found.adapters if name in attached]
    if not loaded:
        raise LoraError(f"{file.path.name}: none of its {len(found.adapters)} layers learns in this run")
    for name in loaded:
        _refuse_other(attached[name], found.adapters[name], f"{file.path.name}: {name}")
    for name in loaded:
        _take(attached[name], found.adapters[name], f"{file.path.name}: {name}")
    unused = [name for name in found.adapters if name not in attached] + found.unmatched
    return Applied(loaded, [name for name in attached if name not in found.adapters], unused)


def verify(path: Path, state: Mapping[str, Tensor], alphas: Mapping[str, float], *, naming: Naming,
           trained: bool = True) -> Verified:
    """Read `path` back and compare every tensor with `state` at the file's precision.

    LoraError when anything is missing, different, not finite, or (where `trained`) when every update is zero.
    """
    file = load(path)
    wanted = {name: _tensors(name, update, naming) for name, update in updates_of(state, alphas).items()}
    named, unmatched = group(file.tensors, naming.index(alphas))
    if unmatched or named.keys() != alphas.keys() or len(file.tensors) != sum(map(len, wanted.values())):
        raise LoraError(f"{file.path.name} holds {len(named)} layers and {len(unmatched)} foreign keys; expected "
                        f"{len(alphas)} layers")
    max_error = 0.0
    for key, weight in (pair for tensors in wanted.values() for pair in tensors.items()):
        written = file.tensors[key]
        if not weight.ndim and abs(written.item() - weight.item()) > 1e-6 * abs(weight.item()):
            raise LoraError(f"{file.path.name}: {key} is {written.item()}, expected {weight.item()}")
        if weight.ndim and not (torch.equal(written, weight.to(written.dtype)) and torch.isfinite(written).all()):
            raise LoraError(f"{file.path.name}: {key} is not what was trained")
        max_error = max(max_error, (written.float() - weight.float()).abs().max().item() if weight.ndim else 0.0)
    zero = [name for name, keys in named.items() if assembled(file.tensors, keys, name).nothing]
    if trained and len(zero) == len(named):
        raise LoraError(f"{file.path.name}: every update in it is zero; nothing was learnt or the precision is too low")
    return Verified(len(named), zero, max_error, Path(path).stat().st_size)


def updates_of(state: Mapping[str, Tensor], alphas: Mapping[str, float]) -> dict[str, Update]:
    """{our name: update}, on the CPU, from inject.state and what inject.kept adds to it."""
    weights: dict[str, dict[str, Tensor]] = {name: {} for name in alphas}
    for key, tensor in state.items():
        name, weight = parted(key)
        if name in weights:
            weights[name][weight] = tensor.detach().cpu()
    return {name: made(own, alphas[name]) for name, own in weights.items()}


def _take(layer: Layer, update: Update, where: str) -> None:
    if isinstance(layer, AdapterLayer):
        return layer.take(update, where)
    theirs = update.at(layer.scaling[ADAPTER] * layer.r[ADAPTER]).weights
    with torch.no_grad():
        for name, weight in weights(layer).items():
            weight.copy_(theirs[name].reshape(weight.shape))


def _refuse_other(layer: Layer, update: Update, where: str) -> None:
    """LoraError where a layer can't start from an update."""
    ours, expected = (layer.kind, layer.reads) if isinstance(layer, AdapterLayer) else ("lora", "lora")
    if update.kind != expected:
        raise LoraError(f"{where} is {update.kind}, this run trains {ours}: set lora.kind = {update.kind}")
    if ours == "lora" and layer.r[ADAPTER] != update.rank:
        raise LoraError(f"{where} has rank {update.rank}, this run trains rank {layer.r[ADAPTER]}; set the same rank, "
                        "or resize the file first")


def _named(state: Mapping[str, Tensor], alphas: Mapping[str, float], naming: Naming,
           dtype: torch.dtype) -> dict[str, Tensor]:
    tensors = {}
    for name, update in updates_of(state, alphas).items():
        for key, weight in _tensors(name, update, naming).items():
            tensors[key] = weight.to(dtype).contiguous() if weight.ndim else weight
            if not torch.isfinite(tensors[key]).all():
                why = f"does not fit into {dtype}: save in bf16 or float32" if torch.isfinite(weight).all() else (
                    "holds NaN or infinity: the run diverged; lower the learning rate")
                raise LoraError(f"nothing was saved: {name} {why}")
    return tensors


def _tensors(name: str, update: Update, naming: Naming) -> dict[str, Tensor]:
    """What a file holds for one layer, by key. Where it has no alphas, "up" is as strong as alpha would make it; other
    kinds than LoRA always have one, which is a scalar."""
    silent = not naming.alphas and isinstance(update, Adapter)
    found = {naming.key(name, weight): tensor for weight, tensor in
             (update.at(float(update.rank)) if silent else update).weights.items()}
    return found if silent else found | {f"{naming.stem(name)}.alpha": torch.tensor(float(update.alpha))}
