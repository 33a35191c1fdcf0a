"""What the training form draws beside its fields while one types: the learning rate over the run, and how often each
share of noise is trained. Both come from the trainer's own formulas, and of no field but those that they depend on."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import NormalDist, fmean
from typing import Any

from settings.errors import SettingsError, parse
from trainer.base_model.models import BaseModel, ModelError, find
from trainer.config import NoiseSettings, TrainSettings
from trainer.config.lora import DenoiserLora, PartLora
from trainer.families import families
from trainer.families.base import Family
from trainer.loss import shares
from trainer.schedule import schedule

POINTS = 240  # of a curve
BINS = 100  # of the timesteps
DRAWS = 1000  # evenly spread ones, for the density of what would be drawn by chance
HUBER = ("huber", "smooth_l1")
MOSTLY = 0.7  # of what is learnt
WITHOUT = "Its own shift to the noisy end comes with the model's files, which are not here: drawn without it."

Sketch = dict[str, Any]


def sketches(values: dict[str, Any], steps: int | None) -> dict[str, Sketch | None]:
    """By name, for these values (nested, complete, unchecked); None where a value that it needs is wrong. `steps`: of
    the plan, if there is one."""
    return {"rate": rate(values, steps), "noise": noise(values)}


def rate(values: dict[str, Any], steps: int | None) -> Sketch | None:
    """A curve for each part that learns at a rate of its own."""
    config = some(values, "model", "lora", "full", "words", "optimizer", "schedule")
    learning = by_rate(config) if config else {}
    if config is None or not learning:
        return None
    total = steps or 100
    height = schedule(config.schedule, total)
    at = sorted(set(places(config, total)))
    shape = [height(step - 1) for step in at]  # step 1 is the one that begins with nothing done
    top = max(range(len(at)), key=shape.__getitem__)
    curves = [{"name": name, "steps": at, "mean": [full * share for share in shape]} for full, name in learning.items()]
    peaks = " and ".join(f"{short(full * shape[top])}{f' ({name})' if len(learning) > 1 else ''}"
                         for full, name in learning.items())
    unit = f"step {at[top]:,} of {total:,}" if steps else f"{at[top]} % of the run"
    left = f"{shape[-1] / shape[top]:.0%}" if shape[-1] > 0.005 * shape[top] else "hardly anything"
    said = [f"Highest {peaks} at {unit}; at the last step {left} of it is left."]
    said += [f"{config.optimizer.name} finds the step size; this only multiplies it."] * config.optimizer.finds_its_rate
    return {"curves": curves, "end": total, "unit": "step" if steps else "%", "said": " ".join(said)}


def short(figure: float) -> str:
    """1e-4, not 1e-04."""
    return f"{figure:.3g}".replace("e-0", "e-")


def by_rate(config: TrainSettings) -> dict[float, str]:
    """{full learning rate: what learns at it}."""
    rates = [(config.full.learning_rate, "denoiser")] * config.all_weights
    for name, part in {"denoiser": config.lora.denoiser, **config.text_encoders}.items():
        rates += of_part(name, part) if part.train else []
    rates += [(word.learning_rate, word.word) for word in config.words.new]
    found: dict[float, list[str]] = {}
    for rate, name in rates:
        found.setdefault(rate, []).append(name.replace("_", " "))
    return {rate: " and ".join(dict.fromkeys(names)) for rate, names in found.items()}


def of_part(name: str, part: PartLora) -> list[tuple[float, str]]:
    """Its own rate, that of blocks which have another, and that of second matrices with LoRA+."""
    blocks = part.blocks if isinstance(part, DenoiserLora) else []
    times = dict.fromkeys([1.0, *(block.rate for block in blocks if block.rank != 0)])
    seconds = {"": 1.0} | ({" B": part.plus_ratio} if part.plus_ratio else {})
    return [(part.learning_rate * often * ratio, name + second + (f" x{often:g}" if often != 1 else ""))
            for often in times for second, ratio in seconds.items()]


def places(config: TrainSettings, total: int) -> Iterator[int]:
    """Steps at which a curve is known well: evenly, and on both sides of where it turns."""
    warmup = round(config.schedule.warmup * total)
    cycles = config.schedule.cycles if config.schedule.name == "cosine_restarts" else 1
    turns = [warmup + n * (total - warmup) // cycles for n in range(cycles + 1)]
    yield from (1 + n * (total - 1) // POINTS for n in range(POINTS + 1))
    yield from (step for turn in turns for step in (turn, turn + 1, turn + 2) if 1 <= step <= total)


def noise(values: dict[str, Any]) -> Sketch | None:
    """How often each timestep is trained, 1 being evenly; and the same times what its errors count."""
    config = some(values, "model", "dataset", "noise", "prior")
    family = families().get(config.model.family) if config else None
    if config is None or family is None:
        return None
    try:
        model = find(config.model.base, config.model.trust_pickle)
    except (ModelError, OSError, ValueError):
        model = BaseModel(config.model.base, "hub")
    try:
        seen, said = (flow if "flow" in family.traits else ddpm)(config, family, model)
    except (ValueError, KeyError, TypeError):  # a sampler's config that is none: the plan says so
        return None
    found = [(what, one.name, curve) for one in seen for what, curve in one.curves(config.noise)]
    at = [1000 * (n + 0.5) / BINS for n in range(BINS)]
    curves = [{"name": ", ".join(filter(None, (what, name))) if len(found) > 1 else "", "steps": at, "mean": curve}
              for what, name, curve in found]
    words = [in_words(fmean(one.noisy(config.noise) for one in seen)), said, *besides(config)]
    return {"curves": curves, "end": 1000, "unit": "timestep", "said": " ".join(filter(None, words))}


@dataclass(frozen=True)
class Emphasis:
    """By bin of the timesteps: how often, the same times what its errors count, and noise over signal. `name`: of what,
    where there are several."""

    often: list[float]
    counted: list[float]
    ratio: list[float]
    name: str = ""

    def curves(self, noise: NoiseSettings) -> Iterator[tuple[str, list[float]]]:
        small = self.small(noise)
        yield "how often", self.often
        if any(abs(one - other) > 1e-9 for one, other in zip(self.often, small)):
            yield "times what it counts", small
        if noise.loss in HUBER:
            pulls = (width / math.hypot(1, width) for width in self.widths(noise))
            yield "times what an outlier counts", [weight * pull for weight, pull in zip(small, pulls)]

    def small(self, noise: NoiseSettings) -> list[float]:
        """What errors count that are small beside Huber's width; smooth L1 divides all by it."""
        if noise.loss != "smooth_l1":
            return self.counted
        found = [weight / width for weight, width in zip(self.counted, self.widths(noise))]
        return [weight * BINS / (sum(found) or 1) for weight in found]

    def widths(self, noise: NoiseSettings) -> list[float]:
        return [shares.huber_width(noise, (n + 0.5) / BINS, ratio) for n, ratio in enumerate(self.ratio)]

    def noisy(self, noise: NoiseSettings) -> float:
        """The share of what is learnt where there is more noise than picture."""
        small = self.small(noise)
        return sum(weight for weight, ratio in zip(small, self.ratio) if ratio > 1) / (sum(small) or 1)


