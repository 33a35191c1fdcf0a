"""Alphas that a LoRA file states beside its tensors: PEFT's adapter_config.json and diffusers' `lora_adapter_metadata`.

Without them such files would be read as alpha = rank, that is at the wrong strength.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from trainer.lora.keys import LoraError, split
from trainer.lora.kinds import FIRST

HEADER = "lora_adapter_metadata"


def parse(text: str, where: str) -> dict[str, Any]:
    """The JSON object in `text`; LoraError naming `where` it came from when it is none."""
    try:
        values = json.loads(text)
    except ValueError as error:
        raise LoraError(f"{where} is not readable JSON: {error}") from error
    if not isinstance(values, dict):
        raise LoraError(f"{where} should be a JSON object; got {type(values).__name__}")
    return values


def from_config(config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], prefix: str) -> dict[str, float]:
    """{stem: alpha} for the tensors in `shapes`, from PEFT's `config`; alpha includes the rank-stabilised scale.

    `lora_alpha` holds for all but the layers that `alpha_pattern` names, by a regular expression over the end of a path
    or, with ^, over all of it. `prefix` is what stands before the paths.
    """
    found = {}
    for stem, shape in _layers(shapes).items():
        alpha = _patterned(config, "alpha", stem.removeprefix(prefix))
        found[stem] = alpha * (math.sqrt(shape[0]) if config.get("use_rslora") else 1.0)
    return found


def ranks_from_config(config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], prefix: str) -> dict[str, int]:
    """{stem: rank} in the same way, where the weights do not tell it."""
    return {stem: int(_patterned(config, "rank", stem.removeprefix(prefix))) for stem in _layers(shapes)}


def _layers(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """{stem: shape of the first tensor} of the updates."""
    return {stem: shape for key, shape in shapes.items() for stem, role in [split(key)] if role in FIRST}


def _patterned(config: Mapping[str, Any], what: str, path: str) -> float:
    patterns = config.get(f"{what}_pattern") or {}
    named = [value for pattern, value in patterns.items() if _ends_with(path, pattern)]
    usual = config.get("r") if what == "rank" else config.get("lora_alpha", config.get("alpha"))
    value = named[0] if named else usual
    if not isinstance(value, (int, float)) or not math.isfinite(value) or (what == "rank" and value < 1):
        field = "r" if what == "rank" else "lora_alpha (or alpha)"
        raise LoraError(f"the adapter's config gives no usable {field} for {path}; got {value!r}")
    return float(value)


def from_header(metadata: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, float]:
    """{stem: alpha} from the entry that diffusers writes: a config for each part, prefixed with the part's name."""
    if HEADER not in metadata:
        return {}
    configs: dict[str, dict[str, Any]] = {}
    for key, value in parse(metadata[HEADER], f"the file's {HEADER} entry").items():
        part, _, name = key.partition(".")
        configs.setdefault(part, {})[name] = value
    found = {}
    for part, config in configs.items():
        if config.get("lora_alpha") is not None:
            own = {key: shape for key, shape in shapes.items() if key.startswith(f"{part}.")}
            found |= from_config(config, own, f"{part}.")
    return found


def _ends_with(path: str, pattern: str) -> bool:
    try:
        return re.fullmatch(rf"(.*\.)?({pattern})", path) is not None
    except re.error as error:
        raise LoraError(f"the adapter's config has an alpha_pattern that is no pattern: {pattern!r}") from error
