"""Encoded pictures and captions, kept on disk under a hash of everything they follow from.

Nothing can be stale: a changed picture, crop, caption, VAE or text encoder has another hash, and an old run's entries
are found again by a new one. The files may be deleted at any time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dataset.looks import pixels
from settings.errors import SettingsError
from trainer.base_model.quantise import bits
from trainer.batches import Sample, named

if TYPE_CHECKING:
    from trainer.families.base import Family

IN_MEMORY = 2 * 1024**3  # bytes of encodings held in memory; the rest is read from disk each time

Progress = Callable[[int, int], None]  # done, of how many
Tensors = dict[str, Tensor]


def digest(*parts: bytes | str) -> str:
    """One hash of all parts, each with its length, so that no two lists of parts run together."""
    total = hashlib.blake2b(digest_size=20)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "big") + data)
    return total.hexdigest()


def fingerprint(module: nn.Module) -> str:
    """A hash of a module's weights, names and dtype, and of the bits that they are to be kept in."""
    total = hashlib.blake2b(digest_size=20)
    if kept := bits(module):  # its weights are made small later, on the device
        total.update(f"{kept} bits".encode())
    for name, tensor in sorted(module.state_dict().items()):
        total.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        total.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return total.hexdigest()


def scaling(vae: nn.Module) -> str:
    """How its latents are shifted and scaled, which is in its config and not in its weights."""
    return repr(
        sorted((key, said) for key, said in vae.config.items() if key.startswith(("scaling", "shift", "latents")))
    )


class Store:
    """Tensors by key, on disk and, as far as they fit, in memory."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._held: dict[str, Tensors] = {}
        self._bytes = 0

    def get(self, key: str) -> Tensors | None:
        """None if it isn't there, or is damaged."""
        if key in self._held:
            return self._held[key]
        path = self._path(key)
        if not path.is_file():
            return None
        try:
            tensors = load_file(path)
        except (SafetensorError, OSError):
            path.unlink(missing_ok=True)  # half a file, from a full disk or a lost machine: it is made again
            return None
        self._hold(key, tensors)
        return tensors

    def put(self, key: str, tensors: Tensors) -> None:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        save_file(tensors, path)  # writes aside and renames
        self._hold(key, tensors)

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.safetensors"

    def _hold(self, key: str, tensors: Tensors) -> None:
        size = sum(tensor.nbytes for tensor in tensors.values())
        if key not in self._held and self._bytes + size <= IN_MEMORY:
            self._held[key] = tensors
            self._bytes += size


class Latents:
    """Pictures as latents: mean and standard deviation [C, h, w], float32, of the VAE's posterior.

    With `store`, each is encoded once; without, every time it is asked for.
    """

    def __init__(self, family: Family, vae: nn.Module, store: Store | None):
        self._family, self._vae, self._store = family, vae, store
        self._vae_id = digest(fingerprint(vae), scaling(vae)) if store else ""
        self._files: dict[Path, str] = {}

    def encode_all(self, samples: Sequence[Sample], progress: Progress) -> None:
        """Fill the store, so that the VAE is no longer needed."""
        for done, sample in enumerate(samples):
            progress(done, len(samples))
            if self._store.get(self._key(sample)) is None:
                self._store.put(self._key(sample), self._encode([sample])[0])
        progress(len(samples), len(samples))

    def of(self, samples: Sequence[Sample]) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation [B, C, h, w] of a batch of one bucket, on the CPU."""
        found = [self._store.get(self._key(sample)) for sample in samples] if self._store else [None] * len(samples)
        missing = [sample for sample, tensors in zip(samples, found) if tensors is None]
        encoded = iter(self._encode(missing)) if missing else iter(())
        rows = [next(encoded) if tensors is None else tensors for tensors in found]
        return torch.stack([row["mean"] for row in rows]), torch.stack([row["std"] for row in rows])

    @torch.no_grad()
    def _encode(self, samples: Sequence[Sample]) -> list[Tensors]:
        pictures = torch.stack([torch.tensor(seen(sample)) for sample in samples])
        device = next(self._vae.parameters()).device
        mean, std = self._family.encode_pictures(pictures.permute(0, 3, 1, 2).to(device).float() / 127.5 - 1)
        if not (mean.isfinite().all() and std.isfinite().all()):
            name = samples[0].item.path.name
            raise SettingsError({"model.vae": f"the VAE made no numbers of {name}: choose another one"})
        return [{"mean": m, "std": s} for m, s in zip(mean.cpu(), std.cpu())]

    def _key(self, sample: Sample) -> str:
        path = sample.item.path
        if path not in self._files:
            self._files[path] = hashlib.blake2b(path.read_bytes(), digest_size=20).hexdigest()
        coloured = [repr(sample.colour)] if sample.colour else []
        return digest("latents 1", self._files[path], repr(sample.crop), str(sample.flip), self._vae_id, *coloured)


class Captions:
    """Captions as what the denoiser reads. With `store`, each is encoded once; without, anew each time, with
    gradients if the text encoder learns."""

    def __init__(self, family: Family, encoders: Sequence[nn.Module], store: Store | None):
        self._family, self._encoders, self._store = family, encoders, store
        self._encoder_id = digest(family.tokenizer_id(), *map(fingerprint, encoders)) if store else ""

    @torch.no_grad()
    def encode_all(self, captions: Sequence[str], progress: Progress) -> None:
        """Fill the store, so that the text encoders are no longer needed."""
        for done, caption in enumerate(captions):
            progress(done, len(captions))
            if self._store.get(self._key(caption)) is None:
                self._store.put(
                    self._key(caption), {name: row[0] for name, row in self._family.encode_captions([caption]).items()}
                )
        progress(len(captions), len(captions))

    def of(self, captions: Sequence[str]) -> Tensors:
        """Batch first; on the CPU when they come from the store, else where the encoder is."""
        rows = [self._store.get(self._key(caption)) for caption in captions] if self._store else [None]
        if None in rows:
            return self._family.encode_captions(list(captions))
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

    def _key(self, caption: str) -> str:
        return digest("caption 1", caption, self._encoder_id)


def seen(sample: Sample) -> np.ndarray:
    """The pixels [H, W, 3] of a picture, as it is trained. Raises SettingsError with its name if it can't be read."""
    with named(sample.item.path):
        return pixels(sample.item.path, sample.look)
