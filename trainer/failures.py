"""Why a training run failed, in one sentence, and what to do about it.

What can be mended by other settings comes with those settings, so that the window can put them onto the form.
"""

from __future__ import annotations

import sys
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

from jobs import failures
from jobs.failures import Failure, Fix, Judgement, chain, out_of_memory
from settings import toml
from settings.errors import SettingsError
from trainer.base_model.models import ModelError
from trainer.config import TrainSettings
from trainer.needs.shortage import explained, fixes


def explain(error: BaseException, folder: Path | None = None) -> Failure:
    """Judge an error, or what it came from, by type and message; torch and the hub need not be imported for it. With
    the job's `folder` also by its settings and by what it has saved."""
    failure = failures.explain(error, _judge)
    config = settings_of(folder) if folder else None
    if config is None:
        return failure
    for one in chain(error):
        if out_of_memory(one):
            return in_want_of_memory(failure, one, config)
        if isinstance(one, FloatingPointError):
            return without_numbers(failure, config, folder)
    return failure


def _judge(error: BaseException) -> Judgement | None:
    said, kind = str(error), type(error).__name__
    if isinstance(error, SettingsError):
        return "Some settings are wrong: " + said, "Change them and start again."
    if isinstance(error, ModelError):
        return f"The base model can't be used: {said}.", "Choose another base model (model.base)."
    if out_of_memory(error):
        return "There was not enough memory.", (
            "Cheapest first: batch size 1 with more accumulation; gradient checkpointing; a smaller resolution."
        )
    if isinstance(error, FloatingPointError):
        return said[:1].upper() + said[1:] + ".", (
            "Resume would come to the same. Train on from what was saved as a new run (lora.weights) with a lower "
            "learning rate; clipping at 1 and bf16 instead of fp16 help too."
        )
    if isinstance(error, OSError) and "no file named" in said:  # diffusers' words, and transformers'
        return f"The base model lacks a file: {said.strip()}", "Download it again, or choose another (model.base)."
    return _of_the_hub(kind, said)


def _of_the_hub(kind: str, said: str) -> Judgement | None:
    """By the names of huggingface_hub's errors. Some of them are also FileNotFoundErrors, so they are asked first."""
    if kind == "GatedRepoError" or "gated repo" in said:
        return "The hub refuses this model without a login.", (
            "Accept its licence on its page, then save your token in Settings, or put it into the environment variable "
            "HF_TOKEN."
        )
    if kind in ("RepositoryNotFoundError", "RevisionNotFoundError", "EntryNotFoundError", "RemoteEntryNotFoundError"):
        return "The hub has no such base model.", "Check the name (author/model) in model.base."
    if kind in ("LocalEntryNotFoundError", "OfflineModeIsEnabled"):
        return "The base model is not on this machine and the hub could not be asked for it.", (
            "Check the connection, or choose a file or folder on this machine (model.base)."
        )
    return None


def settings_of(folder: Path) -> TrainSettings | None:
    """The job's settings, unless they are what is wrong."""
    try:
        return toml.read(TrainSettings, folder / "config.toml")
    except (SettingsError, OSError):
        return None


def in_want_of_memory(failure: Failure, error: BaseException, config: TrainSettings) -> Failure:
    torch = sys.modules.get("torch")
    on_cpu = config.accelerate.cpu or torch is None or not torch.accelerator.is_available()
    of_the_machine = isinstance(error, (MemoryError, OSError)) or "DefaultCPUAllocator" in str(error)
    if of_the_machine and not on_cpu:
        return replace(
            failure,
            cause="The machine has not enough memory; it is not the graphics card that is short of it.",
            fix="Close other programs, or give the machine more memory or swap space; then press Resume.",
        )
    if on_cpu:
        section = config.accelerate.model_copy(update={"cpu": True})
        config = config.model_copy(update={"accelerate": section})
    cause, fix, found = explained(config, str(error), moment_of(error))
    return replace(failure, cause=cause, fix=fix, fixes=fixes(found))


def moment_of(error: BaseException) -> str:
    """In which of `memory.moments` it happened, by the files that the error came through."""
    frames = traceback.extract_tb(error.__traceback__)
    files = {Path(frame.filename).name for frame in frames}
    if "class_drawing.py" in files:
        return "class images"
    if "preview.py" in files:
        return "samples"
    if not {"beginning.py", "cache.py"} <= files:
        return "step"
    return "reading" if any(frame.name == "encode_captions" for frame in frames) else "encoding"


def without_numbers(failure: Failure, config: TrainSettings, folder: Path) -> Failure:
    """Say what is kept, and offer the gentler run that goes on from it."""
    kept = newest_state(folder)
    gentle: dict[str, tuple[Any, str]] = {
        f"lora.{name}.learning_rate": (part.learning_rate / 2, "half the learning rate")
        for name, part in {"denoiser": config.lora.denoiser, **config.lora.text_encoders}.items()
        if part.train
    }
    if config.all_weights:
        gentle["full.learning_rate"] = (config.full.learning_rate / 2, "half the learning rate")
    if not 0 < config.optimizer.max_grad_norm <= 1:
        gentle["optimizer.max_grad_norm"] = (1.0, "gradients clipped at 1")
    if config.accelerate.mixed_precision == "fp16":
        gentle["accelerate.mixed_precision"] = ("bf16", "bf16 instead of fp16")
    if kept and not config.all_weights:
        gentle["lora.weights"] = (str(folder), f"what was learnt up to step {kept}")
    words = dict.fromkeys(said for _, said in gentle.values())
    fix = Fix(f"a new run with {', '.join(words)}", {path: value for path, (value, _) in gentle.items()})
    what = f"What was learnt up to step {kept} is kept." if kept else "Nothing had been saved before."
    return replace(failure, cause=f"{failure.cause} {what}", fixes=[fix])


def newest_state(folder: Path) -> int:
    """The step of the newest state that was written to its end; 0 without one."""
    found = (folder / "state").glob("step-*/manifest.json")
    return max((int(path.parent.name.removeprefix("step-")) for path in found), default=0)
