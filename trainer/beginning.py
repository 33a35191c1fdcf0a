"""What is done once before the first step: find the device, load the model, encode, attach the adapters."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import diffusers
import torch
import transformers
from accelerate import PartialState
from torch import nn

from jobs.folder import home
from settings.errors import SettingsError
from trainer import continuing, state
from trainer.base_model.models import fitting
from trainer.base_model.quantise import quantise
from trainer.batches import Batches
from trainer.cache import Captions, Latents, Store
from trainer.config import PartLora, TrainSettings
from trainer.families import families
from trainer.families.base import Family
from trainer.families.words import Reading
from trainer.inversion import new_words
from trainer.lora import file, inject, merging
from trainer.lora.dropping import Dropping
from trainer.lora.keys import LoraError
from trainer.lora.sizes import Size, sizes
from trainer.plan import Plan
from trainer.prior.asked import all_asked
from trainer.report import Report
from trainer.state import State
from trainer.tools.recognise import recognised

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "no": torch.float32}


def where_to_train(config: TrainSettings) -> PartialState:
    """The device of this process, and the other processes if there are any. Raises SettingsError."""
    chosen = config.accelerate
    cpu = chosen.cpu or not torch.accelerator.is_available()
    # While the first process draws samples the others wait for it; the default of ten minutes would end the run.
    place = PartialState(cpu=cpu, timeout=timedelta(hours=12))
    if place.num_processes != chosen.processes:
        fix = (
            f"{place.num_processes} were started: start the job through Loratory, or set this to {place.num_processes}"
        )
        raise SettingsError({"accelerate.processes": fix})
    if chosen.gpu_ids and cpu and not chosen.cpu:
        raise SettingsError(
            {"accelerate.gpu_ids": f"there is no GPU {chosen.gpu_ids} here: leave it empty, or name another"}
        )
    return place


def load_family(config: TrainSettings, report: Report) -> tuple[Family, dict[str, nn.Module]]:
    """The base model, frozen, on the CPU."""
    report.phase("load model", 0, 1)
    diffusers.utils.logging.disable_progress_bar()  # bars that redraw themselves make a log unreadable
    transformers.utils.logging.disable_progress_bar()
    family = families()[config.model.family]()
    typed = config.model
    model = fitting(typed.base, typed.family, typed.trust_pickle, typed.components)
    if config.accelerate.mixed_precision == "bf16" and (advice := better_than_bf16(report.device)):
        report.warning(f"this {report.device.type.upper()} only emulates bf16: {advice}")
    refuse_blind_epsilon(config, model.prediction_type)
    merged = merging.opened(config, family)
    # Where all weights learn they are float32, and so is whatever goes into the checkpoint with them.
    dtype = torch.float32 if config.all_weights else DTYPES[config.accelerate.mixed_precision]
    parts = family.load(model, dtype, config.model.vae)
    merging.merge_all(merged, family, parts, report.warning)
    if "ddpm" in family.traits:
        if config.model.prediction_type != "auto":
            family.prediction_type = config.model.prediction_type
        refuse_blind_epsilon(config, family.prediction_type)
        if config.noise.zero_terminal_snr:
            family.end_in_noise()
    if "clip_words" in family.traits:
        family.reading = Reading.of(config.captions)
    if config.memory.base_precision != "16bit":
        quantise(parts["denoiser"], config.memory.base_precision, dtype)
    if config.memory.text_precision != "16bit":
        for name in encoders(parts).keys() - config.learning_encoders:
            quantise(parts[name], config.memory.text_precision, dtype, "memory.text_precision")
    report.phase("load model", 1, 1)
    return family, parts


def refuse_blind_epsilon(config: TrainSettings, found: str | None) -> None:
    """Where all is noise there is nothing to tell apart: predicting the noise would teach nothing, or worse."""
    said = found if config.model.prediction_type == "auto" else config.model.prediction_type
    if config.noise.zero_terminal_snr and said == "epsilon":
        fix = "this model predicts noise (epsilon); only v-prediction models can end in pure noise: switch it off"
        raise SettingsError({"noise.zero_terminal_snr": fix})


def better_than_bf16(device: torch.device) -> str:
    """What to set instead on a device that has no instruction for bf16; "" on one that has."""
    if device.type == "cpu":
        able = any(has for name, has in torch.cpu.get_capabilities().items() if name.endswith("bf16"))
        return "" if able else "mixed precision = no is several times faster, with more memory"
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return "set mixed precision to fp16"
    return ""


def earlier(folder: Path, config: TrainSettings, planned: Plan, batches: Batches, report: Report) -> State | None:
    """The state to go on from, if there is one. Raises SettingsError, before anything is loaded, where the settings
    have changed so that it would be another run."""
    saved = state.load(folder / "state", report.warning)
    if saved is None:
        return None
    was = saved.position
    steps = was.get("total_steps", planned.total_steps)
    same_pictures = was.get("pictures", batches.seen) == batches.seen
    changed = continuing.another_run(continuing.as_saved(saved.config), config) if saved.config else {}
    if same_pictures and not changed:
        changed = continuing.shorter(steps, planned.total_steps)
    continuing.refuse(changed, continuing.train_on(config, folder))
    if same_pictures and planned.total_steps > steps:
        report.warning(
            f"extended from {steps} to {planned.total_steps} steps: from step {was['step'] + 1} on the learning rate "
            "is that of the longer run"
        )
    if was["steps_per_epoch"] != planned.steps_per_epoch or not same_pictures:
        report.warning(
            "the pictures have changed since this state was saved, or their captions: an epoch had "
            f"{was['steps_per_epoch']} steps and has now {planned.steps_per_epoch}. It goes on, and is not the run "
            "that it would have been"
        )
    return saved


def start_from(source: Path, family: Family, trained: dict[str, nn.Module], report: Report) -> None:
    """Lay the weights of a LoRA file, or of a run's folder, into the adapters. Raises SettingsError if they don't
    fit."""
    try:
        if source.is_dir() and (saved := state.load(source / "state", report.warning)):
            inject.load_state(trained, saved.adapters)
            return
        source = newest_lora(source) if (source / "job.json").exists() else source
        applied = applied_to(trained, file.load(source), family)
    except LoraError as error:
        raise SettingsError({"lora.weights": str(error)}) from error
    if applied.untouched or applied.unused:
        report.warning(
            f"lora.weights: {len(applied.loaded)} layers start from {source.name}; {len(applied.untouched)} that learn "
            f"are not in it and {len(applied.unused)} of it don't learn here"
        )


def applied_to(trained: dict[str, nn.Module], lora: file.LoraFile, family: Family) -> file.Applied:
    """As file.apply; a LoRA that does not fit because it was made for another family is refused by that name."""
    try:
        return file.apply(trained, lora, family.naming)
    except LoraError:
        recognised(lora, family.name)
        raise


def newest_lora(job: Path) -> Path:
    """The last LoRA file of a run that has no state any more."""
    found = [*job.glob("*.safetensors"), *(job / "checkpoints").glob("*.safetensors")]
    if not found:
        raise LoraError(f"nothing is saved in {job} yet")
    return max(found, key=lambda path: path.stat().st_mtime_ns)


def encode(
    config: TrainSettings,
    family: Family,
    parts: dict[str, nn.Module],
    batches: Batches,
    place: PartialState,
    report: Report,
) -> tuple[Latents, Captions]:
    """Pictures and captions as the denoiser takes them: all of them now, where they can be kept, else as they are
    needed."""
    readers = list(encoders(parts).values())
    cache = home() / "cache"
    latents = Latents(family, parts["vae"], Store(cache / "latents") if config.latents_can_be_cached else None)
    captions = Captions(family, readers, Store(cache / "captions") if config.captions_can_be_cached else None)
    mine = batches.distinct()[place.process_index :: place.num_processes]
    held = [sample for samples in batches.unseen.values() for sample in samples]
    parts["vae"].to(place.device)
    if config.latents_can_be_cached:
        latents.encode_all(batches.looks_of(mine) + held, report.counting("cache latents"))
        parts["vae"].to("cpu")
    for reader in readers:
        reader.to(place.device)
    if config.captions_can_be_cached:
        words = batches.wordings | {sample.caption for sample in held}
        words |= {"", config.preview.negative_prompt, *config.preview.prompts, *all_asked(config, batches.wordings)}
        captions.encode_all(
            sorted(words)[place.process_index :: place.num_processes], report.counting("cache captions")
        )
        for reader in readers:
            reader.to("cpu")
    place.wait_for_everyone()
    parts["denoiser"].to(place.device)
    return latents, captions


def encoders(parts: dict[str, nn.Module]) -> dict[str, nn.Module]:
    """The text encoders: whatever is neither denoiser nor VAE."""
    return {name: part for name, part in parts.items() if name not in ("denoiser", "vae")}


def attach(
    config: TrainSettings, family: Family, parts: dict[str, nn.Module]
) -> tuple[dict[str, nn.Module], list[dict]]:
    """LoRA layers on what shall learn, or all weights of the denoiser, and new words: the parts that do, and the
    optimiser's groups with their learning rates."""
    wanted = {"denoiser": (config.lora.denoiser, family.layers | {"any": ".*"})}
    wanted |= {name: (config.lora.text_encoders[name], family.text_layers) for name in family.text_encoders}
    trained, groups = {}, []
    if config.all_weights:
        trained["denoiser"] = parts["denoiser"].requires_grad_(True).train()
        weights = list(parts["denoiser"].parameters())
        groups.append({"params": weights, "lr": config.full.learning_rate, "name": "denoiser"})
    for name, (lora, layers) in wanted.items():
        if not lora.train:
            continue
        pattern = layers if isinstance(layers, str) else layers[lora.layers]
        chosen = sizes(lora, pattern, inject.shapes(parts[name]), f"lora.{name}")
        dropping = Dropping(lora.rank_dropout, lora.module_dropout)
        spec = inject.AdapterSpec(name, chosen, lora.dropout, config.lora.kind, config.lora.factor, dropping)
        inject.inject(parts[name], spec, seed=config.run.seed)
        trained[name] = parts[name].train()
        if config.accelerate.mixed_precision != "no":
            inject.trust_autocast(parts[name])
        groups += of_rates(name, parts[name], lora, chosen)
    groups += new_words.attach(config, family, parts)
    trained |= {name: parts[name].train() for name in family.text_encoders if config.words.new}
    if config.memory.gradient_checkpointing:
        family.checkpoint_gradients()
    return trained, groups


def of_rates(name: str, part: nn.Module, lora: PartLora, chosen: Mapping[str, Size]) -> list[dict]:
    """The optimiser's groups of a part, one for each rate in it: with LoRA+ (Hayou et al., arXiv 2402.12354) B learns
    faster than A, and blocks may have a rate of their own."""
    groups: dict[str, dict] = {}
    for path, layer in inject.layers(part).items():
        for kind, weight in inject.weights(layer).items():
            second = kind == "lora_B.weight" and lora.plus_ratio
            times = chosen[path].rate
            label = name + (" B" if second else "") + (f" x{times:g}" if times != 1 else "")
            rate = lora.learning_rate * times * (lora.plus_ratio if second else 1)
            groups.setdefault(label, {"params": [], "lr": rate, "name": label})["params"].append(weight)
    return list(groups.values())
