"""What the training form says and does about its base model: it tells what was found, follows its family, and offers
what that family is made for. It changes nothing of itself but the family."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from settings.flags import flat
from settings.paths import located
from trainer.base_model.detect import detect
from trainer.config import TrainSettings
from trainer.families import families
from trainer.families.base import Family

BASE, FAMILY = "model.base", "model.family"
DEFAULTS = flat(TrainSettings().model_dump(mode="json"))
WITH_THE_BASE = (BASE, "model.vae", "model.prediction_type", "model.trust_pickle")


def about(values: dict[str, Any]) -> dict[str, Any]:
    """What stands below the base model's field, for these complete values (nested, unchecked)."""
    now = DEFAULTS | flat(values)
    found = detect(str(now[BASE] or ""), str(now[FAMILY]), bool(now["model.trust_pickle"]))
    return asdict(found) | {"offers": offers(now, found.family)}


def offers(now: dict[str, Any], found: str) -> list[dict[str, Any]]:
    """Values that the model is made for, where the form has others: {text, button, values by path}."""
    known = families()
    if found and found != now[FAMILY]:
        label = known[found].label
        return [{"text": f"The form is set for {label_of(now[FAMILY])}.", "button": f"Use {label}",
                 "values": {FAMILY: found}}]
    family = known.get(str(now[FAMILY]))
    return list(usual(now, family)) if family and found else []


def usual(now: dict[str, Any], family: type[Family]) -> Iterator[dict[str, Any]]:
    """Its resolution and its step between sizes."""
    if now["dataset.resolution"] != family.resolution:
        yield {"text": f"{family.label} is made for {family.resolution} px; the form says {now['dataset.resolution']}.",
               "button": f"Use {family.resolution} px", "values": {"dataset.resolution": family.resolution}}
    if now["dataset.buckets"] and now["dataset.bucket_step"] != family.bucket_step:
        yield {"text": f"Its sizes usually go in steps of {family.bucket_step} px; the form says "
                       f"{now['dataset.bucket_step']}.",
               "button": f"Use {family.bucket_step}", "values": {"dataset.bucket_step": family.bucket_step}}


def label_of(name: Any) -> str:
    family = families().get(str(name))
    return family.label if family else str(name)


def followed(before: dict[str, Any], now: dict[str, Any]) -> str:
    """The family to turn to: another base model was chosen, and it is of another family. "" to stay."""
    was, typed = DEFAULTS | flat(before), DEFAULTS | flat(now)
    if was[BASE] == typed[BASE] or was[FAMILY] != typed[FAMILY]:
        return ""
    found = detect(str(typed[BASE] or ""), str(typed[FAMILY]), bool(typed["model.trust_pickle"])).family
    return found if found != typed[FAMILY] else ""


def kept(draft: dict[str, Any], preset: dict[str, Any]) -> dict[str, Any]:
    """What of the base model that was chosen stays when a preset (values by path) is loaded: all of it, if it is of the
    preset's family and the preset does not name a model on this machine, as the toy world's does."""
    now, wanted = flat(draft), preset.get(FAMILY, DEFAULTS[FAMILY])
    if BASE not in now or located(str(preset.get(BASE, ""))):
        return {}
    found = detect(str(now[BASE]), str(wanted), bool(now.get("model.trust_pickle")))
    same = not found.family and not found.problem and now.get(FAMILY) == wanted
    return {path: now[path] for path in WITH_THE_BASE if path in now} if found.family == wanted or same else {}
