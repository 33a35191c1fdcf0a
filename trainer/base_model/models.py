"""What a base model is, told from its header and configs before a byte of its weights is read.

So the window can say at once "this is SDXL, and you chose SD 1.x", and nothing heavy is loaded for a typing error.
"""

from __future__ import annotations

import json
import re
import struct
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from settings.paths import located

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
PICKLES = {".ckpt", ".pt", ".pth", ".bin"}
SCALES = re.compile(r"(\.(scale_weight|weight_scale(_2)?|comfy_quant|absmax|quant_map)|\.quant_state\..+|scaled_fp8)$")
SHOWN = 200  # letters of a wrong path
LONGEST_HEADER = 100_000_000  # bytes; the limit of the safetensors library itself


class ModelError(ValueError):
    """This base model can't be used. The message says what it is, what was expected and what to do."""


@dataclass(frozen=True)
class BaseModel:
    """A base model that was found. `configs` are those of a diffusers folder, by part; `shapes` those of a single
    file, and `components` where what it leaves out comes from."""

    where: str
    kind: Literal["folder", "file", "pickle", "hub"]
    pipeline: str = ""
    configs: dict[str, dict[str, Any]] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    components: str = ""
    trusted: bool = False  # somebody has said yes to pickles

    @property
    def only_safetensors(self) -> bool | None:
        """For diffusers' `use_safetensors`. None, after a yes: pickles too if there is nothing else, weights-only."""
        return None if self.trusted else True

    @property
    def prediction_type(self) -> str | None:
        """What the model says it predicts: from the scheduler's config, or from a single file's marks; None: it does
        not say."""
        if said := self.configs.get("scheduler", {}).get("prediction_type"):
            return said
        if "v_pred" in self.shapes or self.metadata.get("modelspec.prediction_type", "").startswith("v"):
            return "v_prediction"
        return None


def find(base: str, trust_pickle: bool = False) -> BaseModel:
    """The base model that was typed: a path (also relative to the program's folder) or a hub name.

    Raises ModelError.
    """
    path = located(base)
    if path is None:
        if HUB_NAME.fullmatch(base):
            return replace(cached_from_hub(base) or BaseModel(base, "hub"), trusted=trust_pickle)
        said = base if len(base) <= SHOWN else f"{base[:SHOWN]}…"
        raise ModelError(f"there is nothing at {said!r}, and it is no hub name such as author/model")
    files = [path] if path.is_file() else [path, *sorted(path.glob("*.json")), *sorted(path.glob("*/*config.json"))]
    facts = [file.stat() for file in files]
    found = read(path, trust_pickle, tuple((fact.st_mtime_ns, fact.st_size, fact.st_ino) for fact in facts))
    return replace(found, trusted=trust_pickle)


def own_vae(typed: str, model: BaseModel) -> str:
    """Where a VAE lies that is used instead of the model's own. Raises ModelError for pickles without a yes."""
    folder = located(typed)
    if folder and pickled(folder) and not model.trusted:
        raise ModelError(
            f"the VAE {folder.name} holds its weights as a pickle (.bin), which can carry programs: use one with "
            ".safetensors files, or say that you trust it (model.trust_pickle)"
        )
    return str(folder or typed)


@lru_cache(maxsize=32)
def read(path: Path, trust_pickle: bool, stamp: tuple[tuple[int, ...], ...]) -> BaseModel:
    """`stamp` is when each of its files changed, its size and which file it is: an exchanged model is read anew.

    (A time alone is not enough: two changes within one tick of the file system's clock have the same.)"""
    if path.is_dir():
        found = read_folder(path)
        if not trust_pickle and any(pickled(path / part) for part in found.configs):
            raise ModelError(
                f"{path.name} holds its weights as pickles (.bin), which can carry programs: use a copy with "
                ".safetensors files, or say that you trust it (model.trust_pickle)"
            )
        return found
    if path.suffix.lower() in PICKLES:
        if not trust_pickle:
            raise ModelError(
                f"{path.name} is a pickle, which can carry programs: use a .safetensors file, "
                "or say that you trust it (model.trust_pickle)"
            )
        return BaseModel(str(path), "pickle")
    shapes, metadata = read_header(path)
    return BaseModel(str(path), "file", shapes=shapes, metadata=metadata)