def besides(config: TrainSettings) -> Iterator[str]:
    """What else decides how much something counts, and at every timestep alike."""
    data, prior = config.dataset, config.prior
    if config.noise.loss in HUBER:
        yield "An outlier is an error as large as the noise itself."
    elif config.noise.loss == "l1":
        yield "Errors pull alike, however large they are (L1)."
    if data.masked_loss != "off":
        yield f"What masks hide counts {data.unmasked_weight:.0%} of what they show."
    if prior.kind != "off" and prior.weight != 1:
        yield f"What is preserved counts {prior.weight:g} times as much as your pictures."


def ddpm(config: TrainSettings, family: type[Family], model: BaseModel) -> tuple[list[Emphasis], str]:
    said = model.configs.get("scheduler") or family.configs["scheduler"]  # type: ignore[attr-defined]
    said = {**said, "rescale_betas_zero_snr": config.noise.zero_terminal_snr or said.get("rescale_betas_zero_snr")}
    alphas = shares.alphas_cumprod(said)
    kind = config.model.prediction_type
    kind = kind if kind != "auto" else model.prediction_type or str(said.get("prediction_type", "epsilon"))
    first, end = config.noise.timesteps_of(len(alphas))
    weights = [shares.weight(alpha, kind, config.noise) for alpha in alphas[first:end]]
    mean = sum(weights) / len(weights) or 1.0
    often, counted = [0.0] * BINS, [0.0] * BINS
    for timestep, weight in enumerate(weights, first):
        place, one = timestep * BINS // len(alphas), BINS / len(weights)
        often[place] += one
        counted[place] += one * weight / mean
    middles = [alphas[int((n + 0.5) / BINS * len(alphas))] for n in range(BINS)]
    ratio = [math.sqrt((1 - alpha) / alpha) if alpha else math.inf for alpha in middles]
    return [Emphasis(often, counted, ratio)], ""


