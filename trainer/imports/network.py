"""Rules for what learns, how large it is and how fast: there one rank for all and zeros as switches, here a rank, a
rate and a switch for each part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trainer.imports import flux, layers
from trainer.imports.translation import Translation
from trainer.imports.values import is_off, number, numbers, pairs

ALGORITHMS = {"lora": "lora", "locon": "lora", "loha": "loha", "lokr": "lokr", "diag-oft": "oft"}
SWITCH = "whether a part learns is a switch of its own here"


def arguments(t: Translation) -> None:
    """`network_args` are arguments of their own, written as one text; those on the pile already are the form's."""
    found = pairs(t.take("network_args"))
    if found:
        t.add(found)
        t.off("network_args", f"taken apart into {', '.join(found)}")


def kind(t: Translation) -> None:
    """LyCORIS's algorithm, and what goes with one of them alone."""
    if (algorithm := t.text("algo")) in ALGORITHMS:
        t.put("algo", "lora.kind", ALGORITHMS[algorithm], "the kind of adapter")
    elif algorithm:
        t.leave("algo", "this kind of adapter is not trained here")
    chosen, decomposed, factor = t.values.get("lora.kind", "lora"), t.take("dora_wd"), number(t.take("factor"))
    if str(decomposed).lower() in ("true", "1"):
        if chosen == "lora":
            t.put("dora_wd", "lora.kind", "dora", "with a length for each column (LyCORIS's wd_on_output = False)")
        else:
            t.leave("dora_wd", f"weights are decomposed with LoRA only, not with {chosen}")
    if factor and factor > 0 and chosen == "lokr":
        t.put("factor", "lora.factor", int(factor))
    elif factor:
        t.off("factor", "-1 is as square as can be, and only LoKr has one")


def dropped_ranks(t: Translation) -> None:
    """LyCORIS's LoHa and LoKr leave out outputs of an update under this name."""
    if t.values.get("lora.kind") in ("loha", "lokr") and (share := number(t.take("rank_dropout"))):
        paths = [f"lora.{part}.rank_dropout" for part in ("denoiser", *t.family.text_encoders)]
        t.put("rank_dropout", paths, share, "there outputs are left out, here ranks")


def size(t: Translation) -> None:
    """The rank and alpha of every part that can learn. An alpha of nothing or zero is one equal to the rank."""
    rank, alpha = t.take("network_dim"), t.take("network_alpha")
    parts = ["denoiser", *t.family.text_encoders]
    if rank is not None:
        t.put("network_dim", [f"lora.{part}.rank" for part in parts], rank)
    if alpha is not None:
        note = "0 meant equal to the rank" if not alpha else ""
        t.put("network_alpha", [f"lora.{part}.alpha" for part in parts], alpha or rank or 4, note)


def switches(t: Translation) -> None:
    """Which parts learn. A rate of zero switches a part off, in the form by a flag; there, both zero are none."""
    if t.values.get("full.train") or t.values.get("words.new"):
        return  # no LoRA
    only_unet, only_text = t.take("network_train_unet_only"), t.take("network_train_text_encoder_only")
    unet, text = t.take("unet_lr"), text_rates(t)
    both_zero = t.window and unet is not None and is_off(unet) and bool(text) and not any(text)
    if both_zero:
        unet, text = None, []
    learns = {"denoiser": not only_text and not (unet is not None and is_off(unet))}
    cached = t.look("cache_text_encoder_outputs") is True
    held = only_unet or (cached and "ddpm" in t.family.traits)
    for place, name in enumerate(t.family.text_encoders):
        rate = text[min(place, len(text) - 1)] if text else None
        learns[name] = not held and (rate is None or rate > 0)
    if not learns["denoiser"]:
        t.put("network_train_text_encoder_only" if only_text else "unet_lr", "lora.denoiser.train", False, SWITCH)
    flag = "network_train_unet_only" if only_unet else "cache_text_encoder_outputs" if held else "text_encoder_lr"
    note = SWITCH if flag in t else "there it learns unless told otherwise"
    for name in t.family.text_encoders:
        t.put(flag, f"lora.{name}.train", learns[name], note)
    rates(t, unet, text, learns)


def text_rates(t: Translation) -> list[float]:
    """One rate for each text encoder, as far as they are said; the DreamBooth form has a field for each."""
    one, two = number(t.take("learning_rate_te1")), number(t.take("learning_rate_te2"))
    single = t.take("learning_rate_te")
    found = numbers(t.take("text_encoder_lr"))
    return found or numbers(single) or [rate for rate in (one, two) if rate is not None]


def rates(t: Translation, unet: Any, text: list[float], learns: dict[str, bool]) -> None:
    """Each part's own rate; what has none has `learning_rate`."""
    common = number(t.take("learning_rate"))
    texts = any(learns[name] for name in t.family.text_encoders)
    used = (unet is None and learns["denoiser"]) or (not text and texts)
    drawing = number(unet) if unet is not None else common
    said = {}
    if learns["denoiser"] and drawing:
        said["denoiser"] = drawing
        t.put("learning_rate" if unet is None else "unet_lr", "lora.denoiser.learning_rate", drawing)
    for place, name in enumerate(t.family.text_encoders):
        rate = text[min(place, len(text) - 1)] if text else common
        if learns[name] and rate:
            said[name] = rate
            t.put("text_encoder_lr" if text else "learning_rate", f"lora.{name}.learning_rate", rate)
    if common is not None and not used:
        t.off("learning_rate", "each part has its own")
    one_rate(t, said)


def one_rate(t: Translation, said: dict[str, float]) -> None:
    """Prodigy and its like follow only the first part's rate there; here they ask for one."""
    finds = str(t.values.get("optimizer.name")) in ("prodigy", "dadapt_adam")
    if not finds or len(set(said.values())) < 2:
        return
    for name in list(said)[1:]:
        t.put("text_encoder_lr", f"lora.{name}.learning_rate", next(iter(said.values())),
              "the optimiser finds one step size for everything, and only the first rate counts")


RULES: list[Callable[[Translation], Any]] = [arguments, size, kind, dropped_ranks, *layers.RULES, switches, *flux.RULES]
