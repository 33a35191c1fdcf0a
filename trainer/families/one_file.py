"""Single files of the transformer families, in the layout of their makers and of ComfyUI: told by their names, sized by
their shapes.

Some hold the transformer alone, some text encoders and VAE too. What a file lacks comes from the components that the
person names: a diffusers folder or hub name of the same family. T5's tokenizer is in no file; those of the CLIPs and
the published configs are known here, so that for T5's tokenizer a folder with no more than that will do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from settings.paths import located
from trainer.base_model.models import BaseModel, ModelError, find
from trainer.families import configs

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from trainer.families.flow import FlowFamily

SETTING = "model.components"
PREFIX = "model.diffusion_model."  # of the transformer in files that hold more than that
VAES = ("first_stage_model.", "vae.")
LABELS = {"clip_l": "CLIP-L", "clip_g": "CLIP-G", "t5xxl": "T5", "vae": "VAE"}
KNOWN = ("clip_l", "clip_g")  # whose tokenizers are made here

Shapes = Mapping[str, tuple[int, ...]]


def transformer(shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """The transformer's tensors under the names that they have in a file of their own."""
    return {name.removeprefix(PREFIX): shape for name, shape in shapes.items()}


def blocks(shapes: Shapes, kind: str) -> int:
    """How many of this kind there are: `kind`.0, `kind`.1, and so on."""
    return len({name.split(".")[1] for name in shapes if name.startswith(f"{kind}.")})


def held(model: BaseModel, family: type[FlowFamily]) -> dict[str, str]:
    """What a file holds beside the transformer: the prefix of its tensors, by part."""
    wanted = {part: (f"text_encoders.{name}.transformer.",) for part, (name, _) in family.encoders.items()}
    prefixes = [(part, prefix) for part, all_of_it in (wanted | {"vae": VAES}).items() for prefix in all_of_it]
    return {part: prefix for part, prefix in prefixes if any(name.startswith(prefix) for name in model.shapes)}


def lacking(model: BaseModel, family: type[FlowFamily]) -> list[str]:
    """The parts that neither the file nor this program has, under their names in a diffusers folder."""
    inside = held(model, family)
    wanted = [part for part in (*family.encoders, "vae") if part not in inside and part not in family.spare]
    read = [part for part in family.encoders if part in inside or part in wanted]
    wanted += [tokenizer_of(part) for part in read if family.encoders[part][0] not in KNOWN]
    return wanted if family.published(model) else [*wanted, "scheduler"]


def tokenizer_of(part: str) -> str:
    return part.replace("text_encoder", "tokenizer")


def inventory(model: BaseModel, family: type[FlowFamily]) -> str:
    """What is in the file, for people."""
    names = [LABELS["vae" if part == "vae" else family.encoders[part][0]] for part in held(model, family)]
    return listed(["transformer", *names]) + ("" if names else " alone")


def listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def components(model: BaseModel, family: type[FlowFamily]) -> BaseModel:
    """Where the rest of a single file comes from. ModelError, with what to choose, if that will not do."""
    if model.kind == "pickle":
        raise ModelError(f"{family.label} is not read from pickles: choose a .safetensors file or a diffusers folder")
    wanted = lacking(model, family)
    if not model.components and not wanted:
        return from_here(model, family)
    folder = located(model.components)
    if folder and folder.is_dir() and not (folder / "model_index.json").is_file() and all(map(is_tokenizer, wanted)):
        refuse_without(folder, wanted)
        return replace(from_here(model, family), components=str(folder))
    if not model.components:
        raise ModelError(asked(model, family, wanted))
    found = find(model.components)
    if found.kind == "hub" and not found.pipeline:  # never downloaded: taken at its word
        return found
    if found.pipeline != family.pipeline:
        raise ModelError(f"{model.components} is no diffusers folder of {family.label}: choose one for "
                         f"{family.pipeline}")
    if "transformer" not in found.configs:
        raise ModelError(f"{model.components} has no transformer/config.json: download that file too (its weights are "
                         "not needed)")
    if folder:
        refuse_without(folder, wanted)
    return found


