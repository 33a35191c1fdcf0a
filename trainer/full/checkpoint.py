"""A whole model in one safetensors file: written as it stands in memory, hashed, read back and compared.

Such a file has several gigabytes, so it is never held as one piece of bytes, as LoRA files are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from trainer.lora.keys import LoraError
from trainer.lora.writing import aside, placed
from trainer.needs import disk

HASH = "modelspec.hash_sha256"
_NOT_YET = "0x" + "0" * 64


def save(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write aside, flushed, then renamed: a killed process or a full disk leaves the old file as it was. LoraError,
    and nothing written, when a weight is no number. Raises the system's own error where it does not fit."""
    broken = next((name for name, tensor in tensors.items() if not tensor.isfinite().all()), None)
    if broken:
        raise LoraError(f"nothing was saved: {broken} holds NaN or infinity at the save precision: save in bf16 or "
                        "float32, and if that is no better, lower the learning rate")
    disk.require(path.parent, sum(tensor.nbytes for tensor in tensors.values()))
    part = aside(path)
    try:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, part, {**metadata, HASH: _NOT_YET})
        sign(part)
        placed(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def sign(path: Path) -> None:
    """Put the hash of the tensors' bytes into the header, in the place that was kept for it."""
    with path.open("r+b") as file:
        length = 8 + int.from_bytes(file.read(8), "little")
        file.seek(length)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        place = file.read(length).index(_NOT_YET.encode())
        file.seek(place)
        file.write(f"0x{digest}".encode())


def verify(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Read `path` back. LoraError when anything in it is not what was to be written."""
    with safe_open(path, "pt") as file:
        names = set(file.keys())
        wrong = names ^ tensors.keys() or {
            name for name in sorted(names) if not torch.equal(file.get_tensor(name), tensors[name])
        }
    if wrong:
        raise LoraError(f"{path.name}: {sorted(wrong)[0]} is not what was trained: the disk can't be trusted")
