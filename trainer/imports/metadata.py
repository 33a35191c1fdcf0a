"""The `ss_*` and `modelspec.*` entries of a LoRA file, and what its tensors' names and shapes say beside them: from the
file alone a run like the one that made it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from trainer.imports.report import ImportProblem, Report
from trainer.imports.rules import translated
from trainer.imports.values import number, plain

# ss_ names that are not sd-scripts' arguments with ss_ in front -> those.
NAMES = {"optimizer": "optimizer_type", "batch_size_per_device": "train_batch_size"}
MODELSPEC = ("title", "author", "description", "license", "tags", "trigger_phrase")
# Of the run that is over, or of the files it used: nothing to set.
FACTS = {
    "session_id", "training_started_at", "training_finished_at", "num_train_images", "num_validation_images",
    "num_reg_images", "num_batches_per_epoch", "epoch", "steps", "total_batch_size", "sd_model_hash",
    "new_sd_model_hash", "vae_hash", "new_vae_hash", "sd_scripts_commit_hash", "bucket_info", "tag_frequency",
    "dataset_dirs", "reg_dataset_dirs", "datasets", "num_epochs", "vae_name",
}  # fmt: skip


def read(metadata: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> Report:
    """A report on a LoRA file. Raises ImportProblem if it says nothing of how it was trained."""
    said = {name[3:]: value for name, value in metadata.items() if name.startswith("ss_")}
    if not said:
        raise ImportProblem("this file says nothing of how it was trained: it has no ss_ entries")
    given = {NAMES.get(name, name): value for name, value in said.items() if name not in FACTS}
    if given.get("resolution"):
        given["resolution"] = str(given["resolution"]).strip("()[]")
    given |= length(said) | parts(said, shapes) | of_datasets(said)
    spec = {name: metadata.get(f"modelspec.{name}") for name in MODELSPEC}
    given |= {f"metadata_{name}": value for name, value in spec.items() if value}
    if given.get("metadata_title") == given.get("output_name"):
        given.pop("metadata_title", None)
    facts = {name: value for name, value in said.items() if name in FACTS}
    given |= {f"ss_{name}": value for name, value in facts.items()}
    return translated("LoRA metadata", given, total=int(number(said.get("max_train_steps")) or 0) or None)


def length(said: Mapping[str, Any]) -> dict[str, Any]:
    """Epochs, if the steps are exactly theirs; else the steps."""
    steps, epochs = number(said.get("max_train_steps")), number(said.get("num_epochs"))
    batches, together = number(said.get("num_batches_per_epoch")), number(said.get("gradient_accumulation_steps")) or 1
    whole = bool(epochs and batches and steps) and steps == epochs * math.ceil(batches / together)
    return {"max_train_epochs": epochs if whole else None, "max_train_steps": steps}


def parts(said: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Which parts learnt: the names of the tensors tell it surely, the entries only sometimes."""
    drawn = any(name.startswith(("lora_unet", "unet.", "transformer.", "diffusion_model.")) for name in shapes)
    first = any(name.startswith(("lora_te_", "lora_te1_", "text_encoder.")) for name in shapes)
    second = any(name.startswith(("lora_te2_", "text_encoder_2.")) for name in shapes)
    if not drawn and not first and not second:
        return {}
    found: dict[str, Any] = {"network_train_unet_only": not first and not second,
                             "network_train_text_encoder_only": not drawn}
    rate = said.get("text_encoder_lr")
    if first != second and any("_te2_" in name or "_te1_" in name for name in shapes) and (rate := number(rate)):
        found["text_encoder_lr"] = [rate if first else 0, rate if second else 0]
    return found


def of_datasets(said: Mapping[str, Any]) -> dict[str, Any]:
    """Of a run from a data set file: the first set's sizes and its first subset's captions, as JSON."""
    try:
        found = json.loads(str(said.get("datasets") or "[]"))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, list) or not found or not isinstance(found[0], dict):
        return {}
    first = dict(found[0])
    subsets = first.pop("subsets", None)
    kept = {"resolution", "enable_bucket", "min_bucket_reso", "max_bucket_reso", "bucket_no_upscale"}
    given = {name: value for name, value in first.items() if name in kept}
    given |= {"train_batch_size": first.get("batch_size_per_device")}
    captions = {"shuffle_caption", "keep_tokens", "flip_aug", "caption_dropout_rate", "enable_wildcard"}
    if isinstance(subsets, list) and subsets and isinstance(subsets[0], dict):
        given |= {name: value for name, value in subsets[0].items() if name in captions}
    return {name: value for name, value in given.items() if plain(value) is not None}
