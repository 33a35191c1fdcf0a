"""Optimisers by name, and the learning rate as a pure function of the step.

There is no scheduler object: the rate of step n is computed from n, so a resumed run can't be off by one, gradient
accumulation can't stretch the warm-up, and the window can draw the curve without torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from settings.errors import SettingsError

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from trainer.config import OptimizerSettings, ScheduleSettings

_FUSED = {"cpu", "cuda", "mps", "xpu"}


def optimizer(settings: OptimizerSettings, groups: Sequence[dict[str, Any]]) -> Optimizer:
    """The optimiser that `settings` name, over `groups` of {"name": part, "params": [...], "lr": full learning rate}.

    Its state_dict can be read back with torch.load(weights_only=True) and goes on bit for bit. SettingsError when the
    choice can't work here.
    """
    groups = [{**group, "params": list(group["params"]), "base_lr": group["lr"]} for group in groups]
    return _MAKERS[settings.name](settings, groups)


def set_learning_rates(optimizer: Optimizer, multiplier: float) -> None:
    """Set every group to its full learning rate times `multiplier`, which comes from schedule()."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * multiplier


def learning_rates(optimizer: Optimizer) -> dict[str, float]:
    """{group: rate of the last step}. For Prodigy the rate is what it found, times what was set."""
    return {group["name"]: float(group["lr"]) * float(group.get("d", 1.0)) for group in optimizer.param_groups}


def warmup_steps(settings: ScheduleSettings, total_steps: int) -> int:
    """Optimiser steps over which the rate rises; at most all of them."""
    return min(total_steps, round(settings.warmup * total_steps))


def schedule(settings: ScheduleSettings, total_steps: int) -> Callable[[int], float]:
    """step -> share of the full learning rate (0 to 1) for that optimiser step, counted from 0.

    It rises from 0 over the warm-up, then follows the named curve so that `total_steps`, the step after the last, would
    have `minimum`. Beyond the end it stays there.
    """
    warmup = warmup_steps(settings, total_steps)
    curve = _CURVES[settings.name]
    floor = 0.0 if settings.name == "constant" else settings.minimum

    def multiplier(step: int) -> float:
        if step < warmup:
            return step / warmup
        progress = min(1.0, (step - warmup) / max(1, total_steps - warmup))
        return floor + (1.0 - floor) * curve(progress, settings)

    return multiplier


def _restarts(progress: float, settings: ScheduleSettings) -> float:
    if progress >= 1.0:
        return 0.0
    return 0.5 * (1.0 + math.cos(math.pi * (settings.cycles * progress % 1.0)))


# Share of the full rate that is left, at a progress of 0 to 1 after the warm-up.
_CURVES: dict[str, Callable[[float, ScheduleSettings], float]] = {
    "constant": lambda progress, settings: 1.0,
    "linear": lambda progress, settings: 1.0 - progress,
    "cosine": lambda progress, settings: 0.5 * (1.0 + math.cos(math.pi * progress)),
    "cosine_restarts": _restarts,
    "polynomial": lambda progress, settings: (1.0 - progress) ** settings.power,
}


def _adamw(settings: OptimizerSettings, groups: list[dict[str, Any]]) -> Optimizer:
    from torch.optim import AdamW

    # One kernel over hundreds of small tensors instead of several for each.
    fused = all(weight.device.type in _FUSED for group in groups for weight in group["params"])
    return AdamW(groups, betas=(settings.beta1, settings.beta2), weight_decay=settings.weight_decay, fused=fused)


def _adamw8bit(settings: OptimizerSettings, groups: list[dict[str, Any]]) -> Optimizer:
    try:
        from bitsandbytes.optim import AdamW8bit

        _try_one_step(AdamW8bit, groups[0]["params"][0].device)
    except (ImportError, OSError, RuntimeError, NotImplementedError, AttributeError) as error:
        raise SettingsError(
            {
                "optimizer.name": f"AdamW8bit does not work on this machine ({type(error).__name__}: "
                f"{error}); choose adamw, which needs hardly more memory for a LoRA"
            }
        ) from error
    return AdamW8bit(groups, betas=(settings.beta1, settings.beta2), weight_decay=settings.weight_decay)


def _try_one_step(kind: type, device: Any) -> None:
    """bitsandbytes finds out only in a step that it has no kernel for a device; find out before the run."""
    import torch

    weight = torch.nn.Parameter(torch.zeros(4096, device=device))  # the smallest that it keeps in 8 bits
    weight.grad = torch.ones_like(weight)
    kind([weight]).step()


def _adafactor(settings: OptimizerSettings, groups: list[dict[str, Any]]) -> Optimizer:
    # transformers', not torch's: torch's always scales the rate by the size of the weights, which for a LoRA that
    # starts at zero means a thousandth of the learning rate that was asked for.
    from transformers.optimization import Adafactor

    return Adafactor(
        groups, weight_decay=settings.weight_decay, scale_parameter=False, relative_step=False, warmup_init=False
    )


def _prodigy(settings: OptimizerSettings, groups: list[dict[str, Any]]) -> Optimizer:
    from pytorch_optimizer import Prodigy

    if len({group["lr"] for group in groups}) > 1:
        raise SettingsError(
            {
                "lora.text_encoder.learning_rate": "Prodigy finds one step size for everything: set the "
                f"same learning rate as the denoiser's ({groups[0]['lr']:g})"
            }
        )
    # Bias correction and the safeguard (a warm-up must not disturb the estimate of the step size) are what its author
    # advises for diffusion models.
    return Prodigy(
        groups,
        betas=(settings.beta1, settings.beta2),
        weight_decay=settings.weight_decay,
        bias_correction=True,
        safeguard_warmup=True,
    )


def _lion(settings: OptimizerSettings, groups: list[dict[str, Any]]) -> Optimizer:
    from pytorch_optimizer import Lion

    return Lion(groups, betas=(settings.beta1, settings.beta2), weight_decay=settings.weight_decay)


_MAKERS: dict[str, Callable[[OptimizerSettings, list[dict[str, Any]]], Optimizer]] = {
    "adamw": _adamw,
    "adamw8bit": _adamw8bit,
    "adafactor": _adafactor,
    "prodigy": _prodigy,
    "lion": _lion,
}
