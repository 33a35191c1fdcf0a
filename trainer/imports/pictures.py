"""Rules for the pictures: folders, a resolution that has two sides there, and the noise that flow models learn from."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from settings.section import settings
from trainer.config import TrainSettings
from trainer.imports.translation import Translation
from trainer.imports.values import number, numbers, shown

CHOICES = {setting.path: setting.choices for setting in settings(TrainSettings) if setting.choices}
SAME = "the same in other words"


def folders(t: Translation) -> None:
    """The two folders of a run; those of a data set file come as rows that are ready."""
    rows = t.take("folders") or []
    for name, regularisation in (("train_data_dir", False), ("reg_data_dir", True)):
        if path := t.text(name):
            rows.append({"path": path, "regularisation": regularisation})
            t.put(name, "dataset.folders", rows, "a regularisation row" if regularisation else "a row of folders")
    if rows and "dataset.folders" not in t.values:
        t.put("folders", "dataset.folders", rows, "a row for each subset; their repeats count, not the folders' names")


def resolution(t: Translation) -> None:
    """Ours is the side of a square of the same area; for further ones sd-scripts has a data set each."""
    said = t.look("resolution")
    sides = numbers(t.take("resolution"))
    more = [side_of(t, numbers(one)) for one in t.take("more_resolutions") or [] if numbers(one)]
    if not sides:
        return
    whole = side_of(t, sides)
    note = "" if set(sides) == {whole} else f"the square of about the area of {shown(said)}"
    t.put("resolution", "dataset.resolution", whole, note)
    if more:
        t.put("more_resolutions", "dataset.more_resolutions", more, "the same folders at each of them")


def side_of(t: Translation, sides: list[float]) -> int:
    step = int(number(t.look("bucket_reso_steps")) or 64)
    side = math.sqrt(sides[0] * sides[-1])
    return int(max(step, round(side / step) * step) if side % step else side)


def buckets(t: Translation) -> None:
    if (kept := t.take("bucket_no_upscale")) is not None:
        t.put("bucket_no_upscale", "dataset.upscale", not kept, "the other way round")


def changes(t: Translation) -> None:
    """Windows and colours at random: switches there."""
    if (cut := t.take("random_crop")) is not None:
        t.put("random_crop", "dataset.crop", "random" if cut else "centre", SAME if cut else "")
    if (colours := t.take("color_aug")) is not None:
        note = "hue by up to 16 degrees or gamma by 5 %, in a third of the showings: about this strength"
        t.put("color_aug", "dataset.colour_jitter", 0.2 if colours else 0.0, note if colours else "")


def masks(t: Translation) -> None:
    """Switches there, where files and transparency are told apart."""
    files, alpha = t.look("masked_loss"), t.look("alpha_mask")
    for name in (name for name, said in (("masked_loss", files), ("alpha_mask", alpha)) if said is True):
        t.take(name)
        kind = "either" if files is alpha is True else "alpha" if name == "alpha_mask" else "files"
        t.put(name, "dataset.masked_loss", kind, SAME)
    if t.look("conditioning_data_dir") is not None:
        t.take("conditioning_data_dir")
        t.leave("conditioning_data_dir", "masks are found beside the pictures: move them to masks/ in their folder")


def preservation(t: Translation) -> None:
    """A subset whose target is what the base model says: here each caption is asked with the class word, too."""
    said = t.look("custom_attributes")
    if not (isinstance(said, dict) and said.get("diff_output_preservation")):
        return
    t.take("custom_attributes")
    if not (said.get("trigger") and said.get("class_word")):
        return t.leave("custom_attributes", "its folder is left out: with a class word in Preserve with no second set "
                                            "of captions is needed")
    for path in ("prior.trigger", "prior.class_word"):
        t.put("custom_attributes", path, said[path.partition(".")[2]], "of the subsets' class_tokens")
    t.put("custom_attributes", "prior.kind", "class_word", "with each caption of the other subsets")


def caches(t: Translation) -> None:
    """Here they change no result: a latent is kept with its spread, and found by the picture's content."""
    for name in ("cache_latents", "cache_latents_to_disk", "cache_text_encoder_outputs"):
        if t.look(name) is False:
            t.take(name)
            t.off(name, "here they are kept where that changes nothing")
    if t.look("cache_latents_to_disk") is True:
        t.take("cache_latents_to_disk")
        t.put("cache_latents_to_disk", "memory.cache_latents", True, "which are always on disk here")


def offset(t: Translation) -> None:
    """The form keeps the numbers of both kinds, and uses those of one."""
    kind = t.text("noise_offset_type").lower()
    if kind.startswith("multi"):
        t.take("noise_offset")
        t.off("noise_offset", "the other kind of noise offset was chosen")
        t.off("noise_offset_type", "multires_noise_iterations says how much")
    elif kind:
        for name in ("multires_noise_iterations", "multires_noise_discount"):
            t.take(name)
        t.off("noise_offset_type", "noise_offset says how much")


def timesteps(t: Translation) -> None:
    """How much noise pictures get. Their mean of the normal is of the time left, so its sign is the other way round."""
    names = ("timestep_sampling", "weighting_scheme", "logit_mean", "discrete_flow_shift", "training_shift")
    if "flow" not in t.family.traits:
        return
    sampling, scheme, mean, flux_shift, sd3_shift = (t.take(name) for name in names)
    by_scheme = sampling in (None, "sigma")
    source = "weighting_scheme" if by_scheme else "timestep_sampling"
    normal = scheme == "logit_normal" if by_scheme else sampling != "uniform"
    if (said := scheme if by_scheme else sampling) is not None:
        exact = said in ("logit_normal", "uniform", "none", "sigmoid", "shift", "flux_shift")
        ours = said if said in CHOICES["noise.timesteps"] else "logit_normal" if normal else "uniform"
        t.put(source, "noise.timesteps", ours, "" if said == ours else SAME if exact else "the nearest choice")
    if mean and by_scheme and normal:
        t.put("logit_mean", "noise.bias", -number(mean), "the other way round: above 0 is more noise here")
    shift(t, sampling, number(flux_shift), number(sd3_shift))


def shift(t: Translation, sampling: Any, flux: float | None, sd3: float | None) -> None:
    if sampling in ("sigmoid", "uniform"):
        t.put("timestep_sampling", "noise.shift", 1.0, "this kind has no shift")
    elif sampling in ("flux_shift", "nextdit_shift"):
        t.put("timestep_sampling", "noise.shift", None, "the model's own, which grows with the picture")
    elif flux:
        t.put("discrete_flow_shift", "noise.shift", flux)
    elif sd3:
        t.put("training_shift", "noise.shift", sd3)


RULES: list[Callable[[Translation], Any]] = [
    folders, resolution, buckets, changes, masks, preservation, caches, offset, timesteps,
]  # fmt: skip