def flow(config: TrainSettings, family: type[Family], model: BaseModel) -> tuple[list[Emphasis], str]:
    """One for each resolution, where the model's own shift grows with it."""
    drawn = [(n + 0.5) / DRAWS for n in range(DRAWS)]
    if config.noise.timesteps == "logit_normal":
        drawn = [NormalDist().inv_cdf(even) for even in drawn]
    if config.noise.shift is not None:
        return [shifted(drawn, config.noise.shift, config.noise)], ""
    if not (shifts := shifts_of(config, family, model)):
        return [shifted(drawn, 1.0, config.noise)], WITHOUT
    each = ", ".join(f"{shift:.3g} times at {side} px" for side, shift in shifts.items())
    said = f"Shifted to the noisy end as the model's sampler is: {each}."
    alike: dict[float, list[str]] = {}
    for side, shift in shifts.items():
        alike.setdefault(shift, []).append(str(side))
    return [shifted(drawn, shift, config.noise, f"{' and '.join(sides)} px" if len(alike) > 1 else "")
            for shift, sides in alike.items()], said


def shifts_of(config: TrainSettings, family: type[Family], model: BaseModel) -> dict[int, float]:
    """{resolution: the model's own shift at it}; {} where its files are not here."""
    own: Mapping[str, Any] = model.configs.get("scheduler", {})
    return {side: family.shift_of(own, (side / family.side_step(model)) ** 2)  # type: ignore[attr-defined]
            for side in config.dataset.sides} if own else {}


def shifted(drawn: list[float], shift: float, noise: NoiseSettings, name: str = "") -> Emphasis:
    found = [shares.shifted(shares.share_of_noise(one, noise), shift, noise) for one in drawn]
    below = [share_below(found, n / BINS) for n in range(BINS + 1)]
    often = [BINS * (after - before) for before, after in zip(below, below[1:])]
    return Emphasis(often, often, [(n + 0.5) / (BINS - n - 0.5) for n in range(BINS)], name)


def share_below(found: list[float], place: float) -> float:
    """How much of what was found, which rises, is below a place: between two of them in proportion."""
    n = bisect_left(found, place)
    if n in (0, len(found)):
        return n / len(found)
    before, after = found[n - 1], found[n]
    return (n - 0.5 + (place - before) / (after - before)) / len(found) if after > before else n / len(found)


def in_words(noisy: float) -> str:
    lean = "Mostly composition" if noisy > MOSTLY else "Mostly detail" if noisy < 1 - MOSTLY else "Some of both"
    return (f"{lean}: {noisy:.0%} is learnt where there is more noise than picture, which is composition and shapes; "
            f"{1 - noisy:.0%} where there is more picture, which is details.")


def some(values: dict[str, Any], *sections: str) -> TrainSettings | None:
    """Settings of which only these sections are as typed; None if one of them is wrong."""
    try:
        return parse(TrainSettings, {name: values[name] for name in sections if name in values})
    except SettingsError:
        return None