def pickled(part: Path) -> bool:
    """Are this part's weights there as a pickle only?"""
    return any(part.glob("*.bin")) and not any(part.glob("*.safetensors"))


def read_folder(path: Path) -> BaseModel:
    index = path / "model_index.json"
    if not index.is_file():
        raise ModelError(
            f"{path} is a folder without model_index.json: expected a diffusers folder, "
            "or choose the .safetensors file itself"
        )
    try:
        pipeline = json.loads(index.read_text(encoding="utf-8")).get("_class_name", "")
        files = [*path.glob("*/config.json"), *path.glob("*/scheduler_config.json")]
        configs = {file.parent.name: json.loads(file.read_text(encoding="utf-8")) for file in files}
    except (ValueError, AttributeError) as error:
        raise ModelError(f"{path} has a config that is no JSON object ({error}): download the model again") from None
    return BaseModel(str(path), "folder", pipeline=pipeline, configs=configs)


def read_header(path: Path) -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
    """Shapes by tensor name, and the metadata, of a safetensors file. Raises ModelError if it isn't one."""
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(LONGEST_HEADER, path.stat().st_size - 8):
            raise ModelError(f"{path.name} is no safetensors file, or only part of one: download it again")
        try:
            header = json.loads(file.read(length))
            metadata = header.pop("__metadata__", {})
            return {name: tuple(entry["shape"]) for name, entry in header.items()}, metadata
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise ModelError(f"{path.name} is no safetensors file: its header can't be read") from None


def cached_from_hub(name: str) -> BaseModel | None:
    """The diffusers folder of a hub model in the local cache, if it was downloaded before."""
    from huggingface_hub import try_to_load_from_cache

    index = try_to_load_from_cache(name, "model_index.json")
    if not isinstance(index, str):
        return None
    found = read_folder(Path(index).parent)
    return BaseModel(name, "hub", pipeline=found.pipeline, configs=found.configs)


def fitting(base: str, family: str, trust_pickle: bool = False, components: str = "") -> BaseModel:
    """The base model with its components, if it is of the family that was chosen. Raises ModelError.

    A hub model that was never downloaded and a pickle can't be looked into; they are taken at their word.
    """
    from trainer.families import families

    model = replace(find(base, trust_pickle), components=components)
    known = families()
    if model.kind == "pickle" or (model.kind == "hub" and not model.pipeline):
        return model
    if known[family].recognises(model):
        if any(SCALES.search(name) for name in model.shapes):
            raise ModelError(f"{Path(model.where).name} is quantised, with scales beside its numbers: choose the file "
                             "in 16 bit (memory.base_precision makes it smaller here)")
        return model
    others = [other.label for other in known.values() if other.recognises(model)]
    is_a = f"is {others[0]}" if others else f"is no model that is known here ({described(model)})"
    raise ModelError(
        f"{Path(model.where).name} {is_a}; expected {known[family].label}: choose another base model or family"
    )


def described(model: BaseModel) -> str:
    if model.pipeline:
        return f"a folder for {model.pipeline}"
    if any(name.startswith(("lora_", "unet.")) or ".lora_" in name for name in model.shapes):
        return "it is a LoRA; the base model is the checkpoint that the LoRA is added to"
    marks = {
        "conditioner.": "it looks like SDXL",
        "double_blocks.": "it looks like FLUX",
        "joint_blocks.": "it looks like SD 3",
        "cond_stage_model.model.": "it looks like SD 2.x",
    }
    return next(
        (said for mark, said in marks.items() if any(mark in name for name in model.shapes)),
        f"a file of {len(model.shapes)} tensors",
    )
