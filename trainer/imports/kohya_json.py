"""The form of kohya_ss as it saves it: JSON of every field, under the form's own names, what is off included."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from trainer.imports.report import ImportProblem, Report
from trainer.imports.rules import translated
from trainer.imports.values import is_off

# The form's names -> sd-scripts'. Of several that mean the same, those that are off give way.
NAMES = {
    "optimizer": "optimizer_type",
    "max_resolution": "resolution",
    "sdxl_cache_text_encoder_outputs": "cache_text_encoder_outputs",
    "flux1_cache_text_encoder_outputs": "cache_text_encoder_outputs",
    "sd3_cache_text_encoder_outputs": "cache_text_encoder_outputs",
    "flux1_cache_text_encoder_outputs_to_disk": "cache_text_encoder_outputs_to_disk",
    "sd3_cache_text_encoder_outputs_to_disk": "cache_text_encoder_outputs_to_disk",
    "sdxl_no_half_vae": "no_half_vae",
    "sd3_clip_l": "clip_l",
    "sd3_clip_g": "clip_g",
    "sd3_t5xxl": "t5xxl",
    "flux1_t5xxl": "t5xxl",
    "flux1_clip_l": "clip_l",
    "gradient_accumulation": "gradient_accumulation_steps",
}
TELLING = {"LoRA_type", "train_batch_size", "max_resolution", "pretrained_model_name_or_path", "network_dim"}


def read(text: str, beside: Path | None = None) -> Report:
    """A report on a preset. Raises ImportProblem."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ImportProblem(f"this is not valid JSON: {error}") from None
    if not isinstance(found, dict) or not TELLING & found.keys():
        raise ImportProblem("this JSON is no preset of kohya_ss: it has none of its fields, such as train_batch_size")
    given: dict[str, Any] = {}
    for name, value in found.items():
        known = NAMES.get(name, name)
        if known not in given or is_off(given[known]):
            given[known] = value
    given |= additional(str(given.pop("additional_parameters", "") or ""))
    return translated("kohya_ss preset", given, window=True, beside=beside)


def additional(text: str) -> dict[str, Any]:
    """The free text of further flags: `--flag value --switch`."""
    try:
        words = shlex.split(text)
    except ValueError:
        words = text.split()
    found: dict[str, Any] = {}
    name = ""
    for word in words:
        if word.startswith("--"):
            name, _, value = word[2:].partition("=")
            found[name] = value or True
        elif name:
            found[name] = word if found[name] is True else f"{found[name]} {word}"
    return found
