"""What a LoRA file says about itself: the `ss_*` entries that kohya's trainers write and `modelspec.*` (version 1.0.1).

A1111 and Forge tell the family from `ss_base_model_version` and `ss_v2` and suggest prompts from `ss_tag_frequency`;
others show the rest. All values are text: str() of a Python value, or JSON where it is a table.
"""

from __future__ import annotations

import json
import math
import time
import zlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataset import stats, tokens
from dataset.scan import Dataset
from dataset.turns import lay_out
from trainer.base_model import hashes
from trainer.config import DenoiserLora, TrainSettings
from trainer.lora.sizes import of_layer

if TYPE_CHECKING:
    from trainer.families.base import Family
    from trainer.plan import Plan

OPTIMIZERS = {
    "adamw": "torch.optim.adamw.AdamW",
    "adamw8bit": "bitsandbytes.optim.adamw.AdamW8bit",
    "adafactor": "transformers.optimization.Adafactor",
    "prodigy": "pytorch_optimizer.optimizer.prodigy.Prodigy",
    "lion": "pytorch_optimizer.optimizer.lion.Lion",
    "paged_adamw8bit": "bitsandbytes.optim.adamw.PagedAdamW8bit",
    "dadapt_adam": "pytorch_optimizer.optimizer.dadapt.DAdaptAdam",
    "schedulefree_adamw": "pytorch_optimizer.optimizer.schedulefree.ScheduleFreeAdamW",
    "came": "pytorch_optimizer.optimizer.came.CAME",
    "ademamix": "pytorch_optimizer.optimizer.ademamix.AdEMAMix",
    "sgd": "torch.optim.sgd.SGD",
}
"""The class behind each choice of `optimizer.name`."""

ALGORITHMS = {
    "dora": {"algo": "lora", "dora_wd": "True", "wd_on_output": "False"},
    "loha": {"algo": "loha"},
    "lokr": {"algo": "lokr"},
    "oft": {"algo": "diag-oft"},
}
"""The arguments by which LyCORIS trains each kind of adapter; others are plain LoRAs to every reader."""

SCHEDULES = {"cosine_restarts": "cosine_with_restarts"}

# What tells strangers about the maker's disk and pictures; metadata.private leaves it out.
_PRIVATE = {"ss_sd_model_name", "ss_sd_model_hash", "ss_new_sd_model_hash", "ss_vae_name", "ss_dataset_dirs",
            "ss_reg_dataset_dirs", "ss_tag_frequency", "ss_base_weights"}


def metadata(config: TrainSettings, family: Family, plan: Plan, dataset: Dataset, *, step: int,
             began: float) -> dict[str, str]:
    """The entries of a file saved after `step` optimiser steps of a run that began at `began` (seconds since 1970).

    The two hashes over the tensors are added where they are written, the thumbnail in output.py.
    """
    entries = (_run(config, plan, step, began) | _network(config, family) | _training(config)
               | _data(config, dataset) | _modelspec(config, family))
    hidden = _PRIVATE if config.metadata.private else set()
    if config.all_weights:
        hidden = hidden | {key for key in entries if key.startswith("ss_network_")}
        entries["ss_learning_rate"] = entries["ss_unet_lr"] = config.full.learning_rate
    return {key: value if isinstance(value, str) else str(value) for key, value in entries.items() if key not in hidden}


def _run(config: TrainSettings, plan: Plan, step: int, began: float) -> dict[str, Any]:
    at_once = config.run.batch_size * config.accelerate.processes * config.run.gradient_accumulation
    return {
        "ss_session_id": zlib.crc32(f"{config.name} {began}".encode()),
        "ss_training_started_at": began,
        "ss_training_finished_at": time.time(),
        "ss_output_name": config.name,
        "ss_num_train_images": plan.repeated,
        "ss_num_reg_images": plan.regularisation_repeated,
        "ss_num_batches_per_epoch": plan.batches_per_epoch,
        "ss_num_epochs": plan.epochs,
        "ss_epoch": math.ceil(step / plan.steps_per_epoch),
        "ss_steps": step,
        "ss_max_train_steps": plan.total_steps,
        "ss_lr_warmup_steps": plan.warmup_steps,
        "ss_batch_size_per_device": config.run.batch_size,
        "ss_total_batch_size": at_once,
        "ss_gradient_accumulation_steps": config.run.gradient_accumulation,
        "ss_seed": config.run.seed,
        "ss_training_comment": config.metadata.comment or None,
    }