def asked(model: BaseModel, family: type[FlowFamily], wanted: list[str]) -> str:
    """What to choose where nothing is, and why."""
    folders = listed([f"{part}/" for part in wanted])
    enough = "; a folder with no more than that will do" if all(map(is_tokenizer, wanted)) else ""
    return (f"this file holds {inventory(model, family)}: choose a diffusers folder or hub name of {family.label} for "
            f"{folders}{enough}")


def is_tokenizer(part: str) -> bool:
    return part.startswith("tokenizer")


def refuse_without(folder: Path, wanted: list[str]) -> None:
    if missing := [f"{part}/" for part in wanted if not (folder / part).is_dir()]:
        raise ModelError(f"{folder} has no {listed(missing)}, which the single file lacks: download that too")


def from_here(model: BaseModel, family: type[FlowFamily]) -> BaseModel:
    """The published configs, where nothing else is wanted; they are written when the model is loaded."""
    name, parts = family.published(model)
    absent = family.encoders.keys() - held(model, family)
    told = {part: dict(config) for part, config in parts.items() if isinstance(config, Mapping) and part not in absent}
    return BaseModel(str(configs.place(name)), "folder", pipeline=family.pipeline, configs=told)


def read(model: BaseModel, parts: BaseModel, family: type[FlowFamily], dtype: torch.dtype) -> dict[str, Any]:
    """All that the file holds, by part, and tokenizers that lie in a folder by themselves."""
    import diffusers
    import torch
    import transformers

    if (known := family.published(model)) and parts.where == str(configs.place(known[0])):
        configs.written(*known)
    kind = getattr(diffusers, family.transformer)
    found = {"transformer": kind.from_single_file(model.where, config=parts.where, subfolder="transformer", dtype=dtype,
                                                  **family.sizes(transformer(model.shapes)))}
    for part, prefix in held(model, family).items():
        if part == "vae":
            found[part] = diffusers.AutoencoderKL.from_single_file(
                tensors(model, prefix), config=parts.where, subfolder="vae", dtype=torch.float32)
        else:
            found[part] = encoder(model, parts, (part, family), dtype)
    for part in lacking(model, family) if parts.components else ():
        found[part] = transformers.T5TokenizerFast.from_pretrained(Path(parts.components) / part)
    return found


def encoder(model: BaseModel, parts: BaseModel, which: tuple[str, type[FlowFamily]], dtype: torch.dtype) -> nn.Module:
    """A text encoder of the file, in `dtype`. ModelError where its tensors are not those of its config."""
    import torch
    import transformers

    part, family = which
    name, kind = family.encoders[part]
    cls = getattr(transformers, kind)
    config = cls.config_class.from_pretrained(parts.where, subfolder=part)
    prefix = held(model, family)[part]
    found = {key.removeprefix(prefix): tensor.to(dtype) for key, tensor in tensors(model, prefix).items()}
    if name == "clip_l":  # nothing is made of what it says in sum, and files carry what is not to be used
        found.pop("text_projection.weight", None)
        if kind.endswith("WithProjection"):
            found["text_projection.weight"] = torch.eye(config.hidden_size)
    try:
        read, told = cls.from_pretrained(
            None, config=config, state_dict=found, dtype=dtype, output_loading_info=True)
    except RuntimeError as error:  # shapes
        raise ModelError(f"the {LABELS[name]} in {Path(model.where).name} has other sizes than {part}/config.json of "
                         "the components says: choose those it was made with") from error
    if lost := [*told["missing_keys"], *told["unexpected_keys"]]:
        raise ModelError(f"the {LABELS[name]} in {Path(model.where).name} is not whole, or another kind: {len(lost)} "
                         f"tensors don't fit, {lost[0]} among them")
    return read


def tensors(model: BaseModel, prefix: str) -> dict[str, Tensor]:
    """Those whose names begin so."""
    from safetensors import safe_open

    with safe_open(model.where, "pt") as file:
        return {name: file.get_tensor(name) for name in model.shapes if name.startswith(prefix)}
