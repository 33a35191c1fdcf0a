"""Rules for the optimiser and its schedule: names that we write otherwise, options inside one text, and a warm-up that
is a number of steps there and a share here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from settings.section import settings
from trainer.config import TrainSettings
from trainer.imports.length import total_steps
from trainer.imports.translation import Translation
from trainer.imports.values import number, numbers, pairs, plain, same, shown

CHOICES = {setting.path: setting.choices for setting in settings(TrainSettings) if setting.choices}
# Theirs, letters only -> (ours, what is different).
OPTIMIZERS = {
    "pagedadamw": ("adamw", "not paged"),
    "pagedadamw32bit": ("adamw", "not paged"),
    "pagedadamw8bit": ("adamw8bit", "not paged"),
    "lion8bit": ("lion", "in 32 bits, which costs a LoRA hardly any memory"),
    "pagedlion8bit": ("lion", "in 32 bits, and not paged"),
    "dadaptation": ("dadapt_adam", "which is its default kind"),
    "dadaptadampreprint": ("dadapt_adam", "the published one"),
    "adamwschedulefree": ("schedulefree_adamw", "the same in other words"),
    "prodigyplusschedulefree": ("prodigy", "the nearest: with a schedule"),
    "sgdnesterov": ("sgd", "with Nesterov's momentum"),
    "sgdnesterov8bit": ("sgd", "with Nesterov's momentum, in 32 bits"),
}
SCHEDULES = {
    "constantwithwarmup": ("constant", "a constant rate takes a warm-up here"),
    "cosinewithrestarts": ("cosine_restarts", "the same in other words"),
    "cosinewithminlr": ("cosine", "the share that is left is schedule.minimum"),
    "adafactor": ("constant", "Adafactor's own rates are not used here: the learning rate counts"),
    "piecewiseconstant": ("constant", "the nearest: there are no pieces here"),
}
# What ours does by itself, as their people advise it.
GIVEN = {"decouple": True, "use_bias_correction": True, "safeguard_warmup": True, "scale_parameter": False,
         "relative_step": False, "warmup_init": False, "weight_decouple": True}


def choice(path: str, said: str) -> str:
    """Our choice that is spelled with the same letters; "" if there is none."""
    return next((name for name in CHOICES[path] if letters(name) == letters(said)), "")


def letters(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def named(t: Translation, argument: str, path: str, others: dict[str, tuple[str, str]]) -> str:
    """Puts a choice under its name here. Returns the choice."""
    said = t.text(argument)
    last = said.rpartition(".")[2]
    if not last:
        return ""
    if found := choice(path, last):
        t.put(argument, path, found)
        return found
    found, note = others.get(letters(last), ("", ""))
    if found in CHOICES[path]:
        t.put(argument, path, found, note)
        return found
    t.leave(argument, f"there is no such choice here; {path} stays as it is on the form")
    return ""


def optimizer(t: Translation) -> None:
    """Also as metadata has it, with the options in brackets."""
    said = t.text("optimizer_type")
    name, bracket, inside = said.partition("(")
    if said:
        t.add({"optimizer_type": name})
        if bracket and not t.has("optimizer_args"):
            t.add({"optimizer_args": inside.rstrip(")")})
    ours = named(t, "optimizer_type", "optimizer.name", OPTIMIZERS)
    options(t, pairs(t.take("optimizer_args")))
    if "nesterov" in letters(name) and ours == "sgd" and "optimizer.nesterov" not in t.values:
        t.put("optimizer_type", "optimizer.nesterov", True, "the kind says so")


def options(t: Translation, found: dict[str, Any]) -> None:
    if found:
        t.off("optimizer_args", f"taken apart into {', '.join(found)}")
        t.add({f"optimizer_args {name}": value for name, value in found.items()})
    for name, value in found.items():
        source = f"optimizer_args {name}"
        t.take(source)
        if name == "betas":
            for place, beta in enumerate(numbers(value)[:3], start=1):
                t.put(source, f"optimizer.beta{place}", beta)
        elif meant := [setting.path for setting in t.meant(name, "optimizer.")]:
            t.put(source, meant, plain(value))
        elif name in GIVEN and same(value, GIVEN[name]):
            t.off(source, "always so here")
        else:
            t.leave(source, "the optimiser has no such option here")


def schedule(t: Translation) -> None:
    constant = letters(str(t.look("lr_scheduler") or "")) == "constant"
    named(t, "lr_scheduler", "schedule.name", SCHEDULES)
    share, steps = number(t.take("lr_warmup")), number(t.take("lr_warmup_steps"))
    if constant and (share or steps):
        t.put("lr_warmup_steps" if steps else "lr_warmup", "schedule.warmup", 0.0,
              "there, a constant rate has no warm-up")
    elif steps and t.window:  # in the form, steps win over the share
        in_steps(t, "lr_warmup_steps", "schedule.warmup", steps, 0)
    elif share is not None and t.window:
        note = f"{shown(share)} % of the steps" if share else ""
        t.put("lr_warmup", "schedule.warmup", share / 100, note)
    elif steps is not None:
        in_steps(t, "lr_warmup_steps", "schedule.warmup", steps, 0)
    if (decay := number(t.take("lr_decay_steps"))) and "warmup_stable_decay" in CHOICES["schedule.name"]:
        in_steps(t, "lr_decay_steps", "schedule.decay", decay, t.values.get("schedule.warmup", 0))


def in_steps(t: Translation, name: str, path: str, steps: float, before: float) -> None:
    """Steps, or with a fraction below one a share, as a share of what is left after a share `before`."""
    total = total_steps(t)
    if 0 <= steps < 1:
        share = steps
    elif total is None:
        return t.leave(name, "a share of all steps is set here, and how many there are follows from the pictures")
    else:
        share = min(1.0, steps / total)
    note = f"{shown(steps)} of {total:,} steps, as a share" if steps >= 1 else ""
    return t.put(name, path, round(min(1.0, share / (1 - before)) if before < 1 else 0.0, 6), note)


RULES: list[Callable[[Translation], Any]] = [optimizer, schedule]
