"""Draws the sample pictures of a run: the same prompts from the same seeds each time, without disturbing the
training."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import nn

from trainer.cache import Captions, Tensors
from trainer.config import TrainSettings
from trainer.families.base import Drawing

if TYPE_CHECKING:
    from trainer.families.base import Family


class Preview:
    """Draws every prompt of the settings into a folder."""

    def __init__(
        self,
        config: TrainSettings,
        family: Family,
        parts: dict[str, nn.Module],
        captions: Captions,
        precision: Callable[[], AbstractContextManager],
    ):
        """`precision` gives the autocast that the denoiser is trained in; the VAE decodes outside it."""
        self._config, self._family, self._captions = config, family, captions
        # Where the prompts were encoded beforehand, text encoders of many gigabytes can stay where they are.
        awake = ("denoiser", "vae") if config.captions_can_be_cached else parts
        self._parts = {name: parts[name] for name in awake}
        self._precision = precision

    def draw(self, step: int, folder: Path) -> Iterator[tuple[int, str, int, Path]]:
        """Yields (index, prompt, seed, file) as each picture is written."""
        folder.mkdir(exist_ok=True)
        preview = self._config.preview
        with resting(self._parts):
            for index, prompt in enumerate(preview.prompts):
                how = self._how(index)
                with self._precision():
                    words, negative = (self._captions.of([text]) for text in (prompt, preview.negative_prompt))
                drawn = painted(self._family, (words, negative), how, self._precision)
                path = folder / picture(step, index)
                keep(drawn, path, notes(prompt, preview.negative_prompt, how))
                yield index, prompt, how.seed, path

    def is_due(self, steps: Collection[int], step: int, folder: Path) -> bool:
        """Whether `step` is one of those whose samples are planned, and some of them are not drawn yet."""
        prompts = self._config.preview.prompts
        return step in steps and not all((folder / picture(step, index)).is_file() for index in range(len(prompts)))

    def _how(self, index: int) -> Drawing:
        preview, side = self._config.preview, self._config.dataset.resolution
        return Drawing(
            preview.width or side,
            preview.height or side,
            preview.steps or self._family.steps,
            preview.guidance or self._family.guidance,
            preview.sampler,
            preview.seed + index,
        )


def picture(step: int, index: int) -> str:
    return f"{step:08d}_{index:02d}.png"


def painted(
    family: Family, text: tuple[Tensors, Tensors], how: Drawing, precision: Callable[[], AbstractContextManager]
) -> Image.Image:
    """One picture of an encoded prompt and negative prompt. The VAE decodes outside `precision`."""
    with precision():
        latents = family.draw(*text, how)
    return Image.fromarray(family.decode(latents)[0].numpy())


def keep(drawn: Image.Image, path: Path, said: PngInfo) -> None:
    """Write it whole or not at all: half a picture, of a killed process, would count as drawn. Several processes may
    do so at once."""
    part = path.with_name(f".{path.stem}.{os.getpid()}.part")
    drawn.save(part, format="png", pnginfo=said)
    part.replace(path)


def notes(prompt: str, negative: str, how: Drawing) -> PngInfo:
    """What made the picture, in the text entry that A1111 and others read."""
    info = PngInfo()
    info.add_itxt(
        "parameters",
        f"{prompt}\nNegative prompt: {negative}\nSteps: {how.steps}, Sampler: {how.sampler}, "
        f"CFG scale: {how.guidance:g}, Seed: {how.seed}, Size: {how.width}x{how.height}",
    )
    return info


@contextmanager
def resting(parts: dict[str, nn.Module]) -> Iterator[None]:
    """Parts in evaluation mode on the denoiser's device, without gradients; afterwards as they were, down to the
    random numbers."""
    device = next(parts["denoiser"].parameters()).device
    before = {name: (part.training, next(part.parameters()).device) for name, part in parts.items()}
    with torch.no_grad(), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for part in parts.values():
            part.eval().to(device)
        try:
            yield
        finally:
            for name, (training, home) in before.items():
                parts[name].train(training).to(home)
