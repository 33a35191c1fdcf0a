"""A foreign file of whatever kind, told apart by what is in it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from trainer.base_model.models import ModelError, read_header
from trainer.imports import dataset_toml, kohya_json, metadata, scripts_toml
from trainer.imports.report import ImportProblem, Report

LARGEST = 4_000_000  # bytes of a settings file; a LoRA's header has its own limit


def read(path: Path) -> Report:
    """A report on the settings in a file: JSON, TOML or a LoRA's .safetensors. Raises ImportProblem."""
    if path.is_dir():
        raise ImportProblem(f"{path.name or path} is a folder: choose the settings file or the LoRA file itself")
    try:
        if path.suffix.lower() == ".safetensors":
            shapes, said = read_header(path)
            return metadata.read(said if isinstance(said, dict) else {}, shapes)
        if path.stat().st_size > LARGEST:
            raise ImportProblem(f"{path.name} is too large for a settings file")
        return told(path.read_bytes().decode("utf-8-sig"), path.parent)
    except ModelError as error:
        raise ImportProblem(str(error)) from None
    except UnicodeDecodeError:
        raise ImportProblem(f"{path.name} is neither a .safetensors file nor text in UTF-8") from None
    except (OSError, ValueError) as error:
        if isinstance(error, ImportProblem):
            raise
        why = getattr(error, "strerror", None) or error
        raise ImportProblem(f"{str(path)[:200]!r} cannot be read: {why}") from None


def told(text: str, beside: Path | None = None) -> Report:
    """A report on the text of a file. Raises ImportProblem."""
    if text.lstrip()[:1] in ("{", ""):
        return kohya_json.read(text, beside)
    found = toml_of(text)
    if "datasets" in found:
        return dataset_toml.read(found)
    if {"lora", "model"} & found.keys() and "version" in found:
        raise ImportProblem("these are settings of this program: `launch.py train` takes the file as it is")
    if not scripts_toml.recognises(found):
        raise ImportProblem("this TOML has no settings of sd-scripts, such as pretrained_model_name_or_path")
    return scripts_toml.read(found, beside)


def toml_of(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ImportProblem(f"this is neither JSON nor valid TOML: {error}") from None
