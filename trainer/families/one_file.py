"""Transformers in single files, in the layout of their makers: told by their names, sized by their shapes.

What such a file leaves out (text encoders, tokenizers, VAE, sampler) comes from the components that the person names:
a diffusers folder or hub name of the same family. Text encoders in the file itself are not read: a tokenizer is in
none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from trainer.base_model.models import ModelError, find

if TYPE_CHECKING:
    from trainer.base_model.models import BaseModel
    from trainer.families.flow import FlowFamily

SETTING = "model.components"
PREFIX = "model.diffusion_model."  # of the transformer in files that hold more than that

Shapes = Mapping[str, tuple[int, ...]]


def transformer(shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """The transformer's tensors under the names that they have in a file of their own."""
    return {name.removeprefix(PREFIX): shape for name, shape in shapes.items()}


def blocks(shapes: Shapes, kind: str) -> int:
    """How many of this kind there are: `kind`.0, `kind`.1, and so on."""
    return len({name.split(".")[1] for name in shapes if name.startswith(f"{kind}.")})


def components(model: BaseModel, family: type[FlowFamily]) -> BaseModel:
    """Where the rest of a single file comes from. ModelError, with what to choose, if that will not do."""
    if model.kind == "pickle":
        raise ModelError(f"{family.label} is not read from pickles: choose a .safetensors file or a diffusers folder")
    if not model.components:
        raise ModelError(
            f"from a single file of {family.label} only the transformer is read: choose a diffusers folder or hub "
            "name of the same family for its text encoders, VAE and sampler"
        )
    found = find(model.components)
    if found.kind == "hub" and not found.pipeline:  # never downloaded: taken at its word
        return found
    if found.pipeline != family.pipeline:
        raise ModelError(f"{model.components} is no diffusers folder of {family.label}: choose one for "
                         f"{family.pipeline}")
    if "transformer" not in found.configs:
        raise ModelError(f"{model.components} has no transformer/config.json: download that file too (its weights are "
                         "not needed)")
    return found
