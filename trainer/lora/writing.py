"""Puts LoRA files on the disk, whole or not at all, with the two hashes by which readers index them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from torch import Tensor

PARTIAL = ".lora-partial-"


def content(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """A safetensors file, its metadata completed by the hashes."""
    whole = {key: tensor.contiguous() for key, tensor in tensors.items()}
    # Readers take them over the file as it is with the ss_* entries alone.
    draft = safetensors.torch.save(whole, {key: value for key, value in metadata.items() if key.startswith("ss_")})
    hashes = {"sshs_model_hash": model_hash(draft), "sshs_legacy_hash": legacy_hash(draft)}
    del draft
    return safetensors.torch.save(whole, {**metadata, **hashes})


def model_hash(content: bytes) -> str:
    """SHA-256 of the tensor data of a safetensors file: the same whatever its header says."""
    start = 8 + int.from_bytes(content[:8], "little")
    return hashlib.sha256(memoryview(content)[start:]).hexdigest()


def legacy_hash(content: bytes) -> str:
    """The eight digits by which older programs know a file: SHA-256 of 64 KiB from the first MiB on."""
    return hashlib.sha256(memoryview(content)[0x100000:0x110000]).hexdigest()[:8]


def write(path: Path, data: bytes) -> None:
    """Aside, flushed, then renamed: a killed process or a full disk leaves the old file as it was."""
    part = aside(path)
    try:
        with open(part, "wb") as file:
            file.write(data)
        placed(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def placed(part: Path, path: Path) -> None:
    """Give `part`, written and closed, the name `path`, once all of it is on the disk itself."""
    with open(part, "r+b") as file:
        os.fsync(file.fileno())
    os.replace(part, path)
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def aside(path: Path) -> Path:
    """Where `path` is written first: a short name beside a 255-byte one, the same for each try, so that the next one
    overwrites what a killed process has left."""
    return path.with_name(PARTIAL + hashlib.sha256(path.name.encode()).hexdigest()[:12])


def free(path: Path) -> Path:
    """`path`, or with -2, -3 behind its name where something is there already."""
    count, found = 1, path
    while os.path.lexists(found):
        count += 1
        found = path.with_name(f"{path.stem}-{count}{path.suffix}")
    return found
