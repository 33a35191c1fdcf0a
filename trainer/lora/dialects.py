"""The same updates under the names of one program or another: every way in which a LoRA file can be written.

Weights are never changed for it. Where a dialect has no alphas beside the tensors, they stand in a config; only layers
that the original implementation has in one are put together.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from trainer.lora import declared, peft_folders, reading, writing
from trainer.lora.adapter import Adapter, Update
from trainer.lora.keys import DIALECTS, FOLDERS, LoraError, Naming

Adapters = Mapping[str, Update]
LORA_ONLY = ("diffusers", "diffusers-old")
"""What can only hold LoRA: their programs read no other kind in this form, or compute it otherwise."""


def beside(source: Path, dialect: str) -> Path:
    """NAME-DIALECT.safetensors, or the folder NAME-DIALECT, in the folder of `source`."""
    name = source.name if source.is_dir() else source.stem
    return source.with_name(f"{name}-{dialect}" + ("" if dialect in FOLDERS else ".safetensors"))


def write(to: Path, adapters: Adapters, naming: Naming, dialect: str, metadata: Mapping[str, str]) -> None:
    """Write `adapters` ({our name: update}) in `dialect`, and read them back. LoraError when it can't hold them, when
    something is at `to` already, or when what is read differs."""
    if dialect not in DIALECTS:
        raise LoraError(f"there is no dialect {dialect!r}; choose one of {', '.join(DIALECTS)}")
    if os.path.lexists(to):
        raise LoraError(f"there is a {to.name} in {to.parent} already; nothing is overwritten")
    others = {one.kind for one in adapters.values()} - {"lora"}
    if others and dialect in LORA_ONLY:
        raise LoraError(f"{' and '.join(sorted(others))} can't be written for {dialect}: it takes LoRA alone")
    metadata = {key: value for key, value in metadata.items() if key != declared.HEADER}
    files = _files(adapters, naming, dialect, metadata)
    to.parent.mkdir(parents=True, exist_ok=True)
    if dialect not in FOLDERS:
        writing.write(to, files[""])
    else:
        _write_folder(to, files)
    _compare(to, adapters, naming)


def _files(adapters: Adapters, naming: Naming, dialect: str, metadata: Mapping[str, str]) -> dict[str, bytes]:
    """{path inside the folder: content}; "" for the file itself."""
    if dialect == "peft":
        return peft_folders.files(_by_part(adapters), naming, metadata)
    if dialect in ("diffusers", "diffusers-old"):
        configs = {f"{naming.part(part).diffusers}.{key}": value for part, own in _by_part(adapters).items()
                   for key, value in peft_folders.config_of(own, exact=part == "denoiser").items()}
        metadata = {**metadata, declared.HEADER: json.dumps(configs)}
        spell = _diffusers if dialect == "diffusers" else _diffusers_old
        return {reading.DIFFUSERS_WEIGHTS: writing.content(spell(adapters, naming), metadata)}
    if dialect == "blocks":
        return {"": writing.content(_blocks(adapters, naming), metadata)}
    if dialect == "kohya":
        naming = replace(naming, style="kohya")
    return {"": writing.content(_with_alphas(adapters, naming), metadata)}


def _with_alphas(adapters: Adapters, naming: Naming) -> dict[str, Tensor]:
    naming, tensors = replace(naming, alphas=True), {}
    for name, adapter in adapters.items():
        tensors |= {naming.key(name, weight): tensor for weight, tensor in adapter.weights.items()}
        tensors[naming.keys(name)["alpha"]] = torch.tensor(adapter.alpha)
    return tensors


def _diffusers(adapters: Adapters, naming: Naming) -> dict[str, Tensor]:
    naming, tensors = replace(naming, style="diffusers", alphas=False), {}
    for name, adapter in adapters.items():
        keys = naming.keys(name)
        tensors |= {keys["down"]: adapter.down, keys["up"]: adapter.up}
    return tensors


def _diffusers_old(adapters: Adapters, naming: Naming) -> dict[str, Tensor]:
    naming, tensors = replace(naming, style="diffusers"), {}
    for name, adapter in adapters.items():
        middle = "lora" if name.startswith("denoiser.") else "lora_linear_layer"
        stem = f"{naming.stem(name)}.{middle}"
        tensors |= {f"{stem}.down.weight": adapter.down, f"{stem}.up.weight": adapter.up}
    return tensors


def _blocks(adapters: Adapters, naming: Naming) -> dict[str, Tensor]:
    """Text encoders have kohya's usual names."""
    usual = {name: one for name, one in adapters.items() if not name.startswith("denoiser.")}
    tensors = _with_alphas(usual, replace(naming, style="kohya"))
    for original, adapter in joined({name: adapters[name] for name in adapters.keys() - usual}, naming).items():
        stem = f"lora_unet_{original}".replace(".", "_")
        names = {"lora_A.weight": "lora_down.weight", "lora_B.weight": "lora_up.weight"}
        tensors |= {f"{stem}.{names.get(weight, weight)}": tensor for weight, tensor in adapter.weights.items()}
        tensors[f"{stem}.alpha"] = torch.tensor(adapter.alpha)
    return tensors


