"""Rules for the base model: its family above all, which sd-scripts says by the script that is started, and its files
only by hints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from trainer.base_model.models import ModelError, find
from trainer.families import families
from trainer.imports.translation import Translation
from trainer.imports.values import shown

# What sd-scripts calls its families, in metadata and by the modules of their networks -> ours.
VERSIONS = {
    "sd_v1": "sd15", "sd_v2": "sd2", "sd_v2_v": "sd2", "sd3": "sd3", "medium": "sd3", "large": "sd3",
    "5-medium": "sd3", "5-large": "sd3", "flux1": "flux", "chroma": "chroma", "lumina2": "lumina2",
    "hunyuan-image-2.1": "hunyuan_image", "anima": "anima",
}  # fmt: skip
NETWORKS = {
    "lora_sd3": "sd3", "lora_flux": "flux", "oft_flux": "flux", "lora_lumina": "lumina2",
    "lora_hunyuan_image": "hunyuan_image", "lora_anima": "anima",
}  # fmt: skip
TYPES = {"Flux1": "flux", "Flux1 OFT": "flux", "Lumina": "lumina2", "Anima": "anima",
         "HunyuanImage-2.1": "hunyuan_image"}
PLAIN_MODULES = ("lora", "kohya")  # of networks.lora, and of lycoris.kohya, where an argument says more
PLAIN_TYPES = ("Standard", "Kohya LoCon", "LyCORIS/LoCon")
OTHER_MODULES = {"loha": "loha", "lokr": "lokr", "oft": "oft"}
OTHER_TYPES = {"Kohya LoHa": "loha", "Kohya LoKr": "lokr", "LyCORIS/LoHa": "loha", "LyCORIS/LoKr": "lokr",
               "LyCORIS/Diag-OFT": "oft"}
BOXES = {"flux1_checkbox": "flux", "sd3_checkbox": "sd3", "sdxl": "sdxl", "lumina_checkbox": "lumina2", "v2": "sd2"}
# Parts of names, the longer story first: "sdxl" is in no other's name, "sd" in most.
SPOKEN = {"flux": "flux", "chroma": "chroma", "sd3": "sd3", "stable-diffusion-3": "sd3", "xl": "sdxl", "pony": "sdxl",
          "illustrious": "sdxl", "noob": "sdxl", "stable-diffusion-2": "sd2", "v2-1": "sd2", "lumina": "lumina2"}
MOVED = {"runwayml/stable-diffusion-v1-5": "stable-diffusion-v1-5/stable-diffusion-v1-5"}
PRECISIONS = {"float": "float32", "fp32": "float32"}


def base(t: Translation) -> None:
    typed = t.text("pretrained_model_name_or_path")
    if typed in MOVED:
        t.put("pretrained_model_name_or_path", "model.base", MOVED[typed], "its home on the hub has moved")
    elif typed:
        t.put("pretrained_model_name_or_path", "model.base", typed)
    if name := t.text("sd_model_name"):
        t.leave("sd_model_name", f"only the file's name is told, not where it lies: choose {name} as the base model")
    if vae := t.text("vae"):
        if Path(vae).suffix.lower() in (".safetensors", ".pt", ".ckpt", ".bin"):
            t.leave("vae", "another VAE is read from a folder in diffusers layout, not from a single file")
        else:
            t.put("vae", "model.vae", vae)


def family(t: Translation) -> None:
    """By what is said, else by the base model itself where it is on this machine, else by names."""
    for source in (by_version, by_kin, by_network, by_type, by_boxes, by_looking, by_name):
        if found := source(t):
            t.take(found[0])
            return chosen(t, *found)
    return None


Found = tuple[str, str, str]  # the argument that tells, our name of the family, how it tells


def chosen(t: Translation, name: str, ours: str, note: str) -> None:
    if ours in families():
        label = families()[ours].label
        return t.put(name, "model.family", ours, note or f"the family is {label}")
    return t.leave(name, f"{ours.replace('_', ' ')} cannot be trained here; the family stays to be chosen")


def by_version(t: Translation) -> Found | None:
    said = str(t.look("base_model_version") or "")
    ours = "sdxl" if said.startswith("sdxl") else VERSIONS.get(said, said)
    if said == "sd_v2_v":
        t.put("base_model_version", "model.prediction_type", "v_prediction", "sd_v2_v predicts v")
    return ("base_model_version", ours, "") if said else None


def by_kin(t: Translation) -> Found | None:
    """Chroma is trained by FLUX's script."""
    name = next((name for name in ("model_type", "flux1_model_type") if t.look(name) == "chroma"), None)
    return (name, "chroma", "") if name else None


