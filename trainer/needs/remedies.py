"""What to change when a run has not enough memory: the cheapest changes first, each with what it saves for this run.

Each is a few settings, so that the window can lay it onto the form. Whether it helps is the difference of two estimates
(`memory.py`), so what would change nothing is never offered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from settings.coerce import over
from settings.errors import SettingsError, check
from settings.flags import nested
from trainer.config import TrainSettings
from trainer.config.kinds import NEED_WEIGHTS
from trainer.needs import memory

if TYPE_CHECKING:
    from trainer.needs.memory import Moment

FEW = 3
WORTH = 0.05  # GB; less is not worth a word
SIDES = (1536, 1280, 1024, 896, 768, 640, 512, 448, 384, 320, 256)


@dataclass(frozen=True)
class Remedy:
    """`says` what to do and what it `costs`; `saves_gb` is None where the model's size is not known."""

    says: str
    costs: str
    settings: dict[str, Any]
    saves_gb: float | None = None

    @property
    def sentence(self) -> str:
        saves = f"saves about {self.saves_gb:.1f} GB, " if self.saves_gb is not None else ""
        return f"{self.says} ({saves}{self.costs})"


def remedies(config: TrainSettings, lacking: float | None = None, moment: str = "") -> list[Remedy]:
    """The three cheapest, or as many more as it takes to save `lacking` GB. `moment`: of `memory.moments`, the one that
    had too little; the greatest if it is not known."""
    found = [with_saving(config, remedy, moment) for remedy in candidates(config)]
    found = [remedy for remedy in found if remedy and (remedy.saves_gb is None or remedy.saves_gb >= WORTH)]
    count = FEW
    if lacking is not None and together(config, [], moment) is not None:
        while count < len(found) and together(config, found[:count], moment) < lacking:
            count += 1
    return found[:count]


def together(config: TrainSettings, chosen: Sequence[Remedy], moment: str = "") -> float | None:
    """GB that all of these save at once, which is less than their sum. None where the model's size is not known."""
    for_all = config
    for remedy in chosen:
        for_all = changed(for_all, remedy.settings) or for_all
    before, after = (needed(one, moment) for one in (config, for_all))
    return before.total - after.total if before and after else None


def needed(config: TrainSettings, moment: str = "") -> Moment | None:
    return memory.moments(config).get(moment) or memory.peak(config)


def with_saving(config: TrainSettings, remedy: Remedy, moment: str) -> Remedy | None:
    """None if other settings forbid it."""
    if changed(config, remedy.settings) is None:
        return None
    return Remedy(remedy.says, remedy.costs, remedy.settings, together(config, [remedy], moment))


def changed(config: TrainSettings, settings: dict[str, Any]) -> TrainSettings | None:
    try:
        return check(TrainSettings, over(config.model_dump(), nested(settings)))
    except SettingsError:
        return None


def candidates(config: TrainSettings) -> Iterator[Remedy]:
    """Everything that these settings still leave to do, what costs least first."""
    kept, run, cpu = config.memory, config.run, config.accelerate.cpu
    if not kept.cache_latents:
        yield Remedy("cache latents", "and is faster", {"memory.cache_latents": True})
    elif not config.latents_can_be_cached:
        costs = "and is faster, and a picture looks one of eight ways"
        yield Remedy("eight cached variants of each picture", costs, {"dataset.variants": 8})
    if not kept.cache_captions:
        yield Remedy("cache captions", "and is faster", {"memory.cache_captions": True})
    if config.accelerate.mixed_precision == "no" and not cpu:
        yield Remedy("mixed precision bf16", "and is faster", {"accelerate.mixed_precision": "bf16"})
    if run.batch_size > 1:
        at_once = run.batch_size * run.gradient_accumulation
        smaller = {"run.batch_size": 1, "run.gradient_accumulation": at_once}
        yield Remedy(f"batch size 1 with gradient accumulation {at_once}", "learns the same, a little slower", smaller)
    if config.preview.prompts:
        yield from smaller_samples(config)
    if config.prior.draws:
        costs = "nothing is drawn first; steps take longer"
        yield Remedy("the model's own answer in place of class images", costs, {"prior.kind": "model"})
    if not kept.gradient_checkpointing:
        costs = "learns the same, about a third slower"
        yield Remedy("gradient checkpointing", costs, {"memory.gradient_checkpointing": True})
    if config.accelerate.mixed_precision == "no" and cpu:
        costs = "much slower on a processor without bf16"
        yield Remedy("mixed precision bf16", costs, {"accelerate.mixed_precision": "bf16"})
    if not cpu:
        yield from fewer_bits(config)
    yield from less_to_learn(config)
    if smaller := next((side for side in SIDES if side < config.dataset.resolution), None):
        yield Remedy(f"resolution {smaller}", "finer detail is lost", {"dataset.resolution": smaller})


def fewer_bits(config: TrainSettings) -> Iterator[Remedy]:
    known = {"16bit": ("8", "4"), "8bit": ("4",), "4bit": ()}[config.memory.base_precision]
    for bits in known if config.lora.kind not in NEED_WEIGHTS else ():
        costs = f"slower, and {'hardly' if bits == '8' else 'a little'} less exact"
        yield Remedy(f"base model in {bits} bits", costs, {"memory.base_precision": f"{bits}bit"})
    if config.memory.text_precision == "16bit":
        costs = "captions are read a little less exactly"
        yield Remedy("text encoders in 8 bits", costs, {"memory.text_precision": "8bit"})


def smaller_samples(config: TrainSettings) -> Iterator[Remedy]:
    preview, side = config.preview, config.dataset.resolution
    half = {
        "preview.width": (preview.width or side) // 16 * 8,
        "preview.height": (preview.height or side) // 16 * 8,
    }
    costs = "training stays the same"
    yield Remedy("samples of half the size", costs, half)
    yield Remedy("no samples while it trains", costs, {"preview.prompts": []})


def less_to_learn(config: TrainSettings) -> Iterator[Remedy]:
    if config.all_weights:
        yield from less_for_all_weights(config)
    lora = config.lora
    learning = {f"lora.{name}.train": False for name in memory.learning_encoders(config)}
    if learning and lora.denoiser.train:
        yield Remedy("leave the text encoder untrained", "a new word takes longer to take hold", learning)
    if lora.denoiser.train and lora.denoiser.rank >= 8:
        rank = lora.denoiser.rank // 2
        half = {"lora.denoiser.rank": rank, "lora.denoiser.alpha": lora.denoiser.alpha * rank / lora.denoiser.rank}
        yield Remedy(f"rank {rank}", "holds less detail", half)
    fewer = {"all": "attention+ff", "attention+ff": "attention"}.get(lora.denoiser.layers)
    if fewer and lora.denoiser.train:
        yield Remedy(f"layers {fewer}", "holds less detail", {"lora.denoiser.layers": fewer})


def less_for_all_weights(config: TrainSettings) -> Iterator[Remedy]:
    if config.optimizer.ema_decay:
        yield Remedy("no moving average", "the last steps count more", {"optimizer.ema_decay": None})
    if config.optimizer.name == "adamw":
        if not config.accelerate.cpu:
            yield Remedy("adamw8bit", "learns nearly the same", {"optimizer.name": "adamw8bit"})
        yield Remedy("adafactor", "learns a little otherwise", {"optimizer.name": "adafactor"})
    yield Remedy("a LoRA instead", "holds less", {"full.train": False, "lora.denoiser.train": True})
