"""What can be said of a base model the moment its path is typed: family, size, what it predicts, in which numbers. Only
headers and configs are read, so it costs milliseconds whatever the model weighs."""

from __future__ import annotations

import json
import math
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from settings.paths import located
from trainer.base_model.models import BaseModel, ModelError, find, fitting
from trainer.families import families, one_file
from trainer.families.base import Family
from trainer.families.flow import FlowFamily

NUMBERS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "F8_E4M3": "float8",
           "F8_E5M2": "float8", "I8": "8-bit integers", "U8": "packed bytes, as quantised models have"}  # fmt: skip
PREDICTS = {"epsilon": "the noise (epsilon)", "v_prediction": "velocity (v)", "sample": "the picture itself"}
DENOISERS = ("unet", "transformer")
INSIDE = ("model.diffusion_model.", "diffusion_model.")  # where a single file has its denoiser
INPAINTS, EDITS = 9, 8  # channels that come in: latents, and those of a masked or an earlier picture


@dataclass(frozen=True)
class Detected:
    """`family` is "" where nothing tells it. `facts`: (what, how it is), for people. `problem`: why it cannot be
    trained as the family that was chosen, in one sentence, or ""."""

    family: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    problem: str = ""


def detect(base: str, chosen: str, trust_pickle: bool = False) -> Detected:
    """What `base` is, and whether it can be trained as the family `chosen`."""
    if not base.strip():
        return Detected()
    try:
        model = find(base, trust_pickle)
        family = family_of(model)
        facts = tuple(facts_of(model, family))
    except (ModelError, OSError) as error:
        return Detected(problem=f"{error.strerror}: choose another" if isinstance(error, OSError) else str(error)[:300])
    if special := special_kind(model):
        return Detected(family, facts, f"{Path(model.where).name} {special}")
    try:
        fitting(base, chosen, trust_pickle)
    except (ModelError, KeyError) as error:
        return Detected(family, facts, str(error) if isinstance(error, ModelError) else "")
    return Detected(family, facts)


def family_of(model: BaseModel) -> str:
    return next((name for name, kind in families().items() if kind.recognises(model)), "")


def facts_of(model: BaseModel, family: str) -> Iterator[tuple[str, str]]:
    if family:
        yield "Family", families()[family].label
    elif model.kind == "hub" and not model.pipeline:
        yield "Not downloaded yet", "taken for the family chosen above; looked into once it is here"
    elif model.kind == "pickle":
        yield "Pickle", "cannot be looked into without loading it; taken for the family chosen above"
    if size := size_of(model):
        yield "Size", size
    if family and "ddpm" in families()[family].traits:
        yield "Predicts", PREDICTS.get(model.prediction_type or "", model.prediction_type or "not said in the file")
    elif family:
        yield "Predicts", "the way from noise to picture (flow)"
    if family and model.kind == "file":
        yield from parts_of(model, families()[family])
    if special := special_kind(model):
        yield "Inpainting" if "inpaint" in special else "Editing", special


def parts_of(model: BaseModel, family: type[Family]) -> Iterator[tuple[str, str]]:
    """What a single file holds, where it need not hold all, and what must come from the other components."""
    if not issubclass(family, FlowFamily):
        return
    yield "Holds", one_file.inventory(model, family)
    if lacks := one_file.lacking(model, family):
        yield "Lacks", f"{one_file.listed([f'{part}/' for part in lacks])}, which Other components are for"


def size_of(model: BaseModel) -> str:
    """Numbers in the denoiser, and how they are kept."""
    place = located(model.where) if model.kind in ("file", "folder") else None
    if place is None:
        return ""
    folders = [place / part for part in DENOISERS]
    files = [place] if place.is_file() else [file for folder in folders for file in folder.glob("*.safetensors")]
    found: Counter[str] = Counter()
    for file in sorted(files):
        fact = file.stat()
        found += Counter(dict(kept_numbers(file, (fact.st_mtime_ns, fact.st_size))))
    if not found:
        return ""
    kinds = " and ".join(NUMBERS.get(kind, kind) for kind, count in found.most_common(2) if count > found.total() / 10)
    return f"{millions(found.total())} weights in the denoiser, {kinds}"


@lru_cache(maxsize=64)
def kept_numbers(path: Path, stamp: tuple[int, int]) -> tuple[tuple[str, int], ...]:
    """(kind of number, how many) of the denoiser in a safetensors file; of all of it where nothing is named so."""
    with path.open("rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    header.pop("__metadata__", None)
    inside = [entry for name, entry in header.items() if name.startswith(INSIDE)]
    count: Counter[str] = Counter()
    for entry in inside or header.values():
        count[str(entry["dtype"])] += math.prod(entry["shape"])
    return tuple(count.items())


def millions(count: int) -> str:
    return f"{count / 1e9:.1f} billion" if count >= 1e9 else f"{count / 1e6:.3g} million"


def special_kind(model: BaseModel) -> str:
    """What it is for other than drawing from words alone, or ""."""
    channels = model.configs.get("unet", {}).get("in_channels")
    if model.shapes:
        channels = model.shapes.get("model.diffusion_model.input_blocks.0.0.weight", (0, 0))[1]
    if channels == INPAINTS:
        return "is an inpainting model, which is given a mask too: choose the ordinary one it was made from"
    if channels == EDITS:
        return "is an editing model, which is given a picture too: choose the ordinary one it was made from"
    return ""
