"""Alphas that a LoRA file states beside its tensors: PEFT's adapter_config.json and diffusers' `lora_adapter_metadata`.

Without them such files would be read as alpha = rank, that is at the wrong strength.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from trainer.lora.adapter import Adapter
from trainer.lora.keys import LoraError, split

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
    ranks = {split(key)[0]: shape[0] for key, shape in shapes.items() if split(key)[1] == "down"}
    patterns = config.get("alpha_pattern") or {}
    found = {}
    for stem, rank in ranks.items():
        named = [value for pattern, value in patterns.items() if _ends_with(stem.removeprefix(prefix), pattern)]
        alpha = named[0] if named else config.get("lora_alpha")
        if not isinstance(alpha, (int, float)) or not math.isfinite(alpha):
            raise LoraError(f"the adapter's config gives no usable lora_alpha for {stem}; got {alpha!r}")
        found[stem] = float(alpha) * (math.sqrt(rank) if config.get("use_rslora") else 1.0)
    return found


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


def config_of(adapters: Mapping[str, Adapter], exact: bool) -> dict[str, Any]:
    """PEFT's config for adapters by path, the other way round. `exact`: the paths are whole; else something may stand
    before them, as transformers has it in one version and not in another."""
    ranks = Counter(adapter.rank for adapter in adapters.values())
    alphas = Counter(adapter.alpha for adapter in adapters.values())
    rank, alpha, mark = ranks.most_common(1)[0][0], alphas.most_common(1)[0][0], "^" if exact else ""
    return {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": alpha,
        "target_modules": list(adapters),
        "rank_pattern": {mark + path: one.rank for path, one in adapters.items() if one.rank != rank},
        "alpha_pattern": {mark + path: one.alpha for path, one in adapters.items() if one.alpha != alpha},
        "lora_dropout": 0.0,
        "bias": "none",
        "use_rslora": False,
        "use_dora": False,
        "inference_mode": True,
    }


def _ends_with(path: str, pattern: str) -> bool:
    try:
        return re.fullmatch(rf"(.*\.)?({pattern})", path) is not None
    except re.error as error:
        raise LoraError(f"the adapter's config has an alpha_pattern that is no pattern: {pattern!r}") from error
