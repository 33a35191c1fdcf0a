"""Masked loss: which part of a picture is learnt, as weights over its latents.

A mask makes what it hides count less, and what it shows count more by as much: each picture's error is divided by the
sum of its own weights, so that a small subject is not learnt more slowly than a large one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from dataset import buckets, masks, pictures
from dataset.pictures import PictureError
from dataset.settings import DatasetSettings
from settings.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from trainer.batches import Sample

IN_MEMORY = 512 * 1024**2  # bytes of masks held; the rest is read each time


class Masks:
    """The masks of a data set, found by the settings and cut as its pictures are."""

    def __init__(self, settings: DatasetSettings):
        self._source, self._outside = settings.masked_loss, settings.unmasked_weight
        self._anywhere = settings.crop == "random"  # then a window may have nothing to learn in it, and counts nothing
        self._again = settings.crop != "random" or settings.variants > 0  # else hardly a window comes twice
        self._found = masks.Masks()
        self._held: dict[tuple, np.ndarray | None] = {}
        self._bytes = 0

    def file(self, picture: Path) -> Path | None:
        """A picture's mask file, where such are asked for."""
        return self._found.find(picture) if self._source in ("files", "either") else None

    def of(self, samples: Sequence[Sample], size: tuple[int, int]) -> Tensor | None:
        """float32 [B, 1, h, w] for latents of `size` (h, w); None where none of the pictures has a mask. Raises
        SettingsError with the name of a mask that can't be used."""
        if self._source == "off":
            return None
        found = [self._weights(sample, size) for sample in samples]
        if all(weights is None for weights in found):
            return None
        import torch

        rows = [torch.ones(size) if w is None else torch.from_numpy(w).float() / 255 for w in found]
        return self._outside + (1 - self._outside) * torch.stack(rows).unsqueeze(1)

    def _weights(self, sample: Sample, size: tuple[int, int]) -> np.ndarray | None:
        key = (sample.item.path, sample.crop, sample.flip, size)
        if key in self._held:
            return self._held[key]
        found = self._read(sample, size)
        nbytes = 0 if found is None else found.nbytes
        if self._again and self._bytes + nbytes <= IN_MEMORY:
            self._held[key] = found
            self._bytes += nbytes
        return found

    def _read(self, sample: Sample, size: tuple[int, int]) -> np.ndarray | None:
        path = sample.item.path
        try:
            mask = self._image(path)
            if mask is None:
                return None
            seen = Image.fromarray(buckets.weights(path, mask, sample.crop, sample.flip))
            # The mean over the pixels that each latent stands for.
            found = np.array(seen.resize((size[1], size[0]), Image.Resampling.BOX))
        except PictureError as error:
            raise SettingsError({"dataset.masked_loss": f"{path}: {error.reason}. {error.fix}"}) from None
        if not found.any() and not self._outside and not self._anywhere:
            fix = "nothing of it would be learnt; paint white what counts, or exclude the picture"
            raise SettingsError({"dataset.masked_loss": f"{path}: what is trained of it is masked out whole; {fix}"})
        return found

    def _image(self, path: Path) -> Image.Image | None:
        if file := self.file(path):
            return masks.read(file)
        return pictures.transparency(path) if self._source in ("alpha", "either") else None
