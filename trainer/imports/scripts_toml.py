"""The main settings file of sd-scripts (`--config_file`): flat, or in sections whose names mean nothing. What is not in
it has sd-scripts' own default, which is often another than ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from settings.paths import located
from trainer.imports import dataset_toml
from trainer.imports.report import ImportProblem, Report
from trainer.imports.rules import translated

# What sd-scripts does where a file is silent, as far as the form here begins otherwise.
SILENT: dict[str, Any] = {
    "network_dim": 4, "network_alpha": 1, "learning_rate": 2e-6, "optimizer_type": "AdamW", "lr_scheduler": "constant",
    "max_train_steps": 1600, "enable_bucket": False, "resolution": "512,512", "caption_extension": ".caption",
    "mixed_precision": "no", "sample_every_n_epochs": 0, "save_every_n_epochs": 0,
}  # fmt: skip
OF_PICTURES = ("enable_bucket", "resolution", "caption_extension")  # said by the data set's own file where there is one
BUCKETS = {"bucket_no_upscale": False, "min_bucket_reso": 256, "max_bucket_reso": 1024}
TELLING = {"pretrained_model_name_or_path", "network_module", "network_dim", "train_data_dir", "dataset_config",
           "learning_rate", "unet_lr", "max_train_steps", "max_train_epochs", "train_batch_size"}


def recognises(found: dict[str, Any]) -> bool:
    return bool(TELLING & flattened(found).keys())


def read(found: dict[str, Any], beside: Path | None) -> Report:
    """A report on a file's values. Raises ImportProblem."""
    given = flattened(found)
    assumed = dict(SILENT)
    if "max_train_epochs" in given:
        del assumed["max_train_steps"]
    if other := given.get("dataset_config"):
        given |= of_pictures(str(other), beside)
        assumed = {name: value for name, value in assumed.items() if name not in OF_PICTURES}
    elif given.get("enable_bucket"):
        assumed |= BUCKETS
    return translated("sd-scripts settings", given, assumed, beside=beside)


def of_pictures(other: str, beside: Path | None) -> dict[str, Any]:
    """What the data set's own file says, if it is here."""
    path = (located(str(beside / other)) if beside else None) or located(other)
    if path is None or not path.is_file():
        return {}
    from trainer.imports.reading import toml_of

    try:
        arguments = dataset_toml.arguments(toml_of(path.read_text(encoding="utf-8", errors="replace")))
    except OSError as error:
        raise ImportProblem(f"dataset_config: {path} cannot be read: {error.strerror}") from None
    return arguments | {"dataset_config": None}


def flattened(found: dict[str, Any]) -> dict[str, Any]:
    """Sections are for the eye; what is in them counts as if it stood outside."""
    flat: dict[str, Any] = {}
    for name, value in found.items():
        flat |= value if isinstance(value, dict) else {name: value}
    return flat
