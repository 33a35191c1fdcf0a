"""Optimisers by name: for each, how the settings become the arguments of a kept library's class."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from settings.errors import SettingsError

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from trainer.config import OptimizerSettings

_FUSED = {"cpu", "cuda", "mps", "xpu"}
Groups = list[dict[str, Any]]

# What an optimiser keeps for each weight, at most, in numbers of the weight's own size.
STATE = {
    "adamw": 2,
    "adamw8bit": 2,  # small tensors stay in 32 bits
    "paged_adamw8bit": 2,
    "adafactor": 1,
    "prodigy": 4,
    "dadapt_adam": 3,
    "lion": 1,
    "schedulefree_adamw": 2,
    "came": 2,
    "ademamix": 3,
    "sgd": 1,
}
# Where it is far less for tensors as large as a whole model's: 8 bits and their scales; sums of rows and of columns.
STATE_WHOLE = STATE | {"adamw8bit": 0.51, "paged_adamw8bit": 0.51, "adafactor": 0.54}


def state_of(name: str, whole: bool) -> float:
    """Numbers that it keeps for each weight of a LoRA, or of a whole model."""
    return (STATE_WHOLE if whole else STATE)[name]


def optimizer(settings: OptimizerSettings, groups: Sequence[dict[str, Any]]) -> Optimizer:
    """The optimiser that `settings` name, over `groups` of {"name": part, "params": [...], "lr": full learning rate}.

    Its state_dict can be read back with torch.load(weights_only=True) and goes on bit for bit. SettingsError when the
    choice can't work here.
    """
    groups = [{**group, "params": list(group["params"]), "base_lr": group["lr"]} for group in groups]
    if settings.finds_its_rate and len({group["lr"] for group in groups}) > 1:
        fix = f"{settings.name} finds one step size for everything: set the same everywhere ({groups[0]['lr']:g})"
        raise SettingsError({"lora.text_encoder.learning_rate": fix})
    return _MAKERS[settings.name](settings, groups)


def set_learning_rates(optimizer: Optimizer, multiplier: float) -> None:
    """Set every group to its full learning rate times `multiplier`, which comes from trainer.schedule; one whose
    weights don't learn any more has none."""
    for group in optimizer.param_groups:
        learns = any(weight.requires_grad for weight in group["params"])
        group["lr"] = group["base_lr"] * multiplier * learns


def learning_rates(optimizer: Optimizer) -> dict[str, float]:
    """{group: rate of the last step}. Where the optimiser finds its step size, it is that, times what was set."""
    return {group["name"]: float(group["lr"]) * float(group.get("d", 1.0)) for group in optimizer.param_groups}


def restore(optimizer: Optimizer, saved: dict[str, Any]) -> None:
    """Go on from a state_dict. torch moves what is kept for each weight to its device, but not what some optimisers
    keep for a whole group."""
    optimizer.load_state_dict(saved)
    for group in optimizer.param_groups:
        for name, value in group.items():
            if hasattr(value, "device"):
                group[name] = value.to(group["params"][0].device)


@contextmanager
def as_used(optimizer: Optimizer) -> Iterator[None]:
    """Inside, the weights are those that are to be saved and drawn with. Schedule-free optimisers train at one point
    and answer with another (Defazio et al., arXiv 2405.15682); going there and back again would round, so the weights
    are put back as they were."""
    if not hasattr(optimizer, "eval"):
        yield
        return
    before = [(weight, weight.detach().clone()) for group in optimizer.param_groups for weight in group["params"]]
    optimizer.eval()
    try:
        yield
    finally:
        optimizer.train()
        for weight, values in before:
            weight.data.copy_(values)


def _adamw(settings: OptimizerSettings, groups: Groups) -> Optimizer:
    from torch.optim import AdamW

    # One kernel over hundreds of small tensors instead of several for each.
    fused = all(weight.device.type in _FUSED for group in groups for weight in group["params"])
    return AdamW(groups, fused=fused, **_adam(settings))


