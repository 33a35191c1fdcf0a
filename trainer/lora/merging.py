"""LoRAs that become a part of the base model before training (`model.merge`): what is learnt then comes on top of them.

They are merged into the weights in memory before these are made smaller or fingerprinted, so a quantised base holds
them, and captions that a merged text encoder reads differently are encoded anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from settings.errors import SettingsError
from settings.paths import absolute
from trainer.config import TrainSettings
from trainer.families.base import Family
from trainer.lora import file
from trainer.lora.keys import LoraError
from trainer.lora.merge import merge
from trainer.lora.reading import LoraFile, load
from trainer.tools.recognise import recognised


@dataclass(frozen=True)
class Opened:
    """A LoRA that was read, and the setting that names it."""

    lora: LoraFile
    strength: float
    setting: str


def opened(config: TrainSettings, family: Family) -> list[Opened]:
    """All that are to be merged, read before the model is. Raises SettingsError for one that can't be read or clearly
    is for another family."""
    found = []
    for number, row in enumerate(config.model.merge):
        setting = f"model.merge.{number}.file"
        try:
            lora = load(absolute(row.file))
            recognised(lora, family.name)
        except LoraError as error:
            raise SettingsError({setting: str(error)}) from error
        found.append(Opened(lora, row.strength, setting))
    return found


def merge_all(loras: list[Opened], family: Family, parts: dict[str, nn.Module], say: Callable[[str], None]) -> None:
    """Add them to the parts that LoRAs of this family know, in their order; `say` hears what did not fit. Raises
    SettingsError where a LoRA is for a model of another size."""
    known = {name: parts[name] for name in ("denoiser", *family.text_encoders) if name in parts}
    for one in loras:
        try:
            found = file.match(one.lora, known, family.naming)
            merge(known, found.adapters, one.strength)
        except LoraError as error:
            raise SettingsError({one.setting: str(error)}) from error
        if found.unmatched:
            say(f"{one.setting}: {len(found.unmatched)} of the {len(one.lora.tensors)} tensors in {one.lora.path.name} "
                f"fit no layer of this model, such as {found.unmatched[0]}")