def _network(config: TrainSettings, family: Family) -> dict[str, Any]:
    """kohya knows one rank for everything: the denoiser's, if it was trained."""
    denoiser, text = config.lora.denoiser, config.lora.text_encoder
    main = denoiser if denoiser.train else text
    own = _convolutions(denoiser) if denoiser.train else {}
    own |= {name: str(share) for name in ("rank_dropout", "module_dropout") if (share := getattr(main, name))}
    own |= ALGORITHMS.get(config.lora.kind, {})
    if config.lora.kind == "lokr":
        own["factor"] = str(config.lora.factor or -1)
    return {
        "ss_network_module": "lycoris.kohya" if "algo" in own else "networks.lora",
        "ss_network_dim": main.rank,
        "ss_network_alpha": main.alpha,
        "ss_network_dropout": main.dropout or None,
        "ss_network_args": json.dumps(own),
        "ss_scale_weight_norms": config.lora.max_norm,
        "ss_learning_rate": main.learning_rate,
        "ss_unet_lr": denoiser.learning_rate if denoiser.train else None,
        "ss_text_encoder_lr": text.learning_rate if text.train else None,
        "ss_v2": family.base_version.startswith("sd_v2"),
        "ss_base_model_version": family.base_version,
        "ss_sd_model_name": Path(config.model.base).name,
        "ss_sd_model_hash": hashes.short(config.model.base),
        "ss_new_sd_model_hash": None if config.metadata.private else hashes.long(config.model.base),
        "ss_vae_name": Path(config.model.vae).name if config.model.vae else None,
        **_merged(config),
    }


def _convolutions(denoiser: DenoiserLora) -> dict[str, str]:
    """Their size, if they learn. What single blocks have of their own stands in no entry that programs know."""
    if denoiser.layers not in ("all", "any"):
        return {}
    size = of_layer(denoiser.model_copy(update={"blocks": []}), "", (1, 1, 3, 3))
    return {"conv_dim": str(size.rank), "conv_alpha": str(float(size.alpha))} if size.rank else {}


def _merged(config: TrainSettings) -> dict[str, str]:
    """The LoRAs that the base model held besides; sd-scripts has no entries for them, but its arguments' names."""
    rows = config.model.merge
    names, strengths = [Path(row.file).name for row in rows], [row.strength for row in rows]
    said = {"ss_base_weights": json.dumps(names), "ss_base_weights_multiplier": json.dumps(strengths)}
    return said if rows else {}


def _training(config: TrainSettings) -> dict[str, Any]:
    options = f"weight_decay={config.optimizer.weight_decay}"
    if config.optimizer.name not in ("adafactor", "sgd"):
        options += f",betas=({config.optimizer.beta1}, {config.optimizer.beta2})"
    return {
        "ss_optimizer": f"{OPTIMIZERS[config.optimizer.name]}({options})",
        "ss_max_grad_norm": config.optimizer.max_grad_norm,
        "ss_lr_scheduler": SCHEDULES.get(config.schedule.name, config.schedule.name),
        "ss_mixed_precision": config.accelerate.mixed_precision,
        "ss_full_fp16": False,
        "ss_gradient_checkpointing": config.memory.gradient_checkpointing,
        "ss_cache_latents": config.latents_can_be_cached,
        "ss_min_snr_gamma": config.noise.min_snr_gamma,
        "ss_noise_offset": config.noise.noise_offset or None,
        "ss_prior_loss_weight": config.prior.weight,
        "ss_loss_type": "l2",
        "ss_zero_terminal_snr": False,
        "ss_clip_skip": skipped(config),
        "ss_max_token_length": config.captions.length if config.captions.length > tokens.LIMIT else None,
    }


def skipped(config: TrainSettings) -> int | None:
    """As sd-scripts says it: which layer of the text encoder is read, from the last; nothing where it is the last."""
    return config.captions.clip_skip if config.captions.clip_skip > 1 else None


def _data(config: TrainSettings, dataset: Dataset) -> dict[str, Any]:
    settings, captions = config.dataset, config.captions
    repeats = {entry.item: entry.repeats for entry in lay_out(settings, dataset.items)}
    shown = [replace(dataset.items[index], repeats=count) for index, count in repeats.items()]
    return {
        "ss_resolution": f"{settings.resolution},{settings.resolution}",
        "ss_enable_bucket": settings.buckets,
        "ss_bucket_no_upscale": not settings.upscale,
        "ss_min_bucket_reso": settings.bucket_min,
        "ss_max_bucket_reso": settings.bucket_max,
        "ss_bucket_info": json.dumps(stats.bucket_info(shown, settings)),
        "ss_flip_aug": settings.flip,
        "ss_color_aug": settings.colour_jitter > 0,
        "ss_random_crop": settings.crop == "random",
        "ss_shuffle_caption": captions.shuffle,
        "ss_keep_tokens": captions.keep_tokens,
        "ss_caption_dropout_rate": captions.dropout,
        "ss_dataset_dirs": json.dumps(stats.dataset_dirs(dataset.training)),
        "ss_reg_dataset_dirs": json.dumps(stats.dataset_dirs(dataset.regularisation)),
        "ss_tag_frequency": json.dumps(stats.tag_frequency(dataset.items)),
    }


def _modelspec(config: TrainSettings, family: Family) -> dict[str, str]:
    said = config.metadata
    entries = {
        "sai_model_spec": "1.0.1",
        "architecture": family.architecture + ("" if config.all_weights else "/lora"),
        "implementation": "diffusers",
        "title": said.title or config.name,
        "resolution": f"{config.dataset.resolution}x{config.dataset.resolution}",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "prediction_type": "v" if family.prediction_type == "v_prediction" else family.prediction_type,
        "author": said.author,
        "description": said.description,
        "license": said.license,
        "tags": said.tags,
        "trigger_phrase": said.trigger,
        "usage_hint": said.usage_hint,
        "encoder_layer": str(skipped(config) or ""),
    }
    return {f"modelspec.{name}": text for name, text in entries.items() if text}
