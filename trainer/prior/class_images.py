"""Class images: what the base model draws of a class before a run, to be shown as regularisation pictures.

Whatever decides how they look stands in a manifest beside them, and their folder is named after it. So a later run that
wants the same ones finds them, and draws only what it has more; one that wants others (another model, prompt or size)
has another folder, and nothing is ever deleted. Image k follows from the seed and k alone.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataset.scan import Dataset, Item
from jobs.files import home
from settings.paths import located
from trainer.base_model.models import fitting
from trainer.families import families
from trainer.families.base import Drawing

if TYPE_CHECKING:
    from trainer.config import TrainSettings

MANIFEST = "manifest.json"
SAMPLES, SAMPLE = 256, 4096  # places in a file of weights that are looked at, and bytes at each
WEIGHTS = {".safetensors", ".bin", ".ckpt", ".pt", ".pth"}


@dataclass(frozen=True)
class ClassImages:
    """Those that a run wants."""

    config: TrainSettings

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """All that they follow from, but for their number."""
        model, prior, read = self.config.model, self.config.prior, self.config.captions
        family = families()[model.family]
        side = self._side
        return {
            "version": 1,
            "prompt": prior.class_prompt,
            "negative_prompt": prior.negative_prompt,
            "width": side,
            "height": side,
            "steps": prior.steps or family.steps,
            "guidance": prior.guidance or family.guidance,
            "sampler": prior.sampler,
            "seed": prior.seed,
            "family": model.family,
            "model": [identity(path) for path in (model.base, model.components, model.vae) if path],
            "merged": [[identity(lora.file), lora.strength] for lora in model.merge],
            "prediction": [model.prediction_type, self.config.noise.zero_terminal_snr],
            "reading": [read.length, read.clip_skip, read.weighted],
        }

    @property
    def _side(self) -> int:
        """The training resolution, or the next smaller side that the model can draw."""
        model, side = self.config.model, self.config.dataset.resolution
        found = fitting(model.base, model.family, model.trust_pickle, model.components)
        step = families()[model.family].side_step(found)
        return max(step, side // step * step)

    @cached_property
    def folder(self) -> Path:
        text = json.dumps(self.manifest, sort_keys=True)
        words = re.sub(r"\W+", "_", self.config.prior.class_prompt).strip("_")[:40]
        mark = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        return home() / "class_images" / f"{words}-{mark}"

    def items(self) -> list[Item]:
        """As pictures of the data set, whether they are drawn yet or not."""
        prompt, side = self.config.prior.class_prompt, self._side
        return [
            Item(self.path(number), side, side, prompt, 1, self.folder.name, regularisation=True, drawn=True)
            for number in range(self.config.prior.images)
        ]

    def path(self, number: int) -> Path:
        return self.folder / f"{number:05d}.png"

    def drawing(self, item: Item) -> Drawing:
        """How one of them is drawn."""
        said = self.manifest
        seed = (said["seed"] + int(item.path.stem)) % 2**32
        return Drawing(said["width"], said["height"], said["steps"], said["guidance"], said["sampler"], seed)


def with_class_images(config: TrainSettings, dataset: Dataset) -> Dataset:
    """The data set of a run: what was scanned, and the class images if it has some. Raises ModelError."""
    if not config.prior.draws:
        return dataset
    return Dataset([*dataset.items, *ClassImages(config).items()], dataset.problems)


def identity(typed: str) -> list[list[Any]] | str:
    """What a base model, VAE or LoRA is, by the contents of its files: the same wherever it lies. The name, for one on
    the hub."""
    path = located(typed)
    if path is None:
        return typed
    files = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.suffix in WEIGHTS)
    names = ["" if file == path else file.relative_to(path).as_posix() for file in files]
    return [[name, *_sampled(file, *_stamp(file))] for name, file in zip(names, files)]


def _stamp(file: Path) -> tuple[int, int]:
    facts = file.stat()
    return facts.st_size, facts.st_mtime_ns


@lru_cache(maxsize=1024)
def _sampled(file: Path, size: int, changed: int) -> tuple[int, str]:
    """Its size, and a hash of a part of it: any training changes nearly every number, and many gigabytes would be read
    for a plan otherwise."""
    total = hashlib.blake2b(digest_size=8)
    with file.open("rb") as opened:
        for place in range(SAMPLES):
            opened.seek(max(0, size - SAMPLE) * place // (SAMPLES - 1))
            total.update(opened.read(SAMPLE))
    return size, total.hexdigest()
