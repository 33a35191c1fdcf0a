"""Writes trainer/lora/layers/*.txt from the published sizes of every family; run it when a family or a size is added.

The models are built on the meta device: names and shapes, no memory.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
Shape = tuple[int, ...]


def tables() -> dict[str, dict[str, Shape]]:
    """{family: {path: shape}} of all that could learn in its denoisers; of several sizes the last says the shape."""
    sys.path.insert(0, str(ROOT))
    import diffusers
    import torch

    from tests.trainer.families.test_full_sizes import PUBLISHED
    from trainer.families import configs
    from trainer.lora import inject

    models = [("sd15", "UNet2DConditionModel", configs.UNET_SD1), ("sd2", "UNet2DConditionModel", configs.UNET_SD2),
              ("sdxl", "UNet2DConditionModel", configs.UNET_SDXL)]
    models += [(family, kind, different) for family, _, kind, different in PUBLISHED.values()]
    found: dict[str, dict[str, Shape]] = {}
    for family, kind, different in models:
        with torch.device("meta"):
            model = getattr(diffusers, kind)(**different)
        found.setdefault(family, {}).update(inject.shapes(model))
    return found


def written(layers: Mapping[str, Shape]) -> str:
    """The text of a table: alike layers on one line."""
    alike: dict[tuple[str, Shape], list[tuple[str, ...]]] = {}
    for path, shape in layers.items():
        template = re.sub(r"(?<=\.)\d+(?=\.|$)", "#", path)
        alike.setdefault((template, shape), []).append(tuple(re.findall(r"(?<=\.)\d+(?=\.|$)", path)))
    lines = [f"{filled(template, choices)} {'x'.join(map(str, shape))}"
             for (template, shape), numbers in alike.items() for choices in boxes(numbers)]
    return "\n".join(sorted(lines)) + "\n"


def boxes(numbers: list[tuple[str, ...]]) -> Iterator[list[list[str]]]:
    """Rows of numbers as few sets of choices for each place: halved at the first place until all combinations are
    there."""
    choices = [sorted(set(column), key=int) for column in zip(*numbers)]
    if set(product(*choices)) == set(numbers):
        yield choices
        return
    place = next(place for place, found in enumerate(choices) if len(found) > 1)
    for number in choices[place]:
        yield from boxes([row for row in numbers if row[place] == number])


def filled(template: str, choices: list[list[str]]) -> str:
    for found in choices:
        template = template.replace("#", found[0] if len(found) == 1 else f"{{{listed(found)}}}", 1)
    return template


def listed(numbers: list[str]) -> str:
    """`0..37` for a row without gaps."""
    first, last = int(numbers[0]), int(numbers[-1])
    return f"{first}..{last}" if len(numbers) == last - first + 1 > 2 else ",".join(numbers)


if __name__ == "__main__":
    for family, layers in tables().items():
        path = ROOT / "trainer" / "lora" / "layers" / f"{family}.txt"
        path.write_text(written(layers), encoding="utf-8", newline="\n")
        print(path.relative_to(ROOT), len(layers))
