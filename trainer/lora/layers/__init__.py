"""The layers of each family's published denoisers, so that the window and the plan know them without a model.

A text file for each family (written by docs/make_layers.py, compared with the models by the tests) has a line for
layers of one shape: names with braces as in trainer/lora/blueprints.py, then the sides of the weight. Where a family
has several sizes, it holds every layer of each.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from trainer.lora import blueprints

FOLDER = Path(__file__).parent
OUTSIDE = "outside the blocks"
_BLOCK = re.compile(r"mid_block\.\w+\.\d+|(?:[^.]+\.)*?[^.]*(?:blocks?|layers|refiner)\.\d+"
                    r"(?:\.(?:attentions|resnets)\.\d+)?")


@cache
def known(family: str) -> dict[str, tuple[int, ...]]:
    """{path: shape of the weight} in no order that means anything; empty for a family without published sizes."""
    path = FOLDER / f"{family}.txt"
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        template, sides = line.split()
        shape = tuple(int(side) for side in sides.split("x"))
        found |= dict.fromkeys(blueprints.expanded((template,)), shape)
    return found


@cache
def blocks(family: str) -> list[str]:
    """Names of the family's blocks, each after what it lies in, by number."""
    named = {name for path in known(family) if (name := block(path)) != OUTSIDE}
    whole = {"mid_block" if name.startswith("mid_block") else f"{stack}.{name.split('.')[1]}"
             for name in named if (stack := name.split(".")[0]) in ("down_blocks", "mid_block", "up_blocks")}
    stacks = ["down_blocks", "mid_block", "up_blocks"]

    def place(name: str) -> list:
        first, *rest = name.split(".")
        return [stacks.index(first) if first in stacks else 9, first,
                *((1, int(word), "") if word.isdigit() else (0, 0, word) for word in rest)]

    return sorted(named | whole, key=place)


def block(path: str) -> str:
    """The block of a model that a layer belongs to: up to its number, of a UNet also which attention or resnet."""
    found = _BLOCK.match(path)
    return found.group() if found else OUTSIDE