def _adamw8bit(settings: OptimizerSettings, groups: Groups) -> Optimizer:
    name = "PagedAdamW8bit" if settings.name == "paged_adamw8bit" else "AdamW8bit"
    try:
        import bitsandbytes

        kind = getattr(bitsandbytes.optim, name)
        _try_one_step(kind, groups[0]["params"][0].device)
    except (ImportError, OSError, RuntimeError, NotImplementedError, AttributeError) as error:
        raise SettingsError(
            {
                "optimizer.name": f"{name} does not work on this machine ({type(error).__name__}: "
                f"{error}); choose adamw, which needs hardly more memory for a LoRA"
            }
        ) from error
    return kind(groups, **_adam(settings))


def _try_one_step(kind: type, device: Any) -> None:
    """bitsandbytes finds out only in a step that it has no kernel for a device; find out before the run."""
    import torch

    weight = torch.nn.Parameter(torch.zeros(4096, device=device))  # the smallest that it keeps in 8 bits
    weight.grad = torch.ones_like(weight)
    kind([weight]).step()


def _adafactor(settings: OptimizerSettings, groups: Groups) -> Optimizer:
    # transformers', not torch's: torch's always scales the rate by the size of the weights, which for a LoRA that
    # starts at zero means a thousandth of the learning rate that was asked for.
    from transformers.optimization import Adafactor

    return Adafactor(
        groups,
        weight_decay=settings.weight_decay,
        clip_threshold=settings.clip_threshold,
        scale_parameter=False,
        relative_step=False,
        warmup_init=False,
    )


def _prodigy(settings: OptimizerSettings, groups: Groups) -> Optimizer:
    from pytorch_optimizer import Prodigy

    # Bias correction and the safeguard (a warm-up must not disturb the estimate of the step size) are what its author
    # advises for diffusion models.
    return Prodigy(
        groups,
        d0=settings.d0,
        d_coef=settings.d_coef,
        growth_rate=settings.growth_rate or float("inf"),
        bias_correction=True,
        safeguard_warmup=True,
        **_adam(settings),
    )


def _dadapt_adam(settings: OptimizerSettings, groups: Groups) -> Optimizer:
    from pytorch_optimizer import DAdaptAdam

    growth = settings.growth_rate or float("inf")
    return DAdaptAdam(groups, d0=settings.d0, growth_rate=growth, weight_decouple=True, **_adam(settings))


def _lion(settings: OptimizerSettings, groups: Groups) -> Optimizer:
    from pytorch_optimizer import Lion

    return Lion(groups, betas=(settings.beta1, settings.beta2), weight_decay=settings.weight_decay)


def _schedulefree_adamw(settings: OptimizerSettings, groups: Groups) -> Optimizer:
    from pytorch_optimizer import ScheduleFreeAdamW

    return ScheduleFreeAdamW(groups, **_adam(settings))


def _came(settings: OptimizerSettings, groups: Groups) -> Optimizer:
    from pytorch_optimizer import CAME

    betas = (settings.beta1, settings.beta2, settings.beta3)
    return CAME(groups, betas=betas, weight_decay=settings.weight_decay, clip_threshold=settings.clip_threshold)


def _ademamix(settings: OptimizerSettings, groups: Groups) -> Optimizer:
    from pytorch_optimizer import AdEMAMix

    betas = (settings.beta1, settings.beta2, settings.beta3)
    return AdEMAMix(groups, alpha=settings.slow_weight, weight_decouple=True, **_adam(settings) | {"betas": betas})


def _sgd(settings: OptimizerSettings, groups: Groups) -> Optimizer:
    from torch.optim import SGD

    momentum, decay = settings.momentum, settings.weight_decay
    return SGD(groups, momentum=momentum, weight_decay=decay, nesterov=settings.nesterov and momentum > 0)


def _adam(settings: OptimizerSettings) -> dict[str, Any]:
    """What all of Adam's kin take."""
    betas = (settings.beta1, settings.beta2)
    return {"betas": betas, "eps": settings.eps, "weight_decay": settings.weight_decay}


_MAKERS: dict[str, Callable[[OptimizerSettings, Groups], Optimizer]] = {
    "adamw": _adamw,
    "adamw8bit": _adamw8bit,
    "paged_adamw8bit": _adamw8bit,
    "adafactor": _adafactor,
    "prodigy": _prodigy,
    "dadapt_adam": _dadapt_adam,
    "lion": _lion,
    "schedulefree_adamw": _schedulefree_adamw,
    "came": _came,
    "ademamix": _ademamix,
    "sgd": _sgd,
}
