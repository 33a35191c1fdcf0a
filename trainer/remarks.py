"""What can be trained and is probably not meant, by setting: {path of the setting: what it does or does not}."""

from __future__ import annotations

import re

from dataset.scan import Dataset
from settings.errors import SettingsError
from settings.section import at, settings
from trainer.config import TrainSettings
from trainer.config.kinds import without_ranks
from trainer.families import families
from trainer.lora.layers import known
from trainer.lora.sizes import Shapes, is_depthwise, sizes


def without_effect(config: TrainSettings) -> dict[str, str]:
    """Settings that were changed and that the family knows nothing of; the form hides them, a file may have them."""
    family = families()[config.model.family]
    return {
        setting.path: f"has no effect with {family.label}"
        for setting in settings(TrainSettings)
        if setting.ui.needs and setting.ui.needs not in family.traits and at(config, setting.path) != setting.default
    }


def about_layers(config: TrainSettings) -> dict[str, str]:
    """Patterns that fit no layer of the family's published models: another size may have it, or it is a mistake. And
    what does nothing in the layers that learn."""
    lora, family, shapes = config.lora.denoiser, families()[config.model.family], known(config.model.family)
    if not (lora.train and shapes):
        return {}
    try:
        chosen = sizes(lora, (family.layers | {"any": ".*"})[lora.layers], shapes, "lora.denoiser")
    except SettingsError as error:
        found: dict[str, str] = {}
        for path, said in error.problems.items():
            path = "lora.denoiser.blocks" if ".blocks." in path else path  # beside the table
            found[path] = f"{found[path]}; {said}" if path in found else said
        return found
    return without_ranks(config.lora, chosen, shapes) | (never_learn(shapes) if lora.layers == "any" else {})


def never_learn(shapes: Shapes) -> dict[str, str]:
    """What "any" does not take in."""
    found = [path for path, shape in shapes.items() if is_depthwise(shape)]
    said = f"{len(found)} convolutions of each channel by itself do not learn, such as {found[0]}" if found else ""
    return {"lora.denoiser.layers": f"{said}: an update would be larger than they are"} if found else {}


def notes(dataset: Dataset) -> dict[str, str]:
    """Pictures and captions that are left out or doubtful, as one warning."""
    if not dataset.problems:
        return {}
    first = "; ".join(f"{problem.path.name}: {problem.reason}" for problem in dataset.problems[:3])
    more = f" (and {len(dataset.problems) - 3} more)" if len(dataset.problems) > 3 else ""
    return {"dataset.folders": f"{first}{more}"}


def about_words(config: TrainSettings, dataset: Dataset) -> dict[str, str]:
    """New words that nothing can be learnt about, or that are not all that is read."""
    how, captions = config.captions, {item.caption for item in dataset.training}
    said = {
        f"words.new.{place}.word": f"{word.word} stands in no caption, so nothing is learnt about it: write it into "
        "them, or into captions.prefix"
        for place, word in enumerate(config.words.new)
        if not any(re.search(word.pattern, f"{how.prefix} {caption} {how.suffix}") for caption in captions)
    }
    family = families()[config.model.family]
    if config.words.new and len(family.footprint.readers) > len(family.text_encoders):
        said["words.new"] = "only CLIP learns the words: T5, which reads captions too, takes them as they are written"
    return said