def joined(adapters: Adapters, naming: Naming) -> dict[str, Update]:
    """{original layer: update} of denoiser layers. Pieces of one become a LoRA of their ranks together, each with
    its own rows and columns, unless they share "down" already."""
    found: dict[str, dict[int, Update]] = {}
    shares: dict[str, tuple[int, ...]] = {}
    for name, adapter in adapters.items():
        if (piece := naming.piece(name)) is None:
            raise LoraError(f"the original has no name of its own for {name}; choose other names for this LoRA")
        found.setdefault(piece.name, {})[piece.number] = adapter
        shares[piece.name] = piece.shares
    return {name: _fused(pieces, shares[name]) for name, pieces in sorted(found.items())}


def _fused(pieces: Mapping[int, Update], shares: Sequence[int]) -> Update:
    if len(shares) == 1:
        return pieces[0]
    if others := {one.kind for one in pieces.values()} - {"lora"}:
        raise LoraError(f"the original has several of these layers in one, and {' and '.join(sorted(others))} can't be "
                        "joined; choose other names")
    ordered = [pieces[number] for number in sorted(pieces)]
    first = ordered[0]
    if len(pieces) == len(shares) and all(
            one.alpha == first.alpha and torch.equal(one.down, first.down) for one in ordered):
        return Adapter(first.down, torch.cat([one.up for one in ordered]), first.alpha)
    strength, rank = first.alpha / first.rank, sum(one.rank for one in ordered)
    alike = all(one.alpha / one.rank == strength for one in ordered)
    rows = first.up.shape[0] // shares[min(pieces)]
    # Where alphas differ, they go into the weights, which then need more digits.
    up = torch.zeros(rows * sum(shares), rank, dtype=first.up.dtype if alike else torch.float32)
    column = 0
    for number in sorted(pieces):
        one, row = pieces[number], rows * sum(shares[:number])
        block = one.up if alike else one.up.float() * (one.alpha / one.rank / strength)
        up[row : row + rows * shares[number], column : column + one.rank] = block
        column += one.rank
    return Adapter(torch.cat([one.down for one in ordered]), up, strength * rank)


def _by_part(adapters: Adapters) -> dict[str, dict[str, Update]]:
    """{part: {path: update}}."""
    found: dict[str, dict[str, Update]] = {}
    for name, adapter in adapters.items():
        part, path = name.split(".", 1)
        found.setdefault(part, {})[path] = adapter
    return found


def _write_folder(to: Path, files: Mapping[str, bytes]) -> None:
    """Beside it, then renamed as a whole."""
    part = writing.aside(to)
    if part.exists():
        shutil.rmtree(part)
    try:
        for name, data in files.items():
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            writing.write(part / name, data)
        os.rename(part, to)
    except OSError:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _compare(written: Path, adapters: Adapters, naming: Naming) -> None:
    found, unmatched = reading.updates(reading.load(written), naming, adapters)
    missing = adapters.keys() - found.keys()
    # A layer that never moved has no columns of its own where several are in one.
    lost = [name for name in missing if not adapters[name].nothing]
    if unmatched or lost or not all(same(found[name], adapters[name]) for name in found):
        raise LoraError(f"{written.name} does not hold what was written ({len(lost)} layers missing, {len(unmatched)} "
                        "keys too many); it is not to be used")


def same(one: Update, other: Update) -> bool:
    """Whether both do the same to a layer: the same weights and strength, or what they come to is the same to a few
    parts in a million."""
    if not (isinstance(one, Adapter) and isinstance(other, Adapter)):
        ours, theirs = one.weights, other.weights
        strengths = [getattr(update, "scaling", update.alpha) for update in (one, other)]
        alike = ours.keys() == theirs.keys() and math.isclose(*strengths, rel_tol=1e-6)
        return alike and all(torch.equal(ours[name], theirs[name]) for name in ours)
    ratio = one.alpha / one.rank / (other.alpha / other.rank)
    if abs(ratio - 1) < 1e-6 and one.down.shape == other.down.shape:
        return torch.equal(one.down, other.down) and torch.equal(one.up, other.up)
    delta = other.delta()
    return float((one.delta() - delta).norm()) <= 1e-5 * float(delta.norm())