def by_network(t: Translation) -> Found | None:
    last = str(t.look("network_module") or "").rpartition(".")[2]
    return ("network_module", NETWORKS[last], "") if last in NETWORKS else None


def by_type(t: Translation) -> Found | None:
    said = t.look("LoRA_type")
    return ("LoRA_type", TYPES[said], "") if said in TYPES else None


def by_boxes(t: Translation) -> Found | None:
    return next(((name, ours, "") for name, ours in BOXES.items() if t.look(name) is True), None)


def by_looking(t: Translation) -> Found | None:
    typed = t.values.get("model.base")
    try:
        model = find(typed) if typed else None
    except (ModelError, OSError):
        return None
    ours = [name for name, kind in families().items() if model and kind.recognises(model)]
    return ("model.family", ours[0], "found in the base model's own file") if ours else None


def by_name(t: Translation) -> Found | None:
    typed = str(t.values.get("model.base") or "").lower()
    guess = next((ours for part, ours in SPOKEN.items() if part in typed), "")
    if not guess and (t.has("no_half_vae") or t.has("disable_mmap_load_safetensors")):
        guess = "sdxl"  # only its script has these
    return ("model.family", guess, "guessed from names in the file: see that it is right") if guess else None


def kind(t: Translation) -> None:
    """What the family has not taken of the name of the network: is it LoRA, or something like it?"""
    module, typed = t.text("network_module").rpartition(".")[2], t.text("LoRA_type")
    for name, said, plain_ones, others in (("network_module", module, PLAIN_MODULES, OTHER_MODULES),
                                           ("LoRA_type", typed, PLAIN_TYPES, OTHER_TYPES)):
        if said in plain_ones:
            t.off(name, "LoRA is what is trained, unless something else says more")
        elif said in others:
            t.put(name, "lora.kind", others[said], "the kind of adapter")
        elif said:
            t.leave(name, "this kind of adapter is not trained here")
    if typed in PLAIN_TYPES:
        t.convolutions = typed != "Standard"


def prediction(t: Translation) -> None:
    if t.take("v_parameterization") is True:
        t.put("v_parameterization", "model.prediction_type", "v_prediction", "the same in other words")


def precision(t: Translation) -> None:
    said = t.take("mixed_precision")
    if said == "fp8":
        t.put("mixed_precision", "accelerate.mixed_precision", "bf16", "there is no fp8 arithmetic here")
    elif said is not None:
        t.put("mixed_precision", "accelerate.mixed_precision", "no" if said is False else said)
    saved = t.text("save_precision")
    if saved:
        note = "the same in other words" if saved in PRECISIONS else ""
        t.put("save_precision", "save.precision", PRECISIONS.get(saved, saved), note)
    kind = t.text("save_model_as")
    if kind and kind != "safetensors":
        t.leave("save_model_as", f"LoRA files are always safetensors, never {shown(kind)}")
    elif kind:
        t.off("save_model_as", "LoRA files always are")


def small(t: Translation) -> None:
    """Weights that wait in 8 bits; theirs are another kind of number."""
    for name, path in (("fp8_base", "memory.base_precision"), ("fp8_base_unet", "memory.base_precision"),
                       ("fp8_vl", "memory.text_precision")):
        if t.look(name) is True:
            t.take(name)
            t.put(name, path, "8bit", "8 bits of another kind")


RULES: list[Callable[[Translation], Any]] = [base, family, kind, prediction, precision, small]
